//! Comparison of a leaseholder's log with its owner's.

use std::collections::BTreeMap;

use super::{
    leases::{GrantSeen, Seen},
    report::{Finding, Report},
};

/// Lists contradictions between a leaseholder's log and its owner's, by entry of the leaseholder's log. Leases of other owners
/// are ignored.
///
/// A lease that is not back yet, or is lost, in the owner's log is harmless: all of it counts as spent.
pub fn compare(owner: &Report, holder: &Report) -> Vec<Finding> {
    let mut wrong = Vec::new();
    let mut finding = |entry, rule: &str, detail: String| wrong.push(Finding { entry, rule: rule.into(), detail });
    for (id, taken) in holder.leases.iter().filter(|(_, taken)| Some(taken.owner) == owner.stated.owner) {
        let same = |given: &&Seen| {
            (given.owner, given.holder, given.population, given.amount)
                == (taken.owner, taken.holder, taken.population, taken.amount)
        };
        match owner.leases.get(id).filter(same) {
            None => finding(taken.entry, "lease-given", format!("the owner's log has no matching lease {}", id.short())),
            Some(given) if given.spent.is_some() && given.spent != taken.spent => {
                let detail = format!("the amount returned of lease {} differs from the amount left in this log", id.short());
                finding(taken.entry, "lease-spent", detail);
            }
            Some(_) => {}
        }
    }
    let held =
        holder.stated.versions.iter().filter(|(_, version)| version.owner.is_some() && version.owner == owner.stated.owner);
    let held: BTreeMap<_, _> = held.collect();
    for (manifest, version) in &held {
        let published = owner.stated.versions.get(*manifest);
        if published.map(|published| (published.policy, published.population)) != Some((version.policy, version.population)) {
            finding(version.entry, "dataset-published", format!("the owner's log has no matching manifest {}", manifest.short()));
        }
    }
    for (id, grant) in &holder.stated.grants {
        if !held.values().any(|version| version.population == grant.population) {
            continue;
        }
        let issued = owner.stated.grants.get(id);
        let same = |issued: &GrantSeen| {
            (issued.holder, issued.population, &issued.scope) == (grant.holder, grant.population, &grant.scope)
        };
        if !issued.is_some_and(same) {
            let detail = format!("the owner's log has no matching grant {}…", id.get(..10).unwrap_or_default());
            finding(grant.entry, "grant-issued", detail);
        }
    }
    wrong
}
