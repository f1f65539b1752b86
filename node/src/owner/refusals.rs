//! Refusals of requests that this node could not carry out or log.

use tidegate_audit::lineage::NotInForce;
use tidegate_ledger::StoreError;
use tidegate_protocol::{Code, Refusal};

/// Refuses what this node failed to do; the owner's log has the reason.
pub(in crate::owner) fn unavailable(e: impl std::fmt::Display) -> Refusal {
    tracing::error!("{e}");
    Refusal::new(Code::Unavailable, "the owner's node failed to do this; the owner's log has details")
}

/// Converts an error of a ledger write into a refusal.
///
/// The peer learns which audit rule would refuse the entry or why the version is not in force, and nothing about other errors.
pub(in crate::owner) fn not_logged(e: StoreError) -> Refusal {
    match e {
        StoreError::Rule { rule, detail } => broken(rule, &detail),
        StoreError::NotInForce(why) => not_in_force(&why),
        other => unavailable(other),
    }
}

/// Builds the refusal for a log entry that an audit would refuse and that was therefore not written.
pub(crate) fn broken(rule: &str, detail: &str) -> Refusal {
    let message = format!("an audit would refuse this ({rule}): {detail}");
    if rule.starts_with("grant-") {
        return Refusal::new(Code::NotGranted, message).at("grant").fix("Ask the owner for a grant that covers it");
    }
    match rule {
        "price" | "sensitivity" | "threshold" => {
            Refusal::new(Code::Program, message).at("program").fix("Use column bounds that are further apart, or another cost")
        }
        "countersignature" => Refusal::new(Code::BadRequest, message).at("word"),
        // The owner's own fault.
        _ => unavailable(message),
    }
}

/// Builds the refusal for a version not in force.
pub(in crate::owner) fn not_in_force(why: &NotInForce) -> Refusal {
    let fix = match why {
        NotInForce::Superseded(_) | NotInForce::Governed(_) => "Name the dataset, or its newest version: `tidegate list`",
        _ => "See `tidegate list` for what is offered",
    };
    Refusal::new(Code::Policy, why.to_string()).at("dataset").fix(fix)
}
