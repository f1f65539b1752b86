//! `tidegate quarantine`

use tidegate_node::{
    home::Home,
    owner::jobs::{failure_meter, quarantine},
};

use crate::{numbers::count, show::plain};

/// Commands on the quarantine of programs whose run broke a worker, and of the jobs of grant holders with too many failures.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Show programs in quarantine, with time and reason, and whose jobs failed how often.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Let a program, or a holder's jobs, run again.
    Lift {
        /// Id in the list, or a prefix.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::List { json } => {
            let (found, holders) = (quarantine::list(home)?, failure_meter::list(home)?);
            if found.is_empty() && holders.is_empty() && !json {
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
            for one in holders {
                if json {
                    println!("{}", serde_json::json!(one));
                    continue;
                }
                println!("{}", one.id);
                let failure_meter::Account { population, holder } = one.account;
                let so = if one.stopped { "none runs" } else { "they run" };
                println!(
                    "  {} of {} of {holder} on population {} failed: {so}",
                    one.failures.len(),
                    count(failure_meter::MOST, "job", "jobs"),
                    population.short()
                );
                for failure in one.failures {
                    println!(
                        "  {}, job {} of {}: {}",
                        failure.at,
                        failure.job.short(),
                        failure.buyer.short(),
                        plain(&failure.why)
                    );
                }
            }
        }
        Args::Lift { id, json } => {
            let id = quarantine::lift(home, &id)?;
            match json {
                true => println!("{}", serde_json::json!({ "id": id })),
                false => println!("{id} may run again"),
            }
        }
    }
    Ok(())
}
