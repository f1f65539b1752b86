//! The auditor's side: read a log from a folder, a peer or a web server, check all of it, and check receipts against it.
//!
//! [`source`] and [`bundle`] say where from, [`receipts`] checks what buyers hold, [`whole`] looks at every file, [`memory`] keeps what was verified, so that the next audit goes on from there and no
//! history is accepted that is not the one seen before, [`forks`] keeps what shows that there are two. [`shown`] checks what a peer shows beside its log, [`replay`] runs a receipt's job again.

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

use crate::{NodeError, file_error, home::Home};

pub mod bundle;
pub mod forks;
mod memory;
pub mod names;
mod receipts;
pub mod replay;
pub mod shown;
pub mod source;
pub mod sql;
mod whole;

pub use whole::Files;

/// What an auditor asks for.
pub struct Ask<'a> {
    /// Where what was verified is kept; with none, all is read from the start, and nothing is kept.
    pub home: Option<&'a Home>,
    /// Whose cosignatures the checkpoint must have.
    pub quorum: Quorum,
    /// Whom the log's commitments name, as far as the owner opened them.
    pub opened: BTreeMap<Party, PeerId>,
    /// Oldest cosignature that counts, in seconds, where there is a limit.
    pub fresh: Option<u64>,
    /// Told the entries that were checked, of how many.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// A witness's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// The witness.
    pub name: String,
    /// When it saw the checkpoint, RFC 3339.
    pub time: String,
}

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The log's owner.
    pub owner: PeerId,
    /// Entries that an audit before had verified.
    pub known: u64,
    /// Receipts that were checked against it.
    pub receipts: u64,
    /// Witnesses whose cosignature the checkpoint bears, of those that were asked for.
    pub witnesses: Vec<Witnessed>,
    /// Where what was looked at is a copy of fewer entries than were verified before: how many those were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<Older>,
    /// What became of the files, where they lie in a folder or bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// What was seen.
    #[serde(flatten)]
    pub report: Report,
}

/// A copy that is older than what its auditor has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Older {
    /// Entries that were verified before.
    pub verified: u64,
    /// Of the copy's entries, the first so many are the same as those. Of the others that is not known.
    pub the_same: u64,
}

impl Outcome {
    /// Whether everything holds.
    pub fn is_sound(&self) -> bool {
        self.report.findings.is_empty() && self.files.as_ref().is_none_or(|files| files.wrong.is_empty())
    }
}

/// Where a log comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Its owner, who must have at least what was seen before.
    Owner {
        /// All of it is read: what was verified before is met on the way then.
        anew: bool,
    },
    /// A copy, which may be older.
    Copy,
}

/// Audits a folder as the demo and `tidegate run --out` leave it: `owner.vkey`, `log/`, and any `receipts/` with their `results/`; or a tar archive of one. Where it has no
/// log, receipts and results alone. Each file is verified to its last byte, or named as not looked at.
///
/// # Errors
/// [`NodeError::Unverified`] naming the first file that does not verify; [`NodeError::File`].
pub fn audit_folder(folder: &Path, ask: Ask<'_>) -> Result<Outcome, NodeError> {
    let given = bundle::Given::open(folder)?;
    let owner = owner_of_vkey(&String::from_utf8_lossy(&given.read("owner.vkey")?))?;
    let mut held = receipts::check(&given, &owner)?;
    let (receipts, witnesses, opened) = (std::mem::take(&mut held.all), ask.quorum.witnesses.clone(), ask.opened.clone());
    let log = given.has_log();
    let mut outcome = match log {
        true => audit(&owner, held, &mut given.log(), ask, From::Copy)?,
        false if held.count == 0 => {
            return Err(file_error(folder, "has neither a log nor a receipt"));
        }
        false => receipts_alone(owner, &held, &ask)?,
    };
    let known = whole::Known { owner, witnesses: &witnesses, opened: &opened };
    outcome.files = Some(whole::look(&given, &known, &receipts, log));
    Ok(outcome)
}

/// Receipts without the log: each is the owner's, of the result beside it, and in a log under a signed checkpoint.
fn receipts_alone(owner: PeerId, held: &receipts::Held, ask: &Ask<'_>) -> Result<Outcome, NodeError> {
    let now = SystemTime::now();
    let mut witnesses = Vec::new();
    for note in held.notes.values() {
        witnesses = cosigned(&ask.quorum, ask.fresh, note, now)?;
    }
    Ok(Outcome { owner, known: 0, receipts: held.count, witnesses, older: None, files: None, report: Report::default() })
}

/// The witnesses whose cosignatures a checkpoint bears: as many as are asked for, and none of those too old.
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

/// Audits a log that is fetched, of which the auditor holds no receipts; keeps a whole copy in `keep` when given, and reads what is there already from it.
///
/// # Errors
/// As [`audit_folder`].
pub fn audit_source(owner: &PeerId, fetch: Fetch<'_>, keep: Option<PathBuf>, ask: Ask<'_>) -> Result<Outcome, NodeError> {
    let Some(folder) = keep else {
        return audit(owner, receipts::Held::default(), fetch, ask, From::Owner { anew: false });
    };
    // The checkpoint last: a copy that was cut off is none.
    let mut checkpoint = None;
    let mut kept = source::kept(folder.join("log"), fetch, &mut checkpoint);
    let outcome = audit(owner, receipts::Held::default(), &mut kept, ask, From::Owner { anew: true })?;
    // What shows a fork needs the tiles.
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
        return Err(
            BadNote(format!("the log has {size} entries, and a receipt was proven in one of {newest}: fetch it again")).into()
        );
    }
    let mut memory = match ask.home {
        Some(home) => memory::Memory::load(home, owner, &held.heads)?,
        None => memory::Memory::new(*owner),
    };
    let (seen, mut older) = ((memory.frontier.size(), memory.frontier.root()), None);
    if seen.0 > size && from == From::Copy {
        // What was seen then of as many entries must be here, and the memory of more stays as it is.
        held.heads.extend(memory.heads.range(..=size));
        let the_same = memory.heads.range(..=size).next_back().map_or(0, |(size, _)| *size);
        older = Some(Older { verified: seen.0, the_same });
        memory = memory::Memory { note: memory.note, ..memory::Memory::new(*owner) };
    } else if seen.0 > 0 && from == (From::Owner { anew: true }) {
        if seen.0 > size {
            return Err(BadNote(format!(
                "the log has {size} entries, and {} were verified before: it was cut, or is another",
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
                return Err(NodeError::Unverified(format!("{e}. What shows it is kept in {}", path.display())));
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

/// Roots that were seen, by the number of entries.
type Heads = BTreeMap<u64, tlog_tiles::Hash>;
