//! Receipts and their buyers' countersignatures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Countersignature, PeerId, Sha256Digest, limits, receipt::Party};

use super::Broken;

/// Receipt open to its buyer's countersignature.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Receipt {
    digest: Sha256Digest,
    /// Buyer and job of the receipt.
    of: (Party, ContentHash),
    countersigned: bool,
}

/// Receipts among the last [`limits::COUNTERSIGN_WITHIN`] entries, by log index.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Answered(BTreeMap<u64, Receipt>);

impl Answered {
    pub(super) fn released(&mut self, index: u64, digest: Sha256Digest, of: (Party, ContentHash)) {
        self.0.insert(index, Receipt { digest, of, countersigned: false });
        while self.0.first_key_value().is_some_and(|(first, _)| first + limits::COUNTERSIGN_WITHIN < index) {
            self.0.pop_first();
        }
    }

    /// Checks whether a countersignature is the buyer's, of this very receipt, in time, and the first.
    pub(super) fn countersigned(
        &mut self,
        index: u64,
        of: (Party, ContentHash),
        outcome: u64,
        subject: Option<Sha256Digest>,
        signature: &str,
        opened: &BTreeMap<Party, PeerId>,
    ) -> Result<(), Broken> {
        let wrong = |what: String| Err(("countersignature", what));
        if outcome.saturating_add(limits::COUNTERSIGN_WITHIN) < index {
            return wrong(format!("is for entry {outcome}, and is too late to be checked"));
        }
        let Some(receipt) = self.0.get_mut(&outcome) else {
            return wrong(format!("entry {outcome} is not an earlier receipt of a result"));
        };
        if receipt.of != of || subject != Some(receipt.digest) {
            return wrong(format!("names a job, buyer or receipt that differs from entry {outcome}"));
        }
        if std::mem::replace(&mut receipt.countersigned, true) {
            return wrong(format!("entry {outcome} is already countersigned"));
        }
        // Signatures of parties named in the log were checked before; the others' can be checked by those to whom the name was
        // opened.
        let Some(buyer) = opened.get(&of.0) else { return Ok(()) };
        let word = Countersignature { version: 1, outcome, receipt: receipt.digest };
        word.check(buyer, signature).map_err(|e| ("countersignature", e.to_string()))
    }
}
