//! `tidegate jobs`

use tidegate_node::{home::Home, running};

use crate::show::plain;

/// What to do with the jobs that this party's node has in hand.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// What runs and what waits just now, for whom, and until when.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Stop a job. One that is charged stays so: its buyer gets noise over the public default at the usual time, and is not told why.
    Stop {
        /// Its id, or how it begins.
        job: String,
    },
    /// Close a job that was charged and cannot be finished: its receipt says that it was spent and not released, and nothing is paid back.
    Close {
        /// Its id, or how it begins: the node's log names it.
        job: String,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::List { json } => {
            let found = running::list(home)?;
            if found.is_empty() && !json {
                println!("no job runs or waits");
            }
            for (one, stopping) in found {
                if json {
                    let mut line = serde_json::to_value(&one)?;
                    line["stopping"] = stopping.into();
                    println!("{line}");
                    continue;
                }
                println!("{}{}", one.job, if stopping { " (told to stop)" } else { "" });
                println!("  {} on {}, by {}", one.kind, plain(&one.dataset), one.buyer);
                match one.slot {
                    Some(slot) => println!("  since {}, settled after {}", slot.start, slot.end),
                    None => println!("  is checked, or waits for a slot; not charged yet"),
                }
            }
        }
        Args::Close { job } => {
            let job = running::close(home, &job)?;
            println!("{job} is closed without a result");
        }
        Args::Stop { job } => {
            let one = running::stop(home, &job)?;
            println!("{} is told to stop", one.job);
        }
    }
    Ok(())
}
