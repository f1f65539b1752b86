//! Verification of a delivery against the question, before any number is shown.

use std::time::SystemTime;

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_audit::note;
use tidegate_protocol::{
    ContentHash, Cost, Job, Lease, PeerId, Sha256Digest, Signed,
    frame::Delivery,
    receipt::{Predicate, Statement},
    result::ResultDoc,
};

use crate::{
    NodeError,
    buyer::{
        offers::{Offer, answers_for},
        telling::Telling,
    },
    error::{ReceiptFault, Unverified},
    owner::witnesses::quorum,
};

/// A verified result: signature, inclusion, and the match of receipt, result and job.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The result.
    pub result: ResultDoc,
    /// Bytes of the result, as the receipt names them.
    pub bytes: Vec<u8>,
    /// Delivery with the result.
    pub delivery: Delivery,
    /// Statement of the receipt.
    pub receipt: Statement,
    /// Index of the receipt in the owner's log.
    pub index: u64,
    /// Budget left for this buyer.
    pub remaining: Cost,
}

impl Verified {
    /// Returns the ranges by which meaningless numbers of the result are recognized, from the bounds in the receipt.
    pub fn telling(&self) -> Telling {
        match &self.receipt.predicate {
            Predicate::Outcome { facts, .. } => Telling::of(&facts.mechanism, &self.result),
            _ => Telling::default(),
        }
    }
}

/// Verifies a delivery of `owner` (of the log: whoever answered) for `job` under the policy of this `offer`.
///
/// The receipt must be signed and in the log, and cosigned by as many witnesses as the policy says; the result must be as the
/// receipt names it; job, buyer and cost must be ours.
///
/// # Errors
/// [`NodeError::Unverified`] naming the failed check.
pub fn verify(delivery: Delivery, owner: &PeerId, job: &Signed<Job>, offer: &Offer) -> Result<Verified, NodeError> {
    // An earlier job of our own that asked the same.
    let earlier = delivery.earlier.clone().map(Signed::<Job>::open).transpose();
    let earlier = earlier.map_err(ReceiptFault::EarlierJob)?;
    let nothing = ContentHash([0; 32]);
    if earlier
        .as_ref()
        .is_some_and(|e| e.signer() != job.signer() || e.body().question(&nothing, None) != job.body().question(&nothing, None))
    {
        return Err(ReceiptFault::EarlierQuestion.into());
    }
    let job = earlier.as_ref().unwrap_or(job);
    let bytes = STANDARD.decode(&delivery.result).map_err(Unverified::Base64)?;
    let entry = delivery.receipt.to_canonical()?;
    let receipt = tidegate_audit::open_entry(&entry, owner).map_err(|(rule, detail)| ReceiptFault::Rule { rule, detail })?;
    let proven = note::check_proof(&delivery.proof, &entry, owner)?;
    let index = proven.index;
    if let Some(rule) = &offer.then().witnesses {
        quorum(rule)?.check(&proven.note, SystemTime::now())?;
    }
    let Predicate::Outcome { facts, .. } = &receipt.predicate else { return Err(ReceiptFault::NoOutcome.into()) };
    if receipt.subject[0].digest.sha256 != Sha256Digest::of(&bytes) {
        return Err(ReceiptFault::OtherResult.into());
    }
    if facts.job != job.id()
        || !facts.buyer.is(&job.signer(), delivery.buyer_salt.as_ref())
        || facts.dataset != job.body().dataset
    {
        return Err(ReceiptFault::OtherJob.into());
    }
    let lease = delivery.lease.clone().map(Signed::<Lease>::open).transpose()?;
    let elsewhere = offer.owner() != *owner;
    if facts.lease.is_some() != elsewhere
        || (elsewhere && facts.lease != lease.as_ref().map(Signed::id))
        || !answers_for(owner, &offer.owner(), lease.as_ref(), &facts.dataset)
    {
        return Err(ReceiptFault::Lease.into());
    }
    let newest = offer.newest.as_ref().map(Signed::id);
    // A version that takes no new jobs answered by itself, or under a policy that is no longer the newest version's: audits check
    // that against the log.
    if facts.policy != offer.policy.id() || (offer.answers() && facts.policy_newest != newest) {
        return Err(ReceiptFault::Policy.into());
    }
    if facts.ledger.cost != job.body().cost {
        return Err(ReceiptFault::Cost.into());
    }
    let result: ResultDoc = serde_json::from_slice(&bytes).map_err(Unverified::Json)?;
    if result.job != job.id() || result.cost != job.body().cost {
        return Err(ReceiptFault::ResultOfOtherJob.into());
    }
    if result.rows.iter().any(|r| r.key.len() != result.keys.len() || r.cells.len() != result.columns.len()) {
        return Err(ReceiptFault::Shape.into());
    }
    let remaining = delivery.remaining;
    Ok(Verified { result, bytes, receipt, index, remaining, delivery })
}
