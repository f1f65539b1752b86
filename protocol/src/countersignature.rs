//! A buyer's confirmation of receiving a result and its receipt.

use serde::{Deserialize, Serialize};

use crate::{
    Envelope, PeerId, Sha256Digest, Signed,
    dsse::{BadDocument, Document},
};

/// A countersignature of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// Version of this format.
    pub version: u32,
    /// Log index of the receipt.
    pub outcome: u64,
    /// SHA-256 of the receipt's entry.
    pub receipt: Sha256Digest,
}

impl Document for Countersignature {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.countersignature.v1+json";
}

impl Countersignature {
    /// Checks a signature (base64) of `buyer` over this document. The log keeps no more of the envelope than this signature.
    ///
    /// # Errors
    /// Returns [`BadDocument`] if the signature is not valid.
    pub fn check(&self, buyer: &PeerId, signature: &str) -> Result<(), BadDocument> {
        let payload = serde_json_canonicalizer::to_vec(self).map_err(|e| BadDocument::Payload(e.to_string()))?;
        let envelope = Envelope::of_parts(Self::PAYLOAD_TYPE, &payload, buyer, signature);
        Signed::<Self>::open(envelope).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn a_signature_is_of_one_receipt_at_one_place_by_one_buyer() {
        let [buyer, other] = [[1; 32], [2; 32]].map(Identity::from_seed);
        let word = Countersignature { version: 1, outcome: 7, receipt: Sha256Digest([3; 32]) };
        let signed = Signed::sign(word.clone(), &buyer).unwrap();
        let signature = &signed.envelope().signatures[0].sig;
        word.check(&buyer.id(), signature).unwrap();
        assert!(word.check(&other.id(), signature).is_err());
        assert!(Countersignature { outcome: 8, ..word.clone() }.check(&buyer.id(), signature).is_err());
        assert!(Countersignature { receipt: Sha256Digest([4; 32]), ..word.clone() }.check(&buyer.id(), signature).is_err());
        assert!(word.check(&buyer.id(), "").is_err());
    }
}
