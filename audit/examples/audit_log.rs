//! Audits a log that lies in a folder, with this crate alone: `audit_log FOLDER OWNER.vkey`.
//!
//! `FOLDER` is laid out as C2SP tlog-tiles, and `OWNER.vkey` has the owner's verifier key. The program prints what the log says and every broken rule, and ends with 1
//! if there is one.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::SystemTime};

use tidegate_audit::{
    Audit,
    log::{Frontier, Reader, is_log_path},
    note::{BadNote, Verifier, owner_of_vkey},
};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, key] = arguments.as_slice() else { return Err("usage: audit_log FOLDER OWNER.vkey".into()) };
    let owner = owner_of_vkey(std::fs::read_to_string(key)?.trim())?;
    let mut fetch = |path: &str| match is_log_path(path) {
        true => std::fs::read(folder.join(path)).map_err(|e| BadNote(format!("{path}: {e}"))),
        false => Err(BadNote(format!("{path:?} is not a path of a log"))),
    };
    let reader = Reader::open(&Verifier::log(&owner), &mut fetch)?;
    let mut audit = Audit::new(owner);
    reader.each(&mut Frontier::default(), &BTreeMap::new(), &mut fetch, |index, entries, _| {
        audit.bundle(index, entries);
        Ok(())
    })?;
    let report = audit.report(SystemTime::now());
    println!("{} entries, {} jobs charged, {} released", report.entries, report.intents, report.outcomes);
    for finding in &report.findings {
        println!("entry {}: {}: {}", finding.entry, finding.rule, finding.detail);
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
