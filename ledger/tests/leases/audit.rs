//! Logs of owners and leaseholders that break a rule.

use super::{BUY, HOLD, buyer, folders, give_back, hand_over, holder, lessee, lessor, report, run, wish};
use crate::common::{cost, manifest, owner, soon};
use tidegate_audit::{Audit, Report, log::scan, note::Verifier, open_entry, rules::holder::compare};
use tidegate_ledger::{Store, from_folder};
use tidegate_protocol::{
    ContentHash, Cost, Identity, Lease, MicroRho, Settlement, Sha256Digest, Signed,
    receipt::{JobFacts, LedgerLink, Predicate},
};

#[test]
fn what_two_logs_say_of_a_lease_is_held_together() {
    let (_folder, [a, b]) = folders();
    let (owner_store, holder_store) = (lessor(&a, 1), lessee(&b, 0));
    hand_over(&owner_store, &holder_store, wish(0, 1, 300)).unwrap();
    let (given, taken) = (report(&owner_store), report(&holder_store));
    assert_eq!(compare(&given, &taken), []);
    let wrong = |change: &dyn Fn(&mut Report, &mut Report)| {
        let (mut given, mut taken) = (given.clone(), taken.clone());
        change(&mut given, &mut taken);
        compare(&given, &taken).into_iter().map(|finding| (finding.entry, finding.rule)).collect::<Vec<_>>()
    };
    let is = |found: Vec<(u64, String)>, entry: u64, rule: &str| assert_eq!(found, [(entry, rule.to_owned())]);
    is(wrong(&|given, _| given.leases.clear()), 3, "lease-given");
    is(wrong(&|_, taken| taken.leases.values_mut().for_each(|seen| seen.amount = cost(301))), 3, "lease-given");
    let credited =
        |given: &mut Report, _: &mut Report| given.leases.values_mut().for_each(|seen| seen.spent = Some(Cost::default()));
    is(wrong(&credited), 3, "lease-spent");
    is(wrong(&|given, _| given.stated.versions.clear()), 0, "dataset-published");
    is(wrong(&|_, taken| taken.stated.versions.values_mut().for_each(|seen| seen.policy = manifest())), 0, "dataset-published");
    is(wrong(&|given, _| drop(given.stated.grants.remove("cc330"))), 1, "grant-issued");
    let wider =
        |_: &mut Report, taken: &mut Report| taken.stated.grants.get_mut("cc331").unwrap().scope.rho_ceiling = MicroRho(9999);
    is(wrong(&wider), 2, "grant-issued");
    // Another owner's are not its business.
    assert_eq!(wrong(&|given, _| given.stated.owner = Some(holder(5).id())), []);
}

/// What is done to a lease in a log: document, signature, charge, grant.
type Change<'a> = &'a dyn Fn(&mut Lease, &mut String, &mut LedgerLink, &mut Vec<String>);

/// An entry of a log that breaks one rule of leases is found by that rule's name.
#[test]
fn every_rule_of_leases_is_looked_at() {
    let (_folder, [a, b]) = folders();
    let (owner_store, holder_store) = (lessor(&a, 2), lessee(&b, 0));
    hand_over(&owner_store, &holder_store, wish(0, 1, 300)).unwrap();
    run(&holder_store, 1, 0, 100).unwrap();
    run(&holder_store, 2, 1, 20).unwrap();
    give_back(&holder_store, &owner_store).unwrap();
    let read = |store: &Store| {
        let mut found = Vec::new();
        scan(&Verifier::log(&store.owner()), &mut from_folder(store.log_folder()), |_, entry| {
            found.push(open_entry(entry, &store.owner()).unwrap());
            Ok(())
        })
        .unwrap();
        found
    };
    let broken = |store: &Store, by: &Identity, at: usize, change: &dyn Fn(&mut Predicate)| {
        let mut audit = Audit::new(store.owner());
        for (index, mut statement) in (0u64..).zip(read(store)) {
            if index as usize == at {
                change(&mut statement.predicate);
            }
            audit.bundle(index, &[Signed::sign(statement, by).unwrap().envelope().to_canonical().unwrap()]);
        }
        audit.report(soon()).findings.first().map(|finding| (finding.entry, finding.rule.clone()))
    };
    let resign = |lease: &mut Lease, signature: &mut String, change: &dyn Fn(&mut Lease), by: &Identity| {
        change(lease);
        *signature = Signed::sign(lease.clone(), by).unwrap().envelope().signatures[0].sig.clone();
    };
    // The owner's log: dataset, four grants, the lease, its end.
    let of_owner = |change: &dyn Fn(&mut Predicate), at| broken(&owner_store, &owner(), at, change);
    let is = |found: Option<(u64, String)>, at: u64, rule: &str| assert_eq!(found, Some((at, rule.to_owned())));
    assert_eq!(of_owner(&|_| (), 5), None);
    let lease = |change: Change<'_>| {
        of_owner(
            &|predicate| {
                let Predicate::Lease { lease, signature, ledger, grant_ids } = predicate else { panic!("{predicate:?}") };
                change(lease, signature, ledger, grant_ids);
            },
            5,
        )
    };
    is(lease(&|lease, _, _, _| lease.amount = cost(1)), 5, "lease-signature");
    is(lease(&|lease, signature, _, _| resign(lease, signature, &|_| (), &holder(0))), 5, "lease-signature");
    is(lease(&|lease, signature, _, _| resign(lease, signature, &|l| l.per_buyer = cost(301), &owner())), 5, "lease-form");
    is(lease(&|lease, signature, _, _| resign(lease, signature, &|l| l.amount = cost(400), &owner())), 5, "ledger-binding");
    is(lease(&|_, _, ledger, _| ledger.cost = cost(200)), 5, "ledger-binding");
    is(lease(&|_, _, ledger, _| ledger.sequence = 1), 5, "ledger-binding");
    is(lease(&|_, _, ledger, _| ledger.previous = Sha256Digest([1; 32])), 5, "ledger-chain");
    is(lease(&|_, _, ledger, _| ledger.cap = cost(200)), 5, "ledger-cap");
    is(lease(&|_, _, ledger, _| ledger.cap = cost(2000)), 5, "cap-in-force");
    is(lease(&|_, _, _, ids| *ids = vec![format!("{BUY}0")]), 5, "grant-covers");
    is(lease(&|_, _, _, ids| *ids = vec![format!("{HOLD}1")]), 5, "grant-covers");
    is(lease(&|_, _, _, ids| *ids = vec![]), 5, "grant-issued");
    let end = |store: &Store, by: &Identity, at: usize, change: &dyn Fn(&mut Settlement)| {
        broken(store, by, at, &|predicate| {
            let Predicate::LeaseEnd { settlement: Some(settlement), signature: Some(signature), .. } = predicate else {
                panic!("{predicate:?}")
            };
            change(settlement);
            *signature = Signed::sign((**settlement).clone(), &holder(0)).unwrap().envelope().signatures[0].sig.clone();
        })
    };
    is(end(&owner_store, &owner(), 6, &|s| s.spent = cost(301)), 6, "lease-form");
    is(end(&owner_store, &owner(), 6, &|s| s.lease = manifest()), 6, "lease-form");
    is(
        of_owner(
            &|p| {
                if let Predicate::LeaseEnd { signature, .. } = p {
                    *signature = None
                }
            },
            6,
        ),
        6,
        "lease-signature",
    );
    is(
        of_owner(
            &|p| {
                if let Predicate::LeaseEnd { lease, .. } = p {
                    *lease = manifest()
                }
            },
            6,
        ),
        6,
        "lease-form",
    );
    // The leaseholder's: dataset, two grants, the lease, two jobs, its end.
    let of_holder = |change: &dyn Fn(&mut Predicate), at| broken(&holder_store, &holder(0), at, change);
    assert_eq!(of_holder(&|_| (), 3), None);
    let taken = |change: &dyn Fn(&mut Lease), by: &Identity| {
        of_holder(
            &|predicate| {
                let Predicate::LeaseTaken { lease, signature, .. } = predicate else { panic!("{predicate:?}") };
                resign(lease, signature, change, by);
            },
            3,
        )
    };
    is(taken(&|_| (), &holder(0)), 3, "lease-signature");
    is(taken(&|lease| lease.holder = holder(1).id(), &owner()), 3, "lease-holder");
    is(taken(&|lease| lease.manifest = ContentHash([9; 32]), &owner()), 3, "dataset-published");
    is(taken(&|lease| lease.until = lease.given.clone(), &owner()), 3, "lease-form");
    let job = |change: &dyn Fn(&mut JobFacts)| {
        of_holder(
            &|predicate| {
                let Predicate::Intent(facts) = predicate else { panic!("{predicate:?}") };
                change(facts);
            },
            4,
        )
    };
    is(job(&|facts| facts.lease = None), 4, "lease-in-force");
    is(job(&|facts| facts.lease = Some(manifest())), 4, "lease-in-force");
    is(
        job(&|facts| (facts.slot_start, facts.slot_end) = ("2026-01-02T00:00:00Z".into(), "2026-01-02T00:00:01Z".into())),
        4,
        "lease-in-force",
    );
    is(job(&|facts| facts.ledger.cap = cost(301)), 4, "cap-in-force");
    is(job(&|facts| facts.ledger.cost = cost(301)), 4, "ledger-cap");
    is(end(&holder_store, &holder(0), 6, &|s| (s.spent, s.buyers) = (cost(20), [(buyer(1), cost(20))].into())), 6, "lease-spent");
    is(end(&holder_store, &holder(0), 6, &|s| s.spent = cost(1)), 6, "lease-form");
}
