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

use crate::{numbers::count, show::plain};

/// Commands on this party's own log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Check every file of the log's folder, and compare the log with the ledger if no node has the ledger open.
    Fsck {
        /// Rewrite the folder from the ledger.
        #[arg(long)]
        repair: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the log's verifier key.
    Key {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the whole log to a single file, for `tidegate audit`.
    Bundle {
        /// The file: a tar archive.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Restore entries lost in the ledger (when an older backup was put back) from a copy of the log: their charges count again.
    Restore {
        /// Folder with a copy, as left by `tidegate audit --peer … --keep`, or the log's folder itself.
        #[arg(long)]
        from: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let identity = home.identity()?;
    let log = Verifier::log(&identity.id());
    let (repair, json) = match args {
        Args::Fsck { repair, json } => (repair, json),
        Args::Key { json } => {
            match json {
                true => println!("{}", serde_json::json!({ "key": log.vkey() })),
                false => println!("{}", log.vkey()),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Args::Bundle { file, json } => {
            bundle::write(&identity.id(), &home.path().join("log"), &file)?;
            if json {
                println!("{}", serde_json::json!({ "file": file }));
            }
            return Ok(ExitCode::SUCCESS);
        }
        Args::Restore { from, json } => {
            let copy = if from.join("log").is_dir() { from.join("log") } else { from };
            let (_, restored) = Store::restore(home.path(), identity, &mut from_folder(copy))?;
            if json {
                println!("{}", serde_json::json!({ "entries": restored.entries, "closed": restored.closed }));
                return Ok(ExitCode::SUCCESS);
            }
            let closed = count(restored.closed, "job of them had no result and is", "jobs of them had no result and are");
            println!("{} back; {closed} closed", count(restored.entries, "entry is", "entries are"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    // Before the ledger is opened, since opening it writes what the folder lacks.
    let folder = home.path().join("log");
    let look = || -> anyhow::Result<Fsck> {
        if !folder.exists() {
            return Ok(Fsck::default());
        }
        let looked = fsck_of(&log, files_of(&folder), &mut from_folder(folder.clone()));
        Ok(looked.unwrap_or_else(|BadNote(what)| Fsck { findings: vec![format!("checkpoint: {what}")], ..Fsck::default() }))
    };
    let mut report = look()?;
    // Opening the ledger compares the published log with it, and writes what a crash kept from the folder. A damaged folder is
    // not touched unasked.
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
        println!("{}, {}", count(report.entries, "entry", "entries"), count(report.tiles, "tile", "tiles"));
        for file in &report.not_looked_at {
            println!("  not checked: {}", plain(file));
        }
        for finding in &report.findings {
            println!("  WRONG {}", plain(finding));
        }
        match (report.findings.is_empty(), held) {
            (true, true) => println!("the log is complete and matches the ledger"),
            (true, false) => println!("the log is complete; a node has the ledger open, so that it was not checked"),
            (false, _) => println!("`tidegate log fsck --repair` rewrites it from the ledger"),
        }
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
