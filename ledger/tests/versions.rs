//! Which version is in force: a log in which another acts is found by the rule and the entry, and a ledger does not write it.

use crate::common::{GRANT, ask, cost, grant, granted, manifest, owner, policy, population, publication, scope, soon};
use tidegate_audit::{Audit, lineage::NotInForce};
use tidegate_ledger::{
    ReserveError, Store, StoreError, from_folder,
    store::{LeaseAsk, LeaseError},
};
use tidegate_protocol::{
    ContentHash, Cost, Identity, Sha256Digest, Signed,
    grant::{Action, Scope},
    policy::Answering,
    receipt::{JobFacts, Predicate, Statement, entry::Change},
    revocations::{name, of_population, of_version},
};

const SECOND: ContentHash = ContentHash([22; 32]);
const NARROW: ContentHash = ContentHash([33; 32]);
const ZERO: Sha256Digest = Sha256Digest([0; 32]);

/// The second version, whose policy lets `versions` before it answer.
fn second(versions: Answering) -> Predicate {
    Predicate::Publication {
        manifest: SECOND,
        policy: NARROW,
        population: population(),
        previous: Some(manifest()),
        changes: vec![Change::Policy, Change::Budget],
        cap: cost(800),
        per_buyer: cost(15),
        owner: None,
        versions,
    }
}

/// The one after it, of the same policy.
fn third() -> Predicate {
    let mut third = second(Answering::All);
    if let Predicate::Publication { manifest, previous, changes, .. } = &mut third {
        (*manifest, *previous, *changes) = (ContentHash([44; 32]), Some(SECOND), vec![]);
    }
    third
}

fn retired(manifest: Option<ContentHash>) -> Predicate {
    Predicate::Retirement { manifest, population: population() }
}

/// A job on the first version, before there was another; or under another's policy too.
fn on_first(request: u32, newest: Option<ContentHash>) -> JobFacts {
    let mut facts = ask(request, 10).facts;
    facts.policy_newest = newest;
    if newest.is_some() {
        facts.ledger.cap = cost(800);
    }
    facts
}

fn on_second(request: u32) -> JobFacts {
    let mut facts = on_first(request, None);
    (facts.dataset, facts.policy, facts.previous, facts.ledger.cap) = (SECOND, NARROW, Some(manifest()), cost(800));
    facts
}

fn intent(facts: JobFacts) -> Predicate {
    Predicate::Intent(Box::new(facts))
}

fn after(mut facts: JobFacts, before: &JobFacts) -> JobFacts {
    (facts.ledger.sequence, facts.ledger.previous) = (before.ledger.sequence + 1, before.ledger.digest().unwrap());
    facts
}

/// A copy of the files, or of the encrypted ones.
fn copy(manifest: ContentHash, sealed: bool) -> Predicate {
    Predicate::Copy {
        peer: Identity::from_seed([2; 32]).id().into(),
        sealed,
        key: false,
        holder: None,
        manifest,
        population: population(),
        grant_ids: vec![GRANT.into()],
        time: "2026-01-01T00:00:00Z".into(),
    }
}

fn may_all() -> Predicate {
    granted(Scope { actions: vec![Action::Compute, Action::Replicate, Action::Mirror, Action::Replay, Action::Hold], ..scope() })
}

/// What an audit finds in a log of these, at once or kept in between.
fn findings(log: &[Predicate]) -> Vec<(u64, String)> {
    let sign = |says: &Predicate| {
        let statement = Statement::about("it", Sha256Digest([3; 32]), says.clone());
        Signed::sign(statement, &owner()).unwrap().envelope().to_canonical().unwrap()
    };
    let entries: Vec<_> = log.iter().map(sign).collect();
    let mut audit = Audit::new(owner().id());
    for (index, entry) in (0..).zip(&entries) {
        audit.bundle(index, std::slice::from_ref(entry));
        audit = serde_json::from_str(&serde_json::to_string(&audit).unwrap()).unwrap();
    }
    audit.report(soon()).findings.into_iter().map(|f| (f.entry, f.rule)).collect()
}

fn is(log: &[Predicate], entry: u64, rule: &str) {
    assert_eq!(findings(log), [(entry, rule.to_owned())]);
}

#[test]
fn an_older_version_answers_only_where_the_newest_says_so() {
    let then = |versions: Answering, facts: JobFacts| vec![publication(), may_all(), second(versions), intent(facts)];
    assert_eq!(findings(&then(Answering::Newest, on_second(1))), []);
    is(&then(Answering::Newest, on_first(1, None)), 3, "version-superseded");
    is(&then(Answering::Newest, on_first(1, Some(NARROW))), 3, "version-superseded");
    is(&then(Answering::These([SECOND].into()), on_first(1, Some(NARROW))), 3, "version-superseded");
    for let_it in [Answering::All, Answering::These([manifest()].into())] {
        assert_eq!(findings(&then(let_it.clone(), on_first(1, Some(NARROW)))), []);
        // Under both policies, and said so.
        is(&then(let_it.clone(), on_first(1, None)), 3, "policy-in-force");
        is(&then(let_it.clone(), on_first(1, Some(policy()))), 3, "policy-in-force");
        // Within the smaller of both caps.
        let mut wide = on_first(1, Some(NARROW));
        wide.ledger.cap = cost(1000);
        is(&then(let_it.clone(), wide), 3, "cap-in-force");
        let mut much = on_first(1, Some(NARROW));
        much.ledger.cost = cost(16);
        is(&then(let_it, much), 3, "buyer-cap");
    }
    // The newest is under its own alone.
    let mut odd = on_second(1);
    odd.policy_newest = Some(NARROW);
    is(&then(Answering::All, odd), 3, "policy-in-force");
    // What was before is as it was.
    let before = on_first(1, None);
    let log = [publication(), may_all(), intent(before.clone()), second(Answering::Newest)];
    assert_eq!(findings(&log), []);
    is(&[&log[..], &[intent(after(on_first(2, None), &before))]].concat(), 4, "version-superseded");
}

#[test]
fn nothing_is_done_by_what_was_retired() {
    let begin = [publication(), may_all(), second(Answering::All)];
    let then = |ends: Option<ContentHash>, act: Predicate| [&begin[..], &[retired(ends), act]].concat();
    let (first, newest) = (intent(on_first(1, Some(NARROW))), intent(on_second(1)));
    is(&then(Some(manifest()), first.clone()), 4, "version-retired");
    is(&then(Some(manifest()), copy(manifest(), false)), 4, "version-retired");
    is(&then(Some(manifest()), copy(manifest(), true)), 4, "version-retired");
    assert_eq!(findings(&then(Some(manifest()), newest.clone())), []);
    // Nobody takes the newest one's place by its being retired, and its policy governs still.
    is(&then(Some(SECOND), newest.clone()), 4, "version-retired");
    assert_eq!(findings(&then(Some(SECOND), first.clone())), []);
    let alone = [publication(), may_all(), second(Answering::Newest), retired(Some(SECOND)), intent(on_first(1, None))];
    is(&alone, 4, "version-superseded");
    for act in [first, newest, copy(SECOND, false), copy(manifest(), true), third()] {
        let found = findings(&then(None, act));
        assert!(found.contains(&(4, "version-retired".into())), "{found:?}");
    }
    // A superseded one is copied no more either.
    is(&[publication(), may_all(), second(Answering::Newest), copy(manifest(), false)], 3, "version-superseded");
    is(&[publication(), grant(), retired(Some(SECOND))], 2, "dataset-published");
    is(&[publication(), grant(), Predicate::Retirement { manifest: None, population: SECOND }], 2, "dataset-published");
    // Receipts of before can be replayed.
    let replay = Predicate::Replay {
        auditor: Identity::from_seed([2; 32]).id().into(),
        holder: None,
        population: population(),
        job: on_first(1, None).job,
        outcome: 0,
        grant_ids: vec![GRANT.into()],
        time: "2026-01-01T00:00:00Z".into(),
    };
    assert_eq!(findings(&then(None, replay)), []);
}

/// What an audit would find is never written, whoever asks; and nothing is charged.
#[test]
fn the_ledger_writes_nothing_by_a_version_that_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), owner()).unwrap();
    store.record("dataset manifest", ZERO, publication()).unwrap();
    store.record("grant", ZERO, may_all()).unwrap();
    let reserve = |store: &Store, facts: JobFacts| {
        let spent = store.spent(&population(), None).unwrap();
        let refused =
            match store.reserve(tidegate_ledger::Reserve { request: format!("{:032x}", facts.job.0[0]), facts, ..ask(9, 10) }) {
                Err(ReserveError::NotInForce(why)) => Some(why),
                done => {
                    done.unwrap().unwrap();
                    None
                }
            };
        assert_eq!(store.spent(&population(), None).unwrap() == spent, refused.is_some());
        refused
    };
    let lease = |store: &Store, manifest: ContentHash| {
        let given = store.lease(LeaseAsk {
            population: population(),
            manifest,
            holder: Identity::from_seed([2; 32]).id(),
            nonce: "0".repeat(32),
            want: cost(1),
            cap: cost(800),
            per_buyer: cost(15),
            grant_ids: vec![GRANT.into()],
            now: soon(),
            until: soon() + std::time::Duration::from_secs(60),
        });
        match given {
            Err(LeaseError::NotInForce(why)) => Some(why),
            done => {
                done.unwrap();
                None
            }
        }
    };
    let record = |store: &Store, says: Predicate| match store.record("it", ZERO, says) {
        Err(StoreError::NotInForce(why)) => Some(why),
        done => {
            done.unwrap();
            None
        }
    };
    assert_eq!(reserve(&store, on_first(1, None)), None);
    assert_eq!(record(&store, second(Answering::All)), None);
    assert_eq!(reserve(&store, on_first(2, None)), Some(NotInForce::Governed(SECOND)));
    assert_eq!(reserve(&store, on_first(2, Some(NARROW))), None);
    assert_eq!(lease(&store, manifest()), Some(NotInForce::Governed(SECOND)));
    assert_eq!(record(&store, copy(manifest(), false)), None);
    assert_eq!(record(&store, retired(Some(manifest()))), None);
    assert_eq!(reserve(&store, on_first(3, Some(NARROW))), Some(NotInForce::Retired));
    assert_eq!(record(&store, copy(manifest(), true)), Some(NotInForce::Retired));
    assert_eq!(record(&store, retired(Some(ContentHash([9; 32])))), Some(NotInForce::Unknown));
    let list = store.revocations(soon(), std::time::Duration::from_secs(9)).unwrap();
    assert!(list.revoked.contains(&name(&of_version(&manifest()))) && list.number == 1, "{list:?}");
    let size = |store: &Store| store.published();
    let before = size(&store);
    // Said again it is no entry more.
    assert_eq!(record(&store, retired(Some(manifest()))), None);
    assert_eq!(size(&store), before);
    assert_eq!(reserve(&store, on_second(4)), None);
    assert_eq!(record(&store, retired(None)), None);
    assert_eq!(reserve(&store, on_second(5)), Some(NotInForce::Ended));
    assert_eq!(lease(&store, SECOND), Some(NotInForce::Ended));
    assert_eq!(record(&store, copy(SECOND, false)), Some(NotInForce::Ended));
    assert_eq!(record(&store, third()), Some(NotInForce::Ended));
    // A ledger that is brought back from the log knows it too.
    let lineage = store.lineage(&population()).unwrap();
    drop(store);
    let back = tempfile::tempdir().unwrap();
    let (restored, _) = Store::restore(back.path(), owner(), &mut from_folder(folder.path().join("log"))).unwrap();
    assert_eq!(restored.lineage(&population()).unwrap(), lineage);
    assert_eq!(reserve(&restored, on_second(6)), Some(NotInForce::Ended));
    let list = restored.revocations(soon(), std::time::Duration::from_secs(9)).unwrap();
    assert!(list.revoked.contains(&name(&of_population(&population()))), "{list:?}");
    let _: Cost = restored.spent(&population(), None).unwrap();
}
