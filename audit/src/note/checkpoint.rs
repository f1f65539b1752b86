//! Checkpoints: a log's signed tree head (<https://c2sp.org/tlog-checkpoint>).

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_protocol::{Identity, PeerId};
use tlog_tiles::Hash;

use super::{BadNote, Kind, Note, NoteSignature, Verifier, bad};

/// Tree head signed by the log's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Hash,
}

impl Checkpoint {
    /// Parses a note's text, without checking any signature.
    ///
    /// # Errors
    /// Returns [`BadNote`] if the checkpoint is malformed.
    pub fn of_text(text: &str) -> Result<Self, BadNote> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text.as_bytes());
        let parsed = parsed.map_err(|_| BadNote("the checkpoint is malformed".into()))?;
        Ok(Self { origin: parsed.origin().to_owned(), size: parsed.size(), root: *parsed.hash() })
    }
}

/// Signs a checkpoint.
pub fn sign_checkpoint(owner: &Identity, size: u64, root: &Hash) -> String {
    let log = Verifier::log(&owner.id());
    let text = format!("{}\n{size}\n{}\n", log.name, STANDARD.encode(root.0));
    let signature = NoteSignature { id: log.id(), bytes: owner.sign(text.as_bytes()).to_vec(), name: log.name };
    Note { text, signatures: vec![signature] }.to_text()
}

/// Checks whether `note` is a checkpoint of `owner`'s log, signed by it. Signatures of others (cosignatures) are skipped.
///
/// # Errors
/// Returns [`BadNote`] naming the bad part.
pub fn open_checkpoint(note: &str, owner: &PeerId) -> Result<Checkpoint, BadNote> {
    open(&Note::parse(note)?, &Verifier::log(owner))
}

/// Opens a checkpoint like [`open_checkpoint`], for any log.
///
/// # Errors
/// Returns [`BadNote`] naming the bad part.
pub fn open(note: &Note, log: &Verifier) -> Result<Checkpoint, BadNote> {
    let id = log.id();
    let is_theirs = |s: &&NoteSignature| log.kind == Kind::Log && s.name == log.name && s.id == id;
    let Some(signature) = note.signatures.iter().find(is_theirs) else {
        return bad(format!("the checkpoint is not signed by {}", log.name));
    };
    if !log.key.verifies(note.text.as_bytes(), &signature.bytes) {
        return bad(format!("the signature of {} is invalid", log.name));
    }
    let checkpoint = Checkpoint::of_text(&note.text)?;
    if checkpoint.origin != log.name {
        return bad(format!("the checkpoint's origin is {:?}, not {:?}", checkpoint.origin, log.name));
    }
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_binds_key_size_and_root() {
        let owner = Identity::from_seed([5; 32]);
        let note = sign_checkpoint(&owner, 3, &Hash([7; 32]));
        let opened = open_checkpoint(&note, &owner.id()).unwrap();
        assert_eq!((opened.size, opened.root), (3, Hash([7; 32])));
        assert!(open_checkpoint(&note, &Identity::from_seed([6; 32]).id()).is_err());
        for i in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[i] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(open_checkpoint(&text, &owner.id()).is_err(), "byte {i} bit {bit}");
                }
            }
        }
    }
}
