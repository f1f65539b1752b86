//! `tidegate jobs`

use tidegate_node::{home::Home, owner::jobs::registry};

use crate::show::plain;

/// Commands on the jobs of this party's node.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Show the running and the waiting jobs: for whom, and until when.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Stop a job. A charge stays: the buyer gets noise over the public default at the usual time, and is not told why.
    Stop {
        /// Id of the job, or a prefix.
        job: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Close a charged job that cannot be finished: its receipt says that it was spent and not released, and nothing is paid
    /// back.
    Close {
        /// Id of the job, or a prefix: see the node's log.
        job: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::List { json } => {
            let found = registry::list(home)?;
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
                    None => println!("  is being checked or waits for a concurrency permit; not yet charged"),
                }
            }
        }
        Args::Close { job, json } => {
            let job = registry::close(home, &job)?;
            match json {
                true => println!("{}", serde_json::json!({ "job": job })),
                false => println!("closed {job} without a result"),
            }
        }
        Args::Stop { job, json } => {
            let one = registry::stop(home, &job)?;
            match json {
                true => println!("{}", serde_json::json!({ "job": one.job })),
                false => println!("stopping {}", one.job),
            }
        }
    }
    Ok(())
}
