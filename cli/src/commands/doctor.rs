//! `tidegate doctor`

use tidegate_node::{doctor, home::Home};

/// Options of `tidegate doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<std::process::ExitCode> {
    let checks = doctor::examine(home).await;
    if args.json {
        println!("{}", serde_json::to_string(&checks)?);
    } else {
        for check in &checks {
            println!("{} {}: {}", if check.well { "ok  " } else { "LACK" }, check.what, check.seen);
        }
    }
    // Anything else that is lacking limits what the node can do; only a missing key stops it.
    let fine = checks.iter().all(|c| c.well || !c.needed);
    Ok(if fine { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}
