//! Auditor's side: reads a log from a folder, a peer or a web server, checks the whole log, and checks receipts against the log.
//!
//! [`source`] and [`bundle`] read the log, [`receipts`] checks what buyers hold, [`whole`] looks at every file. [`memory`] keeps
//! what was verified, so that the next audit goes on from there and accepts no history other than the one seen before; [`forks`]
//! keeps the evidence of two histories. [`shown`] checks what a peer shows beside its log, [`replay`] runs a receipt's job again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tidegate_audit::{
    Report,
    log::{
        Reader, path,
        read::{Fetch, part_or_whole},
    },
    note::{BadNote, Note, Quorum, Verifier, owner_of_vkey, vkey},
};
use tidegate_protocol::{PeerId, receipt::Party};

use crate::{NodeError, bad_path, error::Unverified, file_error, home::Home};

pub mod bundle;
pub mod forks;
mod heads;
mod memory;
pub mod names;
mod receipts;
pub mod replay;
pub mod shown;
pub mod source;
pub mod sql;
mod whole;

use heads::Heads;

pub use crate::auditor::whole::Files;

/// Request for an audit.
pub struct Ask<'a> {
    /// Home in which the verified state is kept; with `None`, all is read from the start and nothing is kept.
    pub home: Option<&'a Home>,
    /// Quorum of cosignatures that the checkpoint must have.
    pub quorum: Quorum,
    /// Parties named by the log's commitments, as far as the owner opened them.
    pub opened: BTreeMap<Party, PeerId>,
    /// Maximum age in seconds of a cosignature, if there is a limit.
    pub fresh: Option<u64>,
    /// Callback for the number of entries checked, and their total.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// Cosignature of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// Name of the witness.
    pub name: String,
    /// Time at which the witness saw the checkpoint, RFC 3339.
    pub time: String,
}

/// Findings of an audit.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The log's owner.
    pub owner: PeerId,
    /// Number of entries verified by an earlier audit.
    pub known: u64,
    /// Number of receipts checked against the log.
    pub receipts: u64,
    /// Requested witnesses with a cosignature on the checkpoint.
    pub witnesses: Vec<Witnessed>,
    /// Comparison with the entries verified before, if this log is a copy of fewer entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<Older>,
    /// Findings on the files, if the log is in a folder or bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// Report on the log.
    #[serde(flatten)]
    pub report: Report,
}

/// A copy older than the state its auditor has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Older {
    /// Number of entries verified before.
    pub verified: u64,
    /// Number of the copy's first entries known to be the same as before; of its other entries this is not known.
    pub the_same: u64,
}

impl Outcome {
    /// Returns whether everything holds.
    pub fn is_sound(&self) -> bool {
        self.report.findings.is_empty() && self.files.as_ref().is_none_or(|files| files.wrong.is_empty())
    }
}

/// Origin of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The owner, whose log must have at least the entries seen before.
    Owner {
        /// Whether the whole log is read, meeting the head verified before on the way.
        anew: bool,
    },
    /// A copy, which may be older.
    Copy,
}

/// Audits a folder as left by the demo and `tidegate run --out`, or a tar archive of such a folder.
///
/// The folder has `owner.vkey`, `log/`, and any `receipts/` with their `results/`. Without a log, only receipts and results are
/// audited. Each file is verified to its last byte, or named as not looked at.
///
/// # Errors
/// Returns [`NodeError::Unverified`] naming the first file that does not verify, or [`NodeError::Io`].
pub fn audit_folder(folder: &Path, ask: Ask<'_>) -> Result<Outcome, NodeError> {
    let given = bundle::Given::open(folder)?;
    let owner = owner_of_vkey(&String::from_utf8_lossy(&given.read("owner.vkey")?))?;
    let mut held = receipts::check(&given, &owner)?;
    let (receipts, witnesses, opened) = (std::mem::take(&mut held.all), ask.quorum.witnesses.clone(), ask.opened.clone());
    let log = given.has_log();
    let mut outcome = match log {
        true => audit(&owner, held, &mut given.log(), ask, From::Copy)?,
        false if held.count == 0 => {
            return Err(bad_path(folder, "has neither a log nor a receipt"));
        }
        false => receipts_alone(owner, &held, &ask)?,
    };
    let known = whole::Known { owner, witnesses: &witnesses, opened: &opened };
    outcome.files = Some(whole::look(&given, &known, &receipts, log));
    Ok(outcome)
}

/// Builds the outcome for receipts without the log.
///
/// Each is the owner's, of the result beside it, and in a log under a signed checkpoint.
fn receipts_alone(owner: PeerId, held: &receipts::Held, ask: &Ask<'_>) -> Result<Outcome, NodeError> {
    let now = SystemTime::now();
    let mut witnesses = Vec::new();
    for note in held.notes.values() {
        witnesses = cosigned(&ask.quorum, ask.fresh, note, now)?;
    }
    Ok(Outcome { owner, known: 0, receipts: held.count, witnesses, older: None, files: None, report: Report::default() })
}

/// Returns the witnesses with a cosignature on a checkpoint: as many as required, and none too old.
fn cosigned(quorum: &Quorum, fresh: Option<u64>, note: &Note, now: SystemTime) -> Result<Vec<Witnessed>, NodeError> {
    let cosigned = quorum.check(note, now)?;
    for one in &cosigned {
        let age = now.duration_since(one.time).unwrap_or_default().as_secs();
        if fresh.is_some_and(|fresh| age > fresh) {
            return Err(BadNote(format!("the cosignature of {} is stale: {age} s old", one.name)).into());
        }
    }
    Ok(cosigned.into_iter().map(|one| Witnessed { name: one.name, time: rfc3339(one.time) }).collect())
}

/// Audits a fetched log of which the auditor holds no receipts.
///
/// With `keep`, keeps a whole copy there, and reads from this copy what is there already.
///
/// # Errors
/// Same as [`audit_folder`].
pub fn audit_source(owner: &PeerId, fetch: Fetch<'_>, keep: Option<PathBuf>, ask: Ask<'_>) -> Result<Outcome, NodeError> {
    let Some(folder) = keep else {
        return audit(owner, receipts::Held::default(), fetch, ask, From::Owner { anew: false });
    };
    // The checkpoint is written last: an interrupted copy is no copy.
    let mut checkpoint = None;
    let mut kept = source::kept(folder.join("log"), fetch, &mut checkpoint);
    let outcome = audit(owner, receipts::Held::default(), &mut kept, ask, From::Owner { anew: true })?;
    // Fork evidence needs the tiles.
    for path in path::tiles(outcome.report.entries) {
        if let Err(e) = part_or_whole(&path, &mut kept) {
            tracing::warn!("the copy lacks {path}: {e}");
        }
    }
    drop(kept);
    for (name, bytes) in [("owner.vkey", vkey(owner).into_bytes()), ("log/checkpoint", checkpoint.unwrap_or_default())] {
        let target = folder.join(name);
        std::fs::write(&target, bytes).map_err(|e| file_error(&target, e))?;
    }
    Ok(outcome)
}

fn audit(owner: &PeerId, mut held: receipts::Held, fetch: Fetch<'_>, ask: Ask<'_>, from: From) -> Result<Outcome, NodeError> {
    let log = Verifier::log(owner);
    let reader = Reader::open(&log, fetch)?;
    let now = SystemTime::now();
    let witnesses = cosigned(&ask.quorum, ask.fresh, &reader.note, now)?;
    let size = reader.checkpoint.size;
    if let Some((newest, _)) = held.heads.last_key_value().filter(|(newest, _)| **newest > size) {
        return Err(BadNote(format!(
            "the log has {size} entries, and a receipt has a proof for {newest} entries: fetch the log again"
        ))
        .into());
    }
    let mut memory = match ask.home {
        Some(home) => memory::Memory::load(home, owner, &held.heads)?,
        None => memory::Memory::new(*owner),
    };
    let (seen, mut older) = ((memory.frontier.size(), memory.frontier.root()), None);
    if seen.0 > size && from == From::Copy {
        // The heads seen up to this size must be met here; the memory of more entries stays as it is.
        held.heads.extend(memory.heads.range(..=size));
        let the_same = memory.heads.range(..=size).next_back().map_or(0, |(size, _)| *size);
        older = Some(Older { verified: seen.0, the_same });
        memory = memory::Memory { note: memory.note, ..memory::Memory::new(*owner) };
    } else if seen.0 > 0 && from == (From::Owner { anew: true }) {
        if seen.0 > size {
            return Err(BadNote(format!(
                "the log has {size} entries, fewer than the {} verified before: it was truncated, or is another log",
                seen.0
            ))
            .into());
        }
        held.heads.insert(seen.0, seen.1);
        memory = memory::Memory { note: memory.note, ..memory::Memory::new(*owner) };
    }
    let known = memory.frontier.size();
    memory.audit.open_names(ask.opened);
    let (mut audit, progress) = (memory.audit, ask.progress);
    let mut met = Heads::new();
    let read = reader.each(&mut memory.frontier, &held.heads, fetch, |start, entries, frontier| {
        audit.bundle(start, entries);
        met.insert(frontier.size(), frontier.root());
        progress(start + entries.len() as u64, size);
        Ok(())
    });
    memory.audit = audit;
    if let Err(e) = read {
        if let Some(home) = ask.home {
            let seen = memory.note.iter().chain(held.notes.values());
            if let Some(evidence) = forks::find(&log, seen, &reader.note, fetch) {
                let path = forks::keep(home, &evidence)?;
                return Err(Unverified::Forked { source: e, evidence: path }.into());
            }
        }
        return Err(e.into());
    }
    memory.heads.extend(&held.heads);
    memory.heads.extend(met);
    memory.note = Some(reader.note);
    if let Some(home) = ask.home.filter(|_| older.is_none()) {
        memory.save(home)?;
    }
    let report = memory.audit.report(now);
    Ok(Outcome { owner: *owner, known, receipts: held.count, witnesses, older, files: None, report })
}

fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
