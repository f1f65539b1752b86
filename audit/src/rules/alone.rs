//! Rules for an entry by itself, independent of earlier entries.
//!
//! The audit checks every entry against them, and the ledger writes no entry that breaks one: nothing in a request can make an
//! honest owner's log fail an audit.
//!
//! Rules that depend on earlier entries belong to the audit ([`super::jobs`], [`super::rights`], [`super::lease_entries`],
//! [`super::answered`]); how the ledger keeps them is in `docs/reference/receipts.md`.

use tidegate_protocol::{
    Countersignature, Lease, PeerId, Settlement, Sha256Digest,
    lease::Repeated as _,
    receipt::{JobFacts, Party, Predicate, Statement, entry::Ending},
};

use super::{Broken, price, time::time};

/// Proof of an entry's passing [`check`]'s rules. The ledger appends nothing without.
#[derive(Debug, Clone, Copy)]
pub struct Checked(());

impl Checked {
    /// Accepts an entry published before: such an entry stays in the log, whatever it says, and audits report it.
    pub fn published() -> Self {
        Self(())
    }
}

/// Checks a statement of `owner`'s log against the rules for a single entry.
///
/// # Errors
/// Returns the broken rule and the observation.
pub fn check(statement: &Statement, owner: &PeerId) -> Result<(), Broken> {
    checked(statement, owner).map(|_| ())
}

/// Refuses a copy said to be of encrypted files and of the files' key at once: mirrors get the former, holders the latter.
pub(super) fn copy_of_both() -> Broken {
    ("copy-form", "is a copy of both encrypted files and their key".into())
}

/// Checks like [`check`], and returns the proof.
pub fn checked(statement: &Statement, owner: &PeerId) -> Result<Checked, Broken> {
    if !statement.is_formed() {
        let expected = statement.predicate.kind().uri();
        return Err(("statement-type", format!("expected predicate type {expected:?}, got {:?}", statement.predicate_type)));
    }
    // Every kind is listed: a new kind must be considered here.
    match &statement.predicate {
        Predicate::Intent(facts) => return intent(facts),
        Predicate::Outcome { facts, mode, outcome: ending, commitment, intent: _ } => {
            return outcome(facts, mode, *ending, *commitment);
        }
        Predicate::Grant { scope, .. } => time(&scope.expires).map(drop)?,
        Predicate::Copy { sealed: true, key: true, .. } => return Err(copy_of_both()),
        Predicate::Copy { time: at, .. } | Predicate::Fetch { time: at, .. } | Predicate::Replay { time: at, .. } => {
            time(at).map(drop)?;
        }
        Predicate::Lease { lease, signature, ledger, .. } => {
            let id = signed(lease, owner, signature)?;
            let bound = ledger.job == id && ledger.buyer == Party::from(lease.holder) && ledger.cost == lease.amount;
            if !bound || ledger.population != lease.population || ledger.sequence != lease.sequence {
                return Err(("ledger-binding", "the charge is for another lease or amount".into()));
            }
        }
        Predicate::LeaseTaken { lease, owner: giver, signature } => {
            signed(lease, giver, signature)?;
            if lease.holder != *owner {
                return Err(("lease-holder", format!("the lease was issued to {}", lease.holder)));
            }
        }
        Predicate::LeaseEnd { lease, settlement: Some(settlement), .. } => {
            if settlement.lease != *lease {
                return Err(("lease-form", "the settlement is for another lease".into()));
            }
            settled(settlement)?;
        }
        Predicate::Countersignature { buyer: Party::Open(buyer), outcome, signature, .. } => {
            countersigned(buyer, *outcome, statement.subject.first().map(|s| s.digest.sha256), signature)?;
        }
        // Only parties to whom the name was opened can check the signer.
        Predicate::Countersignature { buyer: Party::Hidden(_), .. }
        | Predicate::LeaseEnd { settlement: None, .. }
        | Predicate::Refusal { .. }
        | Predicate::Publication { .. }
        | Predicate::Retirement { .. }
        | Predicate::Revocation { .. }
        | Predicate::Approval { .. } => {}
    }
    Ok(Checked(()))
}

/// Checks whether a job's charge is its own, its noise is worth its price, and its slot is valid. The place in the ledger does
/// not matter.
pub fn intent(facts: &JobFacts) -> Result<Checked, Broken> {
    let link = &facts.ledger;
    if link.job != facts.job || link.buyer != facts.account() {
        return Err(("ledger-binding", "the charge names another job or buyer".into()));
    }
    if facts.approval.is_some() && link.cost.reviewed == 0 {
        return Err(("approval-logged", "a result with noise names an approval".into()));
    }
    price::check(&facts.mechanism, link.cost)?;
    if time(&facts.slot_start)? >= time(&facts.slot_end)? {
        return Err(("time", "the time budget ends before it begins".into()));
    }
    Ok(Checked(()))
}

/// Checks whether a job's end fits the payment, and whether a result, and nothing else, commits to its sums.
pub fn outcome(facts: &JobFacts, mode: &str, ending: Ending, commitment: Option<Sha256Digest>) -> Result<Checked, Broken> {
    let cost = facts.ledger.cost;
    let (paid, noise) = match (cost.rho_micro.0, cost.epsilon_micro.0, cost.reviewed) {
        (0, 0, 1..) => ("reviewed", "none"),
        (0, 1.., 0) => ("dp", "discrete-laplace"),
        _ => ("dp", "discrete-gaussian"),
    };
    let paid = if ending == Ending::SpentNotReleased { "none" } else { paid };
    if mode != paid || facts.mechanism.noise != noise {
        return Err(("mode", format!("a result of mode {mode} has noise {}", facts.mechanism.noise)));
    }
    if (ending == Ending::Released) != commitment.is_some() {
        return Err(("commitment", "a result without a commitment to its sums, or a commitment without a result".into()));
    }
    Ok(Checked(()))
}

/// Checks whether a lease is signed by its owner and well formed, and returns its id.
fn signed(lease: &Lease, owner: &PeerId, signature: &str) -> Result<tidegate_protocol::ContentHash, Broken> {
    let id = lease.signed(owner, signature).map_err(|e| ("lease-signature", e.to_string()))?.id();
    lease.check().map_err(|field| ("lease-form", format!("the lease's `{field}` is invalid")))?;
    Ok(id)
}

fn settled(settlement: &Settlement) -> Result<(), Broken> {
    if settlement.closed.parse::<jiff::Timestamp>().is_err() {
        return Err(("lease-form", "the settlement's `closed` is invalid".into()));
    }
    Ok(())
}

fn countersigned(buyer: &PeerId, outcome: u64, receipt: Option<Sha256Digest>, signature: &str) -> Result<(), Broken> {
    let wrong = |what: String| ("countersignature", what);
    let receipt = receipt.ok_or_else(|| wrong("names no receipt".into()))?;
    let word = Countersignature { version: 1, outcome, receipt };
    word.check(buyer, signature).map_err(|e| wrong(e.to_string()))
}
