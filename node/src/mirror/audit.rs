//! Audit of an owner's list of revoked grants against the owner's log.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_audit::{log::scan, note::Verifier, open_entry};
use tidegate_exchange::Address;
use tidegate_protocol::{
    Revocations, Signed,
    grant::Scope,
    receipt::Predicate,
    revocations::{digest, name, of_population, of_version},
};

use crate::{NodeError, auditor::source, client::Buyer};

/// Reads and verifies the owner's log, and returns how the list differs from the log, if at all.
///
/// # Errors
/// Returns [`NodeError`] if the log cannot be had or does not verify.
pub fn against(buyer: &Buyer, log: &Address, list: &Signed<Revocations>) -> Result<Option<String>, NodeError> {
    let owner = list.signer();
    let (mut grants, mut revoked) = (BTreeMap::new(), BTreeSet::new());
    let mut said: Option<BTreeSet<String>> = None;
    scan(&Verifier::log(&owner), &mut source::peer(buyer, log), |_, entry| {
        match open_entry(entry, &owner).map(|statement| statement.predicate) {
            Ok(Predicate::Revocation { grant }) => drop(revoked.insert(grant)),
            Ok(Predicate::Retirement { manifest: Some(manifest), .. }) => drop(revoked.insert(of_version(&manifest))),
            Ok(Predicate::Retirement { manifest: None, population }) => drop(revoked.insert(of_population(&population))),
            Ok(Predicate::Grant { grant, scope, .. }) => drop(grants.insert(grant, *scope)),
            _ => {}
        }
        // The revocations in the log when the list was made.
        if revoked.len() as u64 == list.body().number && said.is_none() {
            said = Some(revoked.clone());
        }
        Ok(())
    })?;
    Ok(compare(list.body(), said.as_ref(), &grants))
}

fn compare(list: &Revocations, said: Option<&BTreeSet<String>>, grants: &BTreeMap<String, Scope>) -> Option<String> {
    let none = BTreeSet::new();
    let said = match said {
        Some(said) => said,
        None if list.number == 0 => &none,
        None => return Some(format!("the list has {} revocations, and the log has fewer", list.number)),
    };
    if digest(said.iter().map(String::as_str)) != list.digest {
        return Some(format!("the list differs from the first {} revocations in the log", list.number));
    }
    let Ok(issued) = list.issued.parse::<jiff::Timestamp>() else { return Some("the list has no valid time of signing".into()) };
    let over = |id: &String| grants.get(id).is_some_and(|scope| !scope.lasts_after(issued.into()));
    let missing = said.iter().find(|id| !over(id) && !list.revoked.contains(&name(id)));
    if let Some(id) = missing {
        return Some(format!("the list lacks {}…, which has not expired", id.get(..16).unwrap_or(id)));
    }
    let names: BTreeSet<_> = said.iter().map(|id| name(id)).collect();
    list.revoked.difference(&names).next().map(|name| format!("the list has {name}, which the log does not revoke"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use tidegate_protocol::{MicroRho, cost::MicroEpsilon, grant::Action};

    use super::*;

    #[test]
    fn a_list_is_what_the_log_says() {
        let scope = |action, expires: &str| Scope {
            actions: vec![action],
            rho_ceiling: MicroRho(1),
            epsilon_ceiling: MicroEpsilon(0),
            expires: expires.into(),
            programs: BTreeSet::new(),
            reducers: BTreeSet::new(),
            per_hour: None,
        };
        let grants = [
            ("copy".to_owned(), scope(Action::Replicate, "2100-01-01T00:00:00Z")),
            ("job".to_owned(), scope(Action::Compute, "2100-01-01T00:00:00Z")),
            ("old".to_owned(), scope(Action::Mirror, "2001-01-01T00:00:00Z")),
        ];
        let grants: BTreeMap<_, _> = grants.into();
        let said: BTreeSet<String> = ["copy", "job", "old", "block"].map(str::to_owned).into();
        let of = |matters: &[&str]| {
            Revocations::of(
                &said,
                |id| matters.contains(&id),
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
                Duration::from_secs(9),
            )
        };
        let good = of(&["copy", "job", "block"]);
        assert_eq!(compare(&good, Some(&said), &grants), None);
        assert_eq!(compare(&of(&["copy", "job", "block", "old"]), Some(&said), &grants), None);
        let why = |list: &Revocations, said: Option<&BTreeSet<String>>| compare(list, said, &grants).unwrap();
        assert!(why(&of(&["copy", "job"]), Some(&said)).contains("lacks block"));
        assert!(why(&of(&["block", "job"]), Some(&said)).contains("lacks copy"));
        assert!(why(&of(&["copy", "block"]), Some(&said)).contains("lacks job"));
        assert!(why(&good, None).contains("fewer"));
        assert!(why(&good, Some(&["copy".to_owned()].into())).contains("differs from the first"));
        let mut more = good;
        more.revoked.insert(name("other"));
        assert!(why(&more, Some(&said)).contains("does not revoke"));
    }
}
