//! Log heads reported by others, kept until they are known to belong to the history seen by this party.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidegate_audit::{
    evidence::Evidence,
    log::{prefix::prefix, read::Fetch},
    note::{BadNote, Note, Verifier, checkpoint},
};

/// Maximum number of heads kept per log.
///
/// The log signed each of them, so anyone who makes more is its owner. The longest are dropped first: they cannot be checked
/// against anything until the log has grown as long, and must not push out heads that can.
const HEADS: usize = 64;
/// Maximum number of others' signatures kept per head.
const SIGNATURES: usize = 16;

/// Outcome of hearing a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The head is kept: there is nothing yet to check against.
    New,
    /// The head was known.
    Known,
    /// The head belongs to another history than the known heads.
    Fork(Box<Evidence>),
}

/// Heard heads, by log and size.
#[derive(Debug, Default)]
pub struct Heard(Mutex<BTreeMap<String, BTreeMap<u64, Note>>>);

impl Heard {
    fn heads(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<u64, Note>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a note claimed to be a head of `log`; `own` is the last head seen by this party itself.
    ///
    /// # Errors
    /// Returns [`BadNote`] if the log did not sign the note.
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
        // The log's own signature comes first, so that no number of others may crowd it out.
        let mut kept = bare(&note, log);
        kept.merge(note.signatures, SIGNATURES);
        heads.insert(head.size, kept);
        if heads.len() > HEADS {
            heads.pop_last();
        }
        Ok(Told::New)
    }

    /// Checks the heads heard of `log` against `own`, a head seen by this party, using the log's tiles.
    ///
    /// Heads of the same history are forgotten; longer heads, and heads with missing tiles, stay.
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
            // A head of the same size may have useful cosignatures.
            if seen.size < head.size
                && let Some(heads) = self.heads().get_mut(&log.name)
            {
                heads.remove(&seen.size);
            }
        }
        None
    }

    /// Adds to `note` the heard cosignatures on the same text. Verifying them is up to whoever knows the keys.
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

/// Returns the note with the log's signature alone: signatures added by others prove nothing.
fn bare(note: &Note, log: &Verifier) -> Note {
    let signatures = note.signatures.iter().filter(|s| s.name == log.name && s.id == log.id()).cloned().collect();
    Note { signatures, ..note.clone() }
}
