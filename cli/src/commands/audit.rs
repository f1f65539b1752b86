//! `tidegate audit`

use std::{path::PathBuf, process::ExitCode};

use tidegate_node::{
    Address,
    auditor::{audit_folder, audit_peer},
    buyer::Buyer,
    home::Home,
};

/// What to audit.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// A folder with `owner.vkey`, `log/`, `receipts/` and `results/`.
    folder: Option<PathBuf>,
    /// A peer whose whole log is fetched and checked.
    #[arg(long)]
    peer: Option<Address>,
    /// With --peer: keep the log in this folder.
    #[arg(long, requires = "peer")]
    keep: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut reports = Vec::new();
    if let Some(peer) = &args.peer {
        let buyer = Buyer::bind(home.identity()?, peer).await?;
        let report = audit_peer(&buyer, peer, args.keep.as_deref()).await;
        buyer.close().await;
        reports.push((peer.peer.to_string(), report?));
    }
    if let Some(folder) = &args.folder {
        reports.push((folder.display().to_string(), audit_folder(folder)?));
    }
    for (name, report) in reports {
        let sound = report.findings.is_empty();
        if !sound {
            code = ExitCode::FAILURE;
        }
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
            continue;
        }
        println!("{name}: {} entries, {} jobs charged, {} released", report.entries, report.intents, report.outcomes);
        for (population, spent) in &report.spent {
            println!("  population {}: spent {}", &population[..10], spent);
        }
        for index in &report.open {
            println!("  entry {index}: charged, no outcome yet");
        }
        for finding in &report.findings {
            println!("  WRONG entry {}: {}: {}", finding.entry, finding.rule, finding.detail);
        }
        println!("  {}", if sound { "every signature, inclusion and charge holds" } else { "the history does not hold" });
        println!("  not proven: that no unlogged access took place, nor that noise was drawn honestly");
    }
    Ok(code)
}
