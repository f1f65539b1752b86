//! Storage format of entries in the ledger.
//!
//! Their text, which the log commits to, is mostly base64, and a job's OUTCOME repeats everything in its INTENT. So statements
//! are stored by signature and payload, and an OUTCOME without the facts, which are in its INTENT's entry. Entries read back are
//! checked against the tree.
//!
//! The first byte tells the formats apart: `{`, the text itself; 1, length of the key's name, that name, signature (64 bytes),
//! payload; 2, the same, but with the INTENT's index and the length of the part before the facts (64 and 32 bits, little-endian),
//! and the parts before and after, in place of the payload.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redb::ReadableTable;
use tidegate_protocol::{
    Envelope, Identity,
    dsse::{BadDocument, Document as _, EnvelopeSignature},
    limits,
    receipt::{
        Statement,
        draft::{Facts, Outcome},
    },
};
use tlog_tiles::HashReader as _;

use super::{
    error::{RecordFault, StoreError},
    hashes::TableHashes,
};

const STATEMENT: u8 = 1;
const OUTCOME: u8 = 2;

/// Entry to be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Text committed to by the log.
    pub(super) text: Vec<u8>,
    /// Bytes stored in the ledger.
    pub(super) stored: Vec<u8>,
}

impl Entry {
    /// Wraps an entry given as text.
    pub(super) fn of(text: Vec<u8>) -> Self {
        Self { stored: text.clone(), text }
    }

    /// Signs a statement.
    ///
    /// Room for a receipt is ensured when its job begins: an entry longer than readers accept would not be written.
    pub(super) fn sign(payload: &str, identity: &Identity) -> Result<Self, StoreError> {
        let (text, mut stored) = signed(STATEMENT, payload, identity)?;
        stored.extend_from_slice(payload.as_bytes());
        Ok(Self { text, stored })
    }

    /// Signs the end of a job whose beginning is entry `intent`.
    pub(super) fn sign_outcome(outcome: &Outcome, intent: u64, identity: &Identity) -> Result<Self, StoreError> {
        let (text, mut stored) = signed(OUTCOME, outcome.payload(), identity)?;
        let (before, after) = outcome.around();
        stored.extend_from_slice(&intent.to_le_bytes());
        stored.extend_from_slice(&(before.len() as u32).to_le_bytes());
        stored.extend_from_slice(before.as_bytes());
        stored.extend_from_slice(after.as_bytes());
        Ok(Self { text, stored })
    }
}

/// Returns the text, and the stored bytes with which both formats begin.
fn signed(tag: u8, payload: &str, identity: &Identity) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    if payload.len() > limits::DOCUMENT_BYTES {
        return Err(BadDocument::TooLong { got: payload.len(), limit: limits::DOCUMENT_BYTES }.into());
    }
    let envelope = Envelope::sign(Statement::PAYLOAD_TYPE, payload.as_bytes(), identity);
    let EnvelopeSignature { keyid, sig } = &envelope.signatures[0];
    let mut stored = Vec::with_capacity(payload.len() + 256);
    stored.extend([tag, keyid.len() as u8]);
    stored.extend_from_slice(keyid.as_bytes());
    stored.extend(STANDARD.decode(sig).map_err(|_| damaged())?);
    Ok((envelope.to_canonical()?, stored))
}

fn damaged() -> StoreError {
    RecordFault::Entry.into()
}

/// Decoded entry.
struct Parts {
    keyid: String,
    sig: String,
    payload: String,
}

fn parts(entries: &impl ReadableTable<u64, &'static [u8]>, stored: &[u8]) -> Result<Option<Parts>, StoreError> {
    let [tag @ (STATEMENT | OUTCOME), length, rest @ ..] = stored else { return Ok(None) };
    let piece = |range: Range<usize>| rest.get(range).ok_or_else(damaged);
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| damaged());
    let name = usize::from(*length);
    let (keyid, sig) = (text(piece(0..name)?)?, STANDARD.encode(piece(name..name + 64)?));
    let rest = &rest[name + 64..];
    if *tag == STATEMENT {
        return Ok(Some(Parts { keyid, sig, payload: text(rest)? }));
    }
    let (intent, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (before, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    let facts = facts(entries, u64::from_le_bytes(*intent))?;
    Ok(Some(Parts { keyid, sig, payload: format!("{}{}{}", text(before)?, facts.json(), text(after)?) }))
}

/// Returns the facts of the job whose INTENT is at `index`.
pub(super) fn facts(entries: &impl ReadableTable<u64, &'static [u8]>, index: u64) -> Result<Facts, StoreError> {
    let stored = entries.get(index)?.ok_or_else(damaged)?;
    match stored.value() {
        // An OUTCOME has no facts of its own: one named as an INTENT would lead nowhere, or in a circle.
        [OUTCOME, ..] => Err(damaged()),
        stored => {
            let payload = match parts(entries, stored)? {
                Some(Parts { payload, .. }) => payload,
                None => {
                    let envelope = Envelope::from_canonical_unchecked(stored)?;
                    String::from_utf8(STANDARD.decode(&envelope.payload).map_err(|_| damaged())?).map_err(|_| damaged())?
                }
            };
            Ok(Facts::of_intent(&payload)?)
        }
    }
}

/// Returns the text of the entry at `index`, if any.
///
/// # Errors
/// Returns [`StoreError::Record`] if it differs from the entry in the tree.
pub(super) fn text(
    entries: &impl ReadableTable<u64, &'static [u8]>,
    hashes: &impl ReadableTable<u64, &'static [u8]>,
    index: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(stored) = entries.get(index)? else { return Ok(None) };
    let text = match parts(entries, stored.value())? {
        None => stored.value().to_vec(),
        Some(Parts { keyid, sig, payload }) => {
            let signatures = vec![EnvelopeSignature { keyid, sig }];
            Envelope { payload: STANDARD.encode(payload), payload_type: Statement::PAYLOAD_TYPE.into(), signatures }
                .to_canonical()?
        }
    };
    let tree = TableHashes(hashes).read_hashes(&[tlog_tiles::stored_hash_index(0, index)]);
    if tree.map_err(RecordFault::Tree)? != [tlog_tiles::record_hash(&text)] {
        return Err(RecordFault::OtherEntry { index }.into());
    }
    Ok(Some(text))
}
