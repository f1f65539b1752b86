//! A lease: a part of a dataset lineage's privacy budget, handed by the owner to another node, which holds the same rows and may
//! spend it.
//!
//! The owner signs it after charging it in full. The unspent part comes back by the leaseholder's signed settlement, or never. So
//! at any time the same budget
//! is held by one party only, whatever the network partition (escrow: O'Neil 1986, doi:10.1145/7239.7265).

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, Cost, Envelope, PeerId, Signed,
    dsse::{BadDocument, Document},
    limits,
    receipt::Party,
};

/// Terms of a lease: amount, leaseholder and time of expiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Version of this format.
    pub version: u32,
    /// Dataset lineage whose budget the lease is a part of.
    pub population: ContentHash,
    /// Dataset version readable by jobs. They may read no earlier or later version.
    pub manifest: ContentHash,
    /// The leaseholder.
    pub holder: PeerId,
    /// Maximum amount for the leaseholder.
    pub amount: Cost,
    /// Maximum part of the amount for each buyer.
    pub per_buyer: Cost,
    /// Name of the leaseholder's request, 32 hexadecimal characters. Asking again with the same name returns the same lease.
    pub nonce: String,
    /// Position in the lineage's chain of charges.
    pub sequence: u64,
    /// Time of handing over, RFC 3339.
    pub given: String,
    /// Time of expiry, RFC 3339. No job begins later.
    pub until: String,
}

impl Document for Lease {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.lease.v1+json";
}

/// Leaseholder's statement of how a lease ended. Nothing is spent under the lease from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Version of this format.
    pub version: u32,
    /// Id of the lease.
    pub lease: ContentHash,
    /// Amount spent under the lease.
    pub spent: Cost,
    /// Amount spent, by buyer.
    pub buyers: BTreeMap<Party, Cost>,
    /// Time at which the lease was closed, RFC 3339.
    pub closed: String,
}

impl Document for Settlement {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.settlement.v1+json";
}

/// A document repeated in full by a log, with only the signature of its envelope.
pub trait Repeated: Document + Serialize + Clone {
    /// Rebuilds the envelope signed by `signer` from the signature (base64).
    ///
    /// # Errors
    /// Returns [`BadDocument`] if it is not that party's signature over this document.
    fn signed(&self, signer: &PeerId, signature: &str) -> Result<Signed<Self>, BadDocument>
    where
        Self: serde::de::DeserializeOwned,
    {
        let payload = serde_json_canonicalizer::to_vec(self).map_err(|e| BadDocument::Payload(e.to_string()))?;
        Signed::open(Envelope::of_parts(Self::PAYLOAD_TYPE, &payload, signer, signature))
    }
}

impl Repeated for Lease {}
impl Repeated for Settlement {}

/// Default lifetime of a lease.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Number of characters of a nonce.
const NONCE: usize = 32;

/// Returns whether `text` can be a lease's nonce.
pub fn is_nonce(text: &str) -> bool {
    text.len() == NONCE && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

impl Lease {
    /// Validates the lease.
    ///
    /// # Errors
    /// Returns the name of the first bad field.
    pub fn check(&self) -> Result<(), &'static str> {
        let (given, until) = (time(&self.given).ok_or("given")?, self.until().ok_or("until")?);
        let rules = [
            (self.version == 1, "version"),
            (is_nonce(&self.nonce), "nonce"),
            (self.per_buyer.within(self.amount), "per_buyer"),
            // Only the owner can approve an exact result.
            (self.amount != Cost::default() && self.amount.reviewed == 0, "amount"),
            (given < until, "until"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, field)| Err(field))
    }

    /// Returns the time of expiry.
    pub fn until(&self) -> Option<SystemTime> {
        time(&self.until)
    }
}

impl Settlement {
    /// Validates the settlement against `lease`.
    ///
    /// # Errors
    /// Returns the name of the first bad field.
    pub fn check(&self, lease: &Lease) -> Result<(), &'static str> {
        let sum = self.buyers.values().try_fold(Cost::default(), |sum, cost| sum.plus(*cost));
        let rules = [
            (self.version == 1, "version"),
            (self.spent.within(lease.amount), "spent"),
            (self.buyers.len() <= limits::LEASE_BUYERS && sum == Some(self.spent), "buyers"),
            (self.buyers.values().all(|cost| cost.within(lease.per_buyer)), "buyers"),
            (time(&self.closed).is_some(), "closed"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, field)| Err(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, MicroRho, cost::FemtoDelta};

    fn rho(micro: u64) -> Cost {
        Cost::dp(MicroRho(micro), FemtoDelta(0))
    }

    fn lease() -> Lease {
        Lease {
            version: 1,
            population: ContentHash::of(b"p"),
            manifest: ContentHash::of(b"m"),
            holder: Identity::from_seed([2; 32]).id(),
            amount: rho(10),
            per_buyer: rho(6),
            nonce: "0123456789abcdef".repeat(2),
            sequence: 4,
            given: "2026-01-01T00:00:00Z".into(),
            until: "2026-01-02T00:00:00Z".into(),
        }
    }

    #[test]
    fn each_field_of_a_lease_has_its_bounds() {
        assert_eq!(lease().check(), Ok(()));
        for (lease, field) in [
            (Lease { version: 2, ..lease() }, "version"),
            (Lease { nonce: "x".repeat(32), ..lease() }, "nonce"),
            (Lease { nonce: String::new(), ..lease() }, "nonce"),
            (Lease { per_buyer: rho(11), ..lease() }, "per_buyer"),
            (Lease { amount: Cost::default(), per_buyer: Cost::default(), ..lease() }, "amount"),
            (Lease { amount: Cost { reviewed: 1, ..rho(10) }, ..lease() }, "amount"),
            (Lease { until: lease().given, ..lease() }, "until"),
            (Lease { until: "never".into(), ..lease() }, "until"),
            (Lease { given: "once".into(), ..lease() }, "given"),
        ] {
            assert_eq!(lease.check(), Err(field), "{lease:?}");
        }
    }

    #[test]
    fn a_settlement_says_of_each_buyer_what_was_spent_and_no_more_than_there_was() {
        let party = |seed| Party::from(Identity::from_seed([seed; 32]).id());
        let settlement = |spent, buyers: &[(u8, u64)]| Settlement {
            version: 1,
            lease: ContentHash::of(b"l"),
            spent: rho(spent),
            buyers: buyers.iter().map(|(seed, cost)| (party(*seed), rho(*cost))).collect(),
            closed: "2026-01-01T00:00:00Z".into(),
        };
        assert_eq!(settlement(0, &[]).check(&lease()), Ok(()));
        assert_eq!(settlement(10, &[(1, 6), (2, 4)]).check(&lease()), Ok(()));
        assert_eq!(settlement(11, &[(1, 6), (2, 5)]).check(&lease()), Err("spent"));
        assert_eq!(settlement(9, &[(1, 6), (2, 4)]).check(&lease()), Err("buyers"));
        assert_eq!(settlement(7, &[(1, 7)]).check(&lease()), Err("buyers"));
        assert_eq!(settlement(5, &[]).check(&lease()), Err("buyers"));
        assert_eq!(Settlement { closed: String::new(), ..settlement(0, &[]) }.check(&lease()), Err("closed"));
        assert_eq!(Settlement { version: 0, ..settlement(0, &[]) }.check(&lease()), Err("version"));
    }

    #[test]
    fn a_signature_is_found_again_out_of_what_was_signed() {
        let [owner, other] = [[1; 32], [2; 32]].map(Identity::from_seed);
        let signed = Signed::sign(lease(), &owner).unwrap();
        let signature = &signed.envelope().signatures[0].sig;
        assert_eq!(lease().signed(&owner.id(), signature).unwrap().id(), signed.id());
        assert!(lease().signed(&other.id(), signature).is_err());
        assert!(Lease { sequence: 5, ..lease() }.signed(&owner.id(), signature).is_err());
    }
}
