//! What was verified of a log, kept by the auditor: the next audit goes on from there, and takes no other history for it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_audit::{
    Audit,
    log::Frontier,
    note::{Note, origin},
};
use tidegate_files as files;
use tidegate_protocol::{ContentHash, PeerId, Sha256Digest};

use super::Heads;
use crate::{NodeError, file_error, home::Home};

/// Version of this file's form: another one is read from the start.
const VERSION: u32 = 3;

/// As far as a log was verified.
pub(super) struct Memory {
    pub(super) frontier: Frontier,
    pub(super) audit: Audit,
    /// Heads that receipts were proven under, and that were met on the way.
    pub(super) heads: Heads,
    /// The checkpoint under which it was last read.
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

    /// What is kept of `owner`'s log. From the start where nothing is, or where one of `heads` lies in what was read and was not met then; the
    /// checkpoint that was seen is kept in any case.
    pub(super) fn load(home: &Home, owner: &PeerId, heads: &Heads) -> Result<Self, NodeError> {
        let path = path(home, owner);
        let Ok(bytes) = std::fs::read(&path) else { return Ok(Self::new(*owner)) };
        let damaged = |e: &dyn std::fmt::Display| file_error(&path, format!("{e}. Remove it to audit this log from its start"));
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(&e))?;
        if value["version"] != VERSION {
            return Ok(Self::new(*owner));
        }
        let file: File = serde_json::from_value(value).map_err(|e| damaged(&e))?;
        let note = Note::parse(&file.checkpoint).map_err(|e| damaged(&e))?;
        if file.audit.owner() != *owner || file.frontier.size() != file.audit.entries() || !file.frontier.is_whole() {
            return Err(damaged(&"it does not fit together"));
        }
        let mut met: Heads = file.heads.into_iter().map(|(size, root)| (size, tlog_tiles::Hash(root.0))).collect();
        met.insert(file.frontier.size(), file.frontier.root());
        let size = file.frontier.size();
        if heads.range(..=size).any(|(size, root)| met.get(size) != Some(root)) {
            // What was read before must come again, and meet this head on the way.
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
