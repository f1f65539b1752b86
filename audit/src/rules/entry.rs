//! A single entry: its canonical form, its signature, the types in its statement.

use tidegate_protocol::{
    Envelope, PeerId, Sha256Digest, Signed,
    receipt::{Predicate, Statement},
};

use super::Broken;

/// Minimum number of entries to open in several threads.
const FEW: usize = 16;

/// Opens an entry and checks its form and signature.
///
/// # Errors
/// Returns the broken rule and the observation.
pub fn open_entry(entry: &[u8], owner: &PeerId) -> Result<Statement, Broken> {
    let envelope = Envelope::from_canonical_unchecked(entry).map_err(|e| ("entry-form", e.to_string()))?;
    let signed = Signed::<Statement>::open(envelope).map_err(|e| ("entry-signature", e.to_string()))?;
    if signed.signer() != *owner {
        return Err(("entry-signer", format!("signed by {}, not by the owner", signed.signer())));
    }
    let statement = signed.into_body();
    if !statement.is_formed() {
        let expected = statement.predicate.kind().uri();
        return Err(("statement-type", format!("expected predicate type {expected:?}, got {:?}", statement.predicate_type)));
    }
    Ok(statement)
}

/// Opened entry.
pub(super) struct Opened {
    pub(super) statement: Statement,
    /// SHA-256 of a receipt, to which other entries may refer.
    pub(super) receipt: Option<Sha256Digest>,
}

fn open(entry: &[u8], owner: &PeerId) -> Result<Opened, Broken> {
    let statement = open_entry(entry, owner)?;
    let receipt = matches!(statement.predicate, Predicate::Outcome { .. }).then(|| Sha256Digest::of(entry));
    Ok(Opened { statement, receipt })
}

/// Opens `entries` on all processors, in order.
pub(super) fn open_all(entries: &[Vec<u8>], owner: &PeerId) -> Vec<Result<Opened, Broken>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 || entries.len() < FEW {
        return entries.iter().map(|entry| open(entry, owner)).collect();
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = entries
            .chunks(entries.len().div_ceil(threads))
            .map(|part| scope.spawn(move || part.iter().map(|entry| open(entry, owner)).collect::<Vec<_>>()))
            .collect();
        let opened = parts.into_iter().flat_map(|part| part.join().unwrap_or_default());
        let mut opened: Vec<_> = opened.collect();
        // A thread that ended early has opened nothing: its entries are not skipped.
        opened.resize_with(entries.len(), || Err(("entry-form", "the entry could not be read".into())));
        opened
    })
}
