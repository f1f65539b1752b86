//! Auditor's memory of verified logs: the next audit goes on from there, and accepts no other history of a log.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_audit::{
    Audit,
    log::Frontier,
    note::{Note, origin},
};
use tidegate_files as files;
use tidegate_protocol::{ContentHash, PeerId, Sha256Digest};

use crate::auditor::heads::Heads;
use crate::{NodeError, error::Cause, file_error, home::Home};

/// Version of the file format; with a file of another version, the log is read from the start.
const VERSION: u32 = 3;

/// Verified state of a log.
pub(super) struct Memory {
    pub(super) frontier: Frontier,
    pub(super) audit: Audit,
    /// Heads under which receipts were proven, and heads met on the way.
    pub(super) heads: Heads,
    /// Checkpoint under which the log was last read.
    pub(super) note: Option<Note>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    checkpoint: String,
    frontier: Frontier,
    heads: Vec<(u64, Sha256Digest)>,
    audit: Audit,
}

fn path(home: &Home, owner: &PeerId) -> PathBuf {
    home.path().join("audits").join(format!("{}.json", ContentHash::of(origin(owner).as_bytes())))
}

impl Memory {
    pub(super) fn new(owner: PeerId) -> Self {
        Self { frontier: Frontier::default(), audit: Audit::new(owner), heads: Heads::new(), note: None }
    }

    /// Loads the memory of `owner`'s log.
    ///
    /// The memory starts anew if there is none, or if one of `heads` lies in what was read and was not met then; in that case the
    /// checkpoint seen before is kept.
    pub(super) fn load(home: &Home, owner: &PeerId, heads: &Heads) -> Result<Self, NodeError> {
        let path = path(home, owner);
        let Ok(bytes) = std::fs::read(&path) else { return Ok(Self::new(*owner)) };
        let damaged = |source: Cause| NodeError::Corrupt {
            path: path.clone(),
            fix: ". Remove it to audit this log from its start",
            source,
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.into()))?;
        if value["version"] != VERSION {
            return Ok(Self::new(*owner));
        }
        let file: File = serde_json::from_value(value).map_err(|e| damaged(e.into()))?;
        let note = Note::parse(&file.checkpoint).map_err(|e| damaged(e.into()))?;
        if file.audit.owner() != *owner || file.frontier.size() != file.audit.entries() || !file.frontier.is_whole() {
            return Err(damaged("it is inconsistent".into()));
        }
        let mut met: Heads = file.heads.into_iter().map(|(size, root)| (size, tlog_tiles::Hash(root.0))).collect();
        met.insert(file.frontier.size(), file.frontier.root());
        let size = file.frontier.size();
        if heads.range(..=size).any(|(size, root)| met.get(size) != Some(root)) {
            // The entries read before must be read again, and this head met on the way.
            let mut anew = Self::new(*owner);
            anew.note = Some(note);
            return Ok(anew);
        }
        Ok(Self { frontier: file.frontier, audit: file.audit, heads: met, note: Some(note) })
    }

    pub(super) fn save(&self, home: &Home) -> Result<(), NodeError> {
        let path = path(home, &self.audit.owner());
        let file = File {
            version: VERSION,
            checkpoint: self.note.as_ref().map(Note::to_text).unwrap_or_default(),
            frontier: self.frontier.clone(),
            heads: self.heads.iter().map(|(size, root)| (*size, Sha256Digest(root.0))).collect(),
            audit: self.audit.clone(),
        };
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                files::create_folder(folder)?;
            }
            let part = path.with_extension("part");
            files::write(&part, serde_json::to_vec(&file)?)?;
            std::fs::rename(part, &path)
        };
        write().map_err(|e| file_error(&path, e))
    }
}
