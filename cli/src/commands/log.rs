//! `tidegate log`

use std::{path::PathBuf, process::ExitCode};

use tidegate_audit::{
    log::fsck::{Fsck, fsck_of},
    note::{BadNote, Verifier},
};
use tidegate_ledger::{Store, StoreError, from_folder};
use tidegate_node::{
    auditor::bundle::{self, files_of},
    home::Home,
};

use crate::show::plain;

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
    // Before anything is opened: a node that opens the ledger writes what the folder lacks.
    let folder = home.path().join("log");
    let look = || -> anyhow::Result<Fsck> {
        if !folder.exists() {
            return Ok(Fsck::default());
        }
        let looked = fsck_of(&log, files_of(&folder), &mut from_folder(folder.clone()));
        Ok(looked.unwrap_or_else(|BadNote(what)| Fsck { findings: vec![format!("checkpoint: {what}")], ..Fsck::default() }))
    };
    let mut report = look()?;
    // Opening it holds what was published against the ledger, and writes what a crash kept from the folder. What is damaged is not opened unasked.
    let held = match (report.findings.is_empty() || repair).then(|| Store::open(home.path(), identity)) {
        None => false,
        Some(Ok(store)) => {
            if repair {
                store.export_again()?;
            }
            drop(store);
            report = look()?;
            true
        }
        Some(Err(StoreError::InUse)) if !repair => false,
        Some(Err(e)) => return Err(e.into()),
    };
    if json {
        println!("{}", serde_json::json!({ "report": report, "ledger": held }));
    } else {
        println!("{} entries, {} tiles", report.entries, report.tiles);
        for file in &report.not_looked_at {
            println!("  not looked at: {}", plain(file));
        }
        for finding in &report.findings {
            println!("  WRONG {}", plain(finding));
        }
        match (report.findings.is_empty(), held) {
            (true, true) => println!("the log is whole, and the ledger's"),
            (true, false) => println!("the log is whole; a node has the ledger, which was not looked at"),
            (false, _) => println!("`tidegate log fsck --repair` writes it anew from the ledger"),
        }
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
