//! `tidegate log`

use std::{path::PathBuf, process::ExitCode};

use tidegate_catalog::{Store, StoreError, log::from_folder, log::fsck::fsck, note::Verifier};
use tidegate_node::{auditor::bundle, home::Home};

/// What to do with this party's own log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Look at every file of the log's folder, and hold it against the ledger where no node has that open.
    Fsck {
        /// Write the folder anew from the ledger.
        #[arg(long)]
        repair: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the log's verifier key.
    Key,
    /// Write the whole log as one file, which `tidegate audit` takes.
    Bundle {
        /// The file: a tar archive.
        file: PathBuf,
    },
    /// Bring back entries that the ledger lost (an older backup was put back) from a copy of the log: what they charged is charged.
    Restore {
        /// A folder that has a copy: as `tidegate audit --peer … --keep` leaves it, or the log's folder itself.
        #[arg(long)]
        from: PathBuf,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let identity = home.identity()?;
    let log = Verifier::log(&identity.id());
    let (repair, json) = match args {
        Args::Fsck { repair, json } => (repair, json),
        Args::Key => {
            println!("{}", log.vkey());
            return Ok(ExitCode::SUCCESS);
        }
        Args::Bundle { file } => {
            bundle::write(&identity.id(), &home.path().join("log"), &file)?;
            return Ok(ExitCode::SUCCESS);
        }
        Args::Restore { from } => {
            let copy = if from.join("log").is_dir() { from.join("log") } else { from };
            let (_, restored) = Store::restore(home.path(), identity, &mut from_folder(copy))?;
            println!("{} entries are back; {} jobs of them had no result and are closed", restored.entries, restored.closed);
            return Ok(ExitCode::SUCCESS);
        }
    };
    // Opening it holds what was published against the ledger, and writes what a crash kept from the folder.
    let held = match Store::open(home.path(), identity) {
        Ok(store) => {
            if repair {
                store.export_again()?;
            }
            true
        }
        Err(StoreError::InUse) if !repair => false,
        Err(e) => return Err(e.into()),
    };
    let report = fsck(&log, &mut from_folder(home.path().join("log")))?;
    if json {
        println!("{}", serde_json::json!({ "report": report, "ledger": held }));
    } else {
        println!("{} entries, {} tiles", report.entries, report.tiles);
        for finding in &report.findings {
            println!("  WRONG {finding}");
        }
        match (report.findings.is_empty(), held) {
            (true, true) => println!("the log is whole, and the ledger's"),
            (true, false) => println!("the log is whole; a node has the ledger, which was not looked at"),
            (false, _) => println!("`tidegate log fsck --repair` writes it anew from the ledger"),
        }
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
