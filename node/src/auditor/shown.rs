//! Checks of the datasets shown by a peer against the peer's log.
//!
//! Each manifest must be of the policy that was logged with it, and name files as that policy wants. A plain hash of files that
//! nobody may copy is a number about their rows without noise, of which the log, which has only the manifest's id, tells nothing.

use std::collections::BTreeMap;

use tidegate_audit::{Finding, Report};
use tidegate_protocol::{
    Signed,
    frame::{Published, Reply, Request},
    manifest::{self, Manifest},
};

use crate::{Address, NodeError, client::Buyer, unexpected};

/// Asks `peer` for its listings, adds what is wrong with them to an audit's report, and returns the datasets' names by lineage.
///
/// The listings are those that everybody may see, or that the grant shown by `buyer` allows.
///
/// # Errors
/// Returns [`NodeError`] if the peer does not answer.
pub async fn check(buyer: &Buyer, peer: &Address, report: &mut Report) -> Result<BTreeMap<String, String>, NodeError> {
    let request = Request::Listings { grant: buyer.grant().to_owned() };
    let Reply::Listings(shown) = buyer.ask(peer, &request, &[]).await? else {
        return Err(unexpected("listings"));
    };
    let opened = shown.iter().filter_map(|one| manifest::open(one.manifest.clone(), one.policy.clone()).ok());
    let names = opened.map(|(manifest, _)| (manifest.body().population.to_string(), manifest.body().name.clone())).collect();
    let found: Vec<_> = shown.into_iter().filter_map(|one| wrong(one, report)).collect();
    report.findings.extend(found);
    Ok(names)
}

/// Returns the finding against a shown version, if anything is wrong.
fn wrong(shown: Published, report: &Report) -> Option<Finding> {
    let id = Signed::<Manifest>::open(shown.manifest.clone()).map(|manifest| manifest.id()).ok();
    let version = id.and_then(|id| report.stated.versions.get(&id));
    let finding = |rule: &str, detail: String| {
        let name = id.map(|id| format!("manifest {}: ", id.short())).unwrap_or_default();
        Some(Finding { entry: version.map_or(0, |version| version.entry), rule: rule.into(), detail: format!("{name}{detail}") })
    };
    match manifest::open(shown.manifest, shown.policy) {
        Err(e) => finding("manifest-form", e.to_string()),
        // A version published since the log was read is not in the report.
        Ok((_, policy)) if version.is_some_and(|version| version.policy != policy.id()) => {
            finding("manifest-policy", "is offered with a policy that differs from the logged one".into())
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_audit::rules::leases::VersionSeen;
    use tidegate_protocol::{
        ContentHash, Envelope, Identity,
        listing::About,
        manifest::{Content, DataFile, FileKey, Files, Layout},
        policy::{Policy, PolicyFile},
    };

    use super::*;

    fn policy(replicate: &str) -> Policy {
        let text = format!(
            r#"
            unit = {{ column = "person", max_units = 100, max_rows = 3, max_groups = 2 }}
            budget = {{ delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }}
            jobs = {{ kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }}
            access = {{ compute = "granted", replicate = "{replicate}" }}
            columns = {{ n = {{ lo = 0, hi = 1 }} }}
            "#
        );
        PolicyFile::parse(&text).unwrap().check(|e, _| Some(e)).unwrap()
    }

    fn files(of: &Policy) -> Files {
        let file = DataFile { name: "a.csv".into(), table: None, bytes: 9, hash: ContentHash::of(b"rows") };
        let content = Content { published: vec![file], layout: Layout::AsPublished, derived: vec![] };
        Files::commit(&content, of, FileKey::fresh_for(of).unwrap().as_ref()).unwrap()
    }

    /// A version whose files are named as `named` wants it, under `policy`.
    fn shown(named: &Policy, policy: &Policy) -> (ContentHash, Published) {
        let owner = Identity::from_seed([1; 32]);
        let policy = Signed::sign(policy.clone(), &owner).unwrap();
        let manifest = Manifest {
            version: 1,
            name: "towns".into(),
            about: About::default(),
            population: ContentHash::of(b"p"),
            previous: None,
            files: files(named),
            schema: vec![],
            mock: None,
            policy: policy.id(),
            grant_key: "00".into(),
            salt: None,
            published: "2026-01-01T00:00:00Z".into(),
        };
        let manifest = Signed::sign(manifest, &owner).unwrap();
        let envelope = |envelope: &Envelope| envelope.clone();
        let published =
            Published { manifest: envelope(manifest.envelope()), policy: envelope(policy.envelope()), lease: None, newest: None };
        (manifest.id(), published)
    }

    #[test]
    fn a_manifest_that_says_more_than_its_policy_allows_is_found() {
        let [closed, open] = ["nobody", "granted"].map(policy);
        for (named, under, rule) in [
            (&closed, &closed, None),
            (&open, &open, None),
            (&open, &closed, Some("manifest-form")),
            (&closed, &open, Some("manifest-form")),
        ] {
            let (id, published) = shown(named, under);
            let mut report = Report::default();
            let logged = Signed::sign(under.clone(), &Identity::from_seed([1; 32])).unwrap().id();
            let seen = |policy| VersionSeen { entry: 7, policy, population: ContentHash::of(b"p"), owner: None };
            report.stated.versions.insert(id, seen(logged));
            let found = wrong(published.clone(), &report);
            assert_eq!(found.as_ref().map(|one| (one.entry, one.rule.as_str())), rule.map(|rule| (7, rule)), "{found:?}");
            // Logged with another policy than it is shown with.
            report.stated.versions.insert(id, seen(ContentHash::of(b"another")));
            assert!(wrong(published, &report).is_some());
        }
    }
}
