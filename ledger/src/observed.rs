//! Heads of logs that others say they saw, kept until they are known to be of the history that this party saw itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidegate_audit::{
    evidence::Evidence,
    log::{prefix::prefix, read::Fetch},
    note::{BadNote, Note, Verifier, checkpoint},
};

/// Heads of one log that are kept. The log signed each: who makes more than that of them is its owner. The longest go first: they can be held against
/// nothing until the log has grown so long, and must not push away those that can.
const HEADS: usize = 64;
/// Others' signatures that are kept of one head.
const SIGNATURES: usize = 16;

/// What comes of something heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is kept: nothing was seen yet that it could be held against.
    New,
    /// It was known.
    Known,
    /// It is of another history than what was seen.
    Fork(Box<Evidence>),
}

/// What was heard, by log and size.
#[derive(Debug, Default)]
pub struct Heard(Mutex<BTreeMap<String, BTreeMap<u64, Note>>>);

impl Heard {
    fn heads(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<u64, Note>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a note that somebody says is a head of `log`; `own` is the last that this party saw itself.
    ///
    /// # Errors
    /// [`BadNote`] where the log did not sign it.
    pub fn hear(&self, log: &Verifier, text: &str, own: Option<&Note>) -> Result<Told, BadNote> {
        let note = Note::parse(text)?;
        let head = checkpoint::open(&note, log)?;
        let mut heads = self.heads();
        let heads = heads.entry(log.name.clone()).or_default();
        for seen in heads.get(&head.size).into_iter().chain(own) {
            let of_same_size = checkpoint::open(seen, log).is_ok_and(|seen| seen.size == head.size && seen.root != head.root);
            if of_same_size {
                return Ok(Told::Fork(Box::new(Evidence::of(log, &bare(seen, log), &bare(&note, log))?)));
            }
        }
        if let Some(known) = heads.get_mut(&head.size) {
            known.merge(note.signatures, SIGNATURES);
            return Ok(Told::Known);
        }
        // The log's own signature comes first: no number of others may crowd it out.
        let mut kept = bare(&note, log);
        kept.merge(note.signatures, SIGNATURES);
        heads.insert(head.size, kept);
        if heads.len() > HEADS {
            heads.pop_last();
        }
        Ok(Told::New)
    }

    /// Holds what was heard of `log` against `own`, a head that this party has seen, by the log's tiles. What is of its history is forgotten; what is
    /// longer, or of which tiles are missing, stays.
    pub fn settle(&self, log: &Verifier, own: &Note, fetch: Fetch<'_>) -> Option<Evidence> {
        let head = checkpoint::open(own, log).ok()?;
        let older: Vec<Note> = self.heads().get(&log.name)?.range(..=head.size).map(|(_, note)| note.clone()).collect();
        for note in older {
            let Ok(seen) = checkpoint::open(&note, log) else { continue };
            let mut evidence = Evidence::of(log, &note, own).ok()?;
            if seen.size < head.size {
                let Ok(prefix) = prefix(&head, seen.size, fetch) else { continue };
                evidence = evidence.with(prefix);
            }
            if evidence.check().is_ok() {
                return Some(evidence);
            }
            // A head of the same size may have cosignatures that are of use.
            if seen.size < head.size
                && let Some(heads) = self.heads().get_mut(&log.name)
            {
                heads.remove(&seen.size);
            }
        }
        None
    }

    /// `note` with the cosignatures on the same text that were heard. Whether they hold is for those who know their keys.
    #[must_use]
    pub fn with_cosignatures(&self, log: &str, mut note: Note) -> Note {
        let heads = self.heads();
        let same = heads.get(log).into_iter().flat_map(|heads| heads.values()).find(|heard| heard.text == note.text);
        if let Some(same) = same {
            note.merge(same.signatures.clone(), SIGNATURES);
        }
        note
    }
}

/// The note with the log's signature alone: what others added shows nothing.
fn bare(note: &Note, log: &Verifier) -> Note {
    let signatures = note.signatures.iter().filter(|s| s.name == log.name && s.id == log.id()).cloned().collect();
    Note { signatures, ..note.clone() }
}
