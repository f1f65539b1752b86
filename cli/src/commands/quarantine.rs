//! `tidegate quarantine`

use tidegate_node::{home::Home, quarantine};

use crate::show::plain;

/// Programs whose run broke a worker: they are not run again until they are lifted.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// What is in quarantine, when it broke and why.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Let a program run again.
    Lift {
        /// Its id, or how it begins.
        id: String,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::List { json } => {
            let found = quarantine::list(home)?;
            if found.is_empty() && !json {
                println!("nothing is in quarantine");
            }
            for one in found {
                if json {
                    println!("{}", serde_json::json!(one));
                    continue;
                }
                println!("{}", one.id);
                println!("  since {}, by job {} of {}: {}", one.at, one.job.short(), one.buyer.short(), plain(&one.why));
                println!("  {}", plain(&one.pattern));
            }
        }
        Args::Lift { id } => println!("{} may run again", quarantine::lift(home, &id)?.id),
    }
    Ok(())
}
