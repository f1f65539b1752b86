//! A witness of others' logs: it holds the last checkpoint of each, cosigns what goes on from it, and nothing else
//! (<https://c2sp.org/tlog-witness>).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use tidegate_protocol::{ContentHash, Identity};
use tlog_tiles::{Hash, TreeProof};

use crate::write;
use tidegate_audit::{
    evidence::Evidence,
    log::{
        prefix::{consistent, prefix},
        read::Fetch,
    },
    note::{BadNote, Checkpoint, Note, NoteSignature, Verifier, checkpoint, cosign, key::cosigner, proof},
};

/// Longest body of a request: a checkpoint with its signatures, and a proof.
pub const BODY_BYTES: usize = 64 << 10;

/// Why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum NotCosigned {
    /// The request is not one.
    #[error("{0}")]
    Malformed(String),
    /// The log is none that this witness is for.
    #[error("this witness is not for the log {0:?}")]
    Unknown(String),
    /// The log did not sign it.
    #[error("{0}")]
    Unsigned(BadNote),
    /// The request goes on from another size than the witness holds.
    #[error("the witness holds a checkpoint of {size} entries")]
    Conflict {
        /// What it holds.
        size: u64,
    },
    /// The proof does not hold.
    #[error("{0}")]
    Inconsistent(BadNote),
    /// The log signed two histories: what shows it.
    #[error("the log signed another checkpoint of {} entries", .0.size)]
    Forked(Box<Fork>),
    /// The witness could not make it durable.
    #[error("the witness could not keep it: {0}")]
    Failed(#[from] std::io::Error),
}

/// A fork that a witness came upon.
#[derive(Debug)]
pub struct Fork {
    /// What shows it.
    pub evidence: Evidence,
    /// Entries of the checkpoint that the witness holds.
    pub size: u64,
}

impl NotCosigned {
    /// The status that tlog-witness gives it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unsigned(_) => 403,
            Self::Unknown(_) => 404,
            Self::Conflict { .. } | Self::Forked(_) => 409,
            Self::Inconsistent(_) => 422,
            Self::Failed(_) => 500,
        }
    }

    /// The size that a conflict states.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Conflict { size } => Some(*size),
            Self::Forked(fork) => Some(fork.size),
            _ => None,
        }
    }
}

/// An `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq)]
pub struct AddCheckpoint {
    /// Entries of the checkpoint that it goes on from.
    pub old: u64,
    /// That it does.
    pub proof: TreeProof,
    /// The checkpoint.
    pub note: Note,
}

impl AddCheckpoint {
    /// The body as tlog-witness has it.
    pub fn to_body(&self) -> String {
        let hashes: String = self.proof.iter().map(|hash| format!("{}\n", proof::encode(hash))).collect();
        format!("old {}\n{hashes}\n{}", self.old, self.note.to_text())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`BadNote`] naming what is wrong.
    pub fn parse(body: &str) -> Result<Self, BadNote> {
        if body.len() > BODY_BYTES {
            return Err(BadNote(format!("the request is longer than {BODY_BYTES} bytes")));
        }
        let malformed = || BadNote("the request has the form: old SIZE, a line a hash, an empty line, a checkpoint".into());
        let (head, note) = body.split_once("\n\n").ok_or_else(malformed)?;
        let mut lines = head.split('\n');
        let size = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or_else(malformed)?;
        let old: u64 = size.parse().ok().filter(|old: &u64| old.to_string() == size).ok_or_else(malformed)?;
        Ok(Self { old, proof: proof::read_hashes(lines)?, note: Note::parse(note)? })
    }
}

/// A witness for some logs.
pub struct Witness {
    folder: PathBuf,
    verifier: Verifier,
    key: Identity,
    logs: BTreeMap<String, Verifier>,
    /// The last checkpoint of each, with this witness's cosignature.
    held: Mutex<BTreeMap<String, (Checkpoint, Note)>>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witness({})", self.verifier.name)
    }
}

impl Witness {
    /// The witness of a party, for `logs`; what it holds of them lies in `folder`.
    ///
    /// # Errors
    /// Where a file there cannot be read or is damaged: a witness that forgot what it saw could cosign a fork.
    pub fn open(folder: &Path, party: &Identity, logs: Vec<Verifier>) -> Result<Self, BadNote> {
        tidegate_files::create_folder(folder).map_err(|e| BadNote(format!("{}: {e}", folder.display())))?;
        let (verifier, key) = cosigner(party);
        let mut held = BTreeMap::new();
        for log in &logs {
            if log.key == party.id() {
                return Err(BadNote("no log is its own witness".into()));
            }
            let path = folder.join(file(&log.name));
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(BadNote(format!("{}: {e}", path.display()))),
            };
            let read = Note::parse(&text).and_then(|note| Ok((checkpoint::open(&note, log)?, note)));
            held.insert(log.name.clone(), read.map_err(|e| BadNote(format!("{}: {e}", path.display())))?);
        }
        let logs = logs.into_iter().map(|log| (log.name.clone(), log)).collect();
        Ok(Self { folder: folder.to_owned(), verifier, key, logs, held: Mutex::new(held) })
    }

    /// Whether it is a witness of the log of this origin.
    pub fn is_of(&self, origin: &str) -> bool {
        self.logs.contains_key(origin)
    }

    /// Its verifier key's parts.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The last checkpoint of a log that it cosigned, with its cosignature.
    pub fn last(&self, origin: &str) -> Option<Note> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(origin).map(|(_, note)| note.clone())
    }

    /// Cosigns the checkpoint of a request: the cosignature, after it is durable that it was seen.
    ///
    /// # Errors
    /// [`NotCosigned`].
    pub fn add(&self, body: &str, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let request = AddCheckpoint::parse(body).map_err(|e| NotCosigned::Malformed(e.0))?;
        self.take(&request, now)
    }

    /// As [`Witness::add`], of a checkpoint that the witness fetched: it asks for the tiles that show whether it goes on from the one before.
    ///
    /// # Errors
    /// [`NotCosigned`]; [`NotCosigned::Inconsistent`] also where tiles are missing or do not fit.
    pub fn meet(&self, note: Note, fetch: Fetch<'_>, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let new = Checkpoint::of_text(&note.text).map_err(|e| NotCosigned::Malformed(e.0))?;
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&new.origin).cloned();
        let Some((old, before)) = held.filter(|(old, _)| old.size > 0) else {
            return self.take(&AddCheckpoint { old: 0, proof: vec![], note }, now);
        };
        if new.size <= old.size {
            return self.take(&AddCheckpoint { old: old.size, proof: vec![], note }, now);
        }
        let log = self.log(&new.origin)?;
        checkpoint::open(&note, log).map_err(NotCosigned::Unsigned)?;
        let (root, proof) = prefix(&new, old.size, fetch).map_err(NotCosigned::Inconsistent)?;
        if root != old.root {
            let evidence = Evidence::of(log, &before, &note).map_err(NotCosigned::Inconsistent)?.with((root, proof));
            return Err(NotCosigned::Forked(Box::new(Fork { evidence, size: old.size })));
        }
        self.take(&AddCheckpoint { old: old.size, proof, note }, now)
    }

    fn log(&self, origin: &str) -> Result<&Verifier, NotCosigned> {
        self.logs.get(origin).ok_or_else(|| NotCosigned::Unknown(origin.chars().take(120).collect()))
    }

    fn take(&self, request: &AddCheckpoint, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let new = Checkpoint::of_text(&request.note.text).map_err(|e| NotCosigned::Malformed(e.0))?;
        let log = self.log(&new.origin)?;
        let new = checkpoint::open(&request.note, log).map_err(NotCosigned::Unsigned)?;
        if request.old > new.size {
            return Err(NotCosigned::Malformed(format!("a log of {} entries does not go on from {}", new.size, request.old)));
        }
        // Held until the new one is durable: two requests cannot both go on from one checkpoint.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Checkpoint { origin: new.origin.clone(), size: 0, root: Hash::default() };
        let old = held.get(&new.origin).map_or(&nothing, |(old, _)| old);
        if old.size == new.size && old.size > 0 && old.root != new.root {
            let before = held.get(&new.origin).map_or(&request.note, |(_, note)| note);
            let evidence = Evidence::of(log, before, &request.note).map_err(NotCosigned::Unsigned)?;
            return Err(NotCosigned::Forked(Box::new(Fork { evidence, size: old.size })));
        }
        if request.old != old.size {
            return Err(NotCosigned::Conflict { size: old.size });
        }
        consistent(old, &new, &request.proof).map_err(NotCosigned::Inconsistent)?;
        // Anybody may bring what is held already: it is cosigned anew, and nothing is written.
        let is_held = old.size == new.size && old.root == new.root && old.size > 0;
        let cosignature = cosign(&self.verifier, &self.key, &request.note.text, now);
        let id = log.id();
        if is_held {
            return Ok(cosignature);
        }
        let mut note = request.note.clone();
        // What strangers added is not kept.
        note.signatures.retain(|s| s.name == log.name && s.id == id);
        note.signatures.push(cosignature.clone());
        write::durably(&self.folder.join(file(&log.name)), note.to_text().as_bytes())?;
        held.insert(log.name.clone(), (new, note));
        Ok(cosignature)
    }
}

fn file(origin: &str) -> String {
    format!("{}.checkpoint", ContentHash::of(origin.as_bytes()))
}
