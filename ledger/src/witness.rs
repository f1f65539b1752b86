//! A witness of others' logs: stores the last checkpoint of each and cosigns only checkpoints extending the last
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

/// Maximum length of a request's body in bytes: a checkpoint with its signatures, and a proof.
pub const BODY_BYTES: usize = 64 << 10;

/// Reason why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCosigned {
    /// The request is malformed.
    #[error("{0}")]
    Malformed(#[source] BadNote),
    /// The request extends a size beyond its own checkpoint.
    #[error("the log's checkpoint of {size} entries is not consistent with the one of {old}")]
    Shrinks {
        /// Size of the request's checkpoint.
        size: u64,
        /// Size that the request extends.
        old: u64,
    },
    /// The log is unknown to this witness.
    #[error("this witness is not for the log {origin:?}")]
    Unknown {
        /// Beginning of the log's origin.
        origin: String,
    },
    /// The log did not sign the checkpoint.
    #[error("{0}")]
    Unsigned(#[source] BadNote),
    /// The request extends another size than the witness's checkpoint.
    #[error("the witness holds a checkpoint of {size} entries")]
    Conflict {
        /// Size of the witness's checkpoint.
        size: u64,
    },
    /// The proof does not hold.
    #[error("{0}")]
    Inconsistent(#[source] BadNote),
    /// The log signed two histories, as the evidence shows.
    #[error("the log signed another checkpoint of {} entries", .0.size)]
    Forked(Box<Fork>),
    /// The witness could not make the checkpoint durable.
    #[error("the witness could not store the checkpoint: {0}")]
    Failed(#[from] std::io::Error),
}

/// A fork detected by a witness.
#[derive(Debug)]
pub struct Fork {
    /// Evidence of the fork.
    pub evidence: Evidence,
    /// Size of the witness's checkpoint.
    pub size: u64,
}

impl NotCosigned {
    /// Returns the HTTP status specified by tlog-witness.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Shrinks { .. } => 400,
            Self::Unsigned(_) => 403,
            Self::Unknown { .. } => 404,
            Self::Conflict { .. } | Self::Forked(_) => 409,
            Self::Inconsistent(_) => 422,
            Self::Failed(_) => 500,
        }
    }

    /// Returns the size stated by a conflict.
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
    /// Size of the checkpoint extended by the new checkpoint.
    pub old: u64,
    /// Consistency proof.
    pub proof: TreeProof,
    /// The checkpoint.
    pub note: Note,
}

impl AddCheckpoint {
    /// Formats the body as specified by tlog-witness.
    pub fn to_body(&self) -> String {
        let hashes: String = self.proof.iter().map(|hash| format!("{}\n", proof::encode(hash))).collect();
        format!("old {}\n{hashes}\n{}", self.old, self.note.to_text())
    }

    /// Parses a body.
    ///
    /// # Errors
    /// Returns [`BadNote`] naming the problem.
    pub fn parse(body: &str) -> Result<Self, BadNote> {
        if body.len() > BODY_BYTES {
            return Err(BadNote(format!("the request is longer than {BODY_BYTES} bytes")));
        }
        let malformed =
            || BadNote("the request must consist of: old SIZE, a line for each hash, an empty line, a checkpoint".into());
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
    /// Last checkpoint of each log, with this witness's cosignature.
    held: Mutex<BTreeMap<String, (Checkpoint, Note)>>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witness({})", self.verifier.name)
    }
}

impl Witness {
    /// Opens the witness of a party, for `logs`; its state is in `folder`.
    ///
    /// # Errors
    /// Returns [`BadNote`] if a file there cannot be read or is damaged: a witness that forgot its state could cosign a fork.
    pub fn open(folder: &Path, party: &Identity, logs: Vec<Verifier>) -> Result<Self, BadNote> {
        tidegate_files::create_folder(folder).map_err(|e| BadNote(format!("{}: {e}", folder.display())))?;
        let (verifier, key) = cosigner(party);
        let mut held = BTreeMap::new();
        for log in &logs {
            if log.key == party.id() {
                return Err(BadNote("a log cannot be its own witness".into()));
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

    /// Returns whether the witness serves the log of this origin.
    pub fn is_of(&self, origin: &str) -> bool {
        self.logs.contains_key(origin)
    }

    /// Returns the parts of the witness's verifier key.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Returns the last cosigned checkpoint of a log, with its cosignature.
    pub fn last(&self, origin: &str) -> Option<Note> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(origin).map(|(_, note)| note.clone())
    }

    /// Cosigns the checkpoint of a request. Returns the cosignature once the checkpoint is durable.
    ///
    /// # Errors
    /// Returns [`NotCosigned`] with the reason.
    pub fn add(&self, body: &str, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let request = AddCheckpoint::parse(body).map_err(NotCosigned::Malformed)?;
        self.take(&request, now)
    }

    /// Cosigns a fetched checkpoint like [`Witness::add`].
    ///
    /// The witness fetches the tiles that show whether the checkpoint extends its own.
    ///
    /// # Errors
    /// Returns [`NotCosigned`] with the reason; [`NotCosigned::Inconsistent`] also if tiles are missing or do not fit.
    pub fn meet(&self, note: Note, fetch: Fetch<'_>, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let new = Checkpoint::of_text(&note.text).map_err(NotCosigned::Malformed)?;
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
        self.logs.get(origin).ok_or_else(|| NotCosigned::Unknown { origin: origin.chars().take(120).collect() })
    }

    fn take(&self, request: &AddCheckpoint, now: SystemTime) -> Result<NoteSignature, NotCosigned> {
        let new = Checkpoint::of_text(&request.note.text).map_err(NotCosigned::Malformed)?;
        let log = self.log(&new.origin)?;
        let new = checkpoint::open(&request.note, log).map_err(NotCosigned::Unsigned)?;
        if request.old > new.size {
            return Err(NotCosigned::Shrinks { size: new.size, old: request.old });
        }
        // Locked until the new checkpoint is durable: two requests cannot both extend one checkpoint.
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
        // Anybody may bring the current checkpoint again: it is cosigned anew, and nothing is written.
        let is_held = old.size == new.size && old.root == new.root && old.size > 0;
        let cosignature = cosign(&self.verifier, &self.key, &request.note.text, now);
        let id = log.id();
        if is_held {
            return Ok(cosignature);
        }
        let mut note = request.note.clone();
        // Signatures added by strangers are not stored.
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
