//! Every rule of the audit: a log that breaks it, and nothing else, is found by the rule's name and the entry.

use std::time::{Duration, UNIX_EPOCH};

use crate::common::{GRANT, SUMS, ask, column, cost, grant, granted, manifest, owner, population, publication, scope, soon};
use tidegate_audit::Audit;
use tidegate_protocol::{
    ContentHash, Countersignature, Identity, Sha256Digest, Signed,
    grant::{Action, Scope},
    limits,
    receipt::{JobFacts, Party, Predicate, Statement, entry::Change, entry::Ending},
};

const SUBJECT: Sha256Digest = Sha256Digest([3; 32]);

fn sign(predicate: Predicate) -> Vec<u8> {
    signed_by(&owner(), Statement::about("it", SUBJECT, predicate))
}

fn signed_by(identity: &Identity, statement: Statement) -> Vec<u8> {
    Signed::sign(statement, identity).unwrap().envelope().to_canonical().unwrap()
}

pub(crate) fn facts(request: u32, after: Option<&JobFacts>) -> JobFacts {
    let mut facts = ask(request, 10).facts;
    if let Some(after) = after {
        (facts.ledger.sequence, facts.ledger.previous) = (after.ledger.sequence + 1, after.ledger.digest().unwrap());
    }
    facts
}

fn outcome(facts: &JobFacts, intent: u64) -> Predicate {
    Predicate::Outcome {
        facts: Box::new(facts.clone()),
        intent,
        mode: "dp".into(),
        outcome: Ending::Released,
        commitment: Some(Sha256Digest([5; 32])),
    }
}

/// A log of a dataset, a grant, a job that is done and one that runs.
pub(crate) fn good() -> Vec<Predicate> {
    let first = facts(1, None);
    let second = facts(2, Some(&first));
    vec![
        publication(),
        grant(),
        Predicate::Intent(Box::new(first.clone())),
        outcome(&first, 2),
        Predicate::Intent(Box::new(second)),
    ]
}

fn findings(entries: &[Vec<u8>]) -> Vec<(u64, String)> {
    let mut audit = Audit::new(owner().id());
    audit.bundle(0, entries);
    let found = audit.report(soon()).findings.into_iter().map(|f| (f.entry, f.rule)).collect();
    // In two parts, kept in between as an auditor keeps it: the same.
    let mut halves = Audit::new(owner().id());
    let middle = entries.len() / 2;
    halves.bundle(0, &entries[..middle]);
    let mut kept: Audit = serde_json::from_str(&serde_json::to_string(&halves).unwrap()).unwrap();
    kept.bundle(middle as u64, &entries[middle..]);
    let again: Vec<_> = kept.report(soon()).findings.into_iter().map(|f| (f.entry, f.rule)).collect();
    assert_eq!(found, again);
    found
}

pub(crate) fn of(predicates: Vec<Predicate>) -> Vec<(u64, String)> {
    findings(&predicates.into_iter().map(sign).collect::<Vec<_>>())
}

/// The good log with one entry changed.
fn with(index: usize, change: impl FnOnce(&mut Predicate)) -> Vec<(u64, String)> {
    let mut log = good();
    change(&mut log[index]);
    of(log)
}

/// The good log with the second job's facts changed.
fn job(change: impl FnOnce(&mut JobFacts)) -> Vec<(u64, String)> {
    with(4, |predicate| match predicate {
        Predicate::Intent(facts) => change(facts),
        _ => panic!("no intent"),
    })
}

pub(crate) fn is(found: Vec<(u64, String)>, entry: u64, rule: &str) {
    assert_eq!(found, [(entry, rule.to_owned())]);
}

#[test]
fn a_good_log_has_no_findings() {
    assert_eq!(of(good()), []);
}

#[test]
fn jobs_and_charges() {
    let other = Identity::from_seed([8; 32]).id().into();
    is(job(|f| f.ledger.job = ContentHash([9; 32])), 4, "ledger-binding");
    is(job(|f| f.ledger.buyer = other), 4, "ledger-binding");
    is(job(|f| f.ledger.sequence = 2), 4, "ledger-chain");
    is(job(|f| f.ledger.previous = Sha256Digest([0; 32])), 4, "ledger-chain");
    is(job(|f| f.ledger.cost = cost(999)), 4, "ledger-cap");
    is(job(|f| f.ledger.cost = cost(895)), 4, "buyer-cap");
    is(job(|f| f.slot_end = f.slot_start.clone()), 4, "time");
    // Read again as an intent without outcome, which says the same.
    assert_eq!(job(|f| f.slot_start = "yesterday".into()), [(4, "time".into()), (4, "time".into())]);
    // A link that is left out is seen at the next: the chain is checked entry by entry.
    let mut log = good();
    log.remove(2);
    assert!(of(log).iter().any(|(_, rule)| rule == "ledger-chain"));
    is(with(3, |p| *p = outcome(&facts(1, None), 4)), 3, "one-outcome");
    let mut twice = good();
    twice.push(outcome(&facts(1, None), 2));
    is(of(twice), 5, "one-outcome");
    let mut changed = facts(1, None);
    changed.mechanism.max_rows = 2;
    is(with(3, |p| *p = outcome(&changed, 2)), 3, "same-facts");
    let closed = |mode: &str| {
        let (facts, outcome) = (Box::new(facts(1, None)), Ending::SpentNotReleased);
        with(3, |p| *p = Predicate::Outcome { facts, intent: 2, mode: mode.into(), outcome, commitment: None })
    };
    assert_eq!(closed("none"), []);
    is(closed("dp"), 3, "mode");
    let committed = |ending, to| {
        let mode = if ending == Ending::Released { "dp" } else { "none" };
        let facts = Box::new(facts(1, None));
        with(3, |p| *p = Predicate::Outcome { facts, intent: 2, mode: mode.into(), outcome: ending, commitment: to })
    };
    is(committed(Ending::Released, None), 3, "commitment");
    is(committed(Ending::SpentNotReleased, Some(SUMS)), 3, "commitment");
    is(job(|f| f.approval = Some(ContentHash([4; 32]))), 4, "approval-logged");
}

#[test]
fn an_intent_that_stays_open_and_one_of_the_future_are_named() {
    let entries: Vec<_> = good().into_iter().map(sign).collect();
    let at = |seconds: u64| {
        let mut audit = Audit::new(owner().id());
        audit.bundle(0, &entries);
        audit
            .report(UNIX_EPOCH + Duration::from_secs(seconds))
            .findings
            .into_iter()
            .map(|f| (f.entry, f.rule))
            .collect::<Vec<_>>()
    };
    let begun = 1_767_225_600;
    assert_eq!(at(begun + 3600), []);
    is(at(begun + 2 * 24 * 3600), 4, "intent-closed");
    is(at(begun - 3600), 4, "time");
}

#[test]
fn what_a_grant_says_of_jobs() {
    let under = |scope: Scope, change: &dyn Fn(&mut JobFacts)| {
        let mut log = good();
        log[1] = granted(scope);
        let Predicate::Intent(facts) = &mut log[4] else { unreachable!() };
        change(facts);
        // Its slot begins after the time of this audit: another rule.
        of(log).into_iter().filter(|(_, rule)| rule != "time").collect::<Vec<_>>()
    };
    let first = facts(1, None).program;
    let programs = |of: &[ContentHash]| Scope { programs: of.iter().copied().collect(), ..scope() };
    assert_eq!(under(programs(&[first, facts(2, None).program]), &|_| ()), []);
    is(under(programs(&[first]), &|_| ()), 4, "grant-program");
    let reducers = |name: &str| Scope { reducers: [name.to_owned()].into(), ..scope() };
    let one_column = |facts: &mut JobFacts| facts.mechanism.columns.push(column(1));
    assert!(!under(reducers("sum"), &one_column).iter().any(|(_, rule)| rule == "grant-reducer"));
    is(under(reducers("mean"), &one_column), 4, "grant-reducer");
    // Within an hour of the first, and an hour after it.
    let rate = |per_hour| Scope { per_hour: Some(per_hour), ..scope() };
    let at = |start: &str, end: &str| {
        let (start, end) = (start.to_owned(), end.to_owned());
        move |facts: &mut JobFacts| (facts.slot_start, facts.slot_end) = (start.clone(), end.clone())
    };
    assert_eq!(under(rate(2), &|_| ()), []);
    is(under(rate(1), &at("2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z")), 4, "grant-rate");
    assert_eq!(under(rate(1), &at("2026-01-01T01:00:00Z", "2026-01-01T01:00:01Z")), []);
}

#[test]
fn a_colleague_s_job_is_on_the_holder_s_account() {
    let (holder, colleague) = (Identity::from_seed([2; 32]).id().into(), Identity::from_seed([8; 32]).id().into());
    assert_eq!(job(|f| (f.buyer, f.holder) = (colleague, Some(holder))), []);
    is(job(|f| (f.buyer, f.holder, f.ledger.buyer) = (colleague, Some(holder), colleague)), 4, "ledger-binding");
    is(job(|f| (f.holder, f.ledger.buyer) = (Some(colleague), colleague)), 4, "grant-covers");
}

#[test]
fn rights() {
    let other = Identity::from_seed([8; 32]).id().into();
    is(job(|f| f.dataset = ContentHash([9; 32])), 4, "dataset-published");
    is(job(|f| f.policy = ContentHash([9; 32])), 4, "policy-in-force");
    is(job(|f| f.previous = Some(manifest())), 4, "lineage");
    is(job(|f| f.ledger.cap = cost(2000)), 4, "cap-in-force");
    is(job(|f| f.grant_ids = vec![]), 4, "grant-issued");
    is(job(|f| f.grant_ids = vec!["bb".into()]), 4, "grant-issued");
    is(job(|f| (f.buyer, f.ledger.buyer) = (other, other)), 4, "grant-covers");
    is(job(|f| f.ledger.cost = cost(501)), 4, "grant-ceiling");
    // Before that time comes it is also one of the future.
    let late = job(|f| (f.slot_start, f.slot_end) = ("2027-01-01T00:00:00Z".into(), "2027-01-01T00:00:01Z".into()));
    assert_eq!(late, [(4, "grant-expired".into()), (4, "time".into())]);
    // A revocation counts from its place in the log on, for the grant and for what was narrowed from it.
    for id in [GRANT, "cc"] {
        let mut revoked = good();
        revoked.insert(4, Predicate::Revocation { grant: id.into() });
        if let Predicate::Intent(facts) = &mut revoked[5] {
            facts.grant_ids.push("cc".into());
        }
        is(of(revoked), 5, "grant-revoked");
    }
    let mut later = good();
    later.push(Predicate::Revocation { grant: GRANT.into() });
    assert_eq!(of(later), []);
    is(
        with(1, |p| {
            if let Predicate::Grant { scope, .. } = p {
                scope.expires = "never".into();
            }
        })
        .into_iter()
        .take(1)
        .collect(),
        1,
        "time",
    );
    let copy_by = |actions: &[Action], peer, (sealed, key), ids: &[&str]| {
        let mut log = good();
        if let Predicate::Grant { scope, .. } = &mut log[1] {
            scope.actions.extend(actions);
        }
        let grant_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        log.push(Predicate::Copy {
            peer,
            holder: None,
            sealed,
            key,
            manifest: manifest(),
            population: population(),
            grant_ids,
            time: "2026-01-01T00:00:00Z".into(),
        });
        of(log)
    };
    let [files, encrypted, named_with] = [(false, false), (true, false), (false, true)];
    let copy = |actions: &[Action], what| copy_by(actions, Identity::from_seed([2; 32]).id().into(), what, &[GRANT]);
    for what in [files, encrypted, named_with] {
        is(copy(&[], what), 5, "grant-covers");
    }
    // Who mirrors has the encrypted files, and no others; who holds is told what the files are named with.
    for (action, may) in
        [(Action::Mirror, &[encrypted][..]), (Action::Replicate, &[files, encrypted]), (Action::Hold, &[named_with])]
    {
        for what in [files, encrypted, named_with] {
            match may.contains(&what) {
                true => assert_eq!(copy(&[action], what), []),
                false => is(copy(&[action], what), 5, "grant-covers"),
            }
        }
    }
    is(copy(&[Action::Hold, Action::Mirror], (true, true)), 5, "copy-form");
    is(copy_by(&[Action::Replicate], Identity::from_seed([2; 32]).id().into(), encrypted, &["unknown"]), 5, "grant-issued");
    let replay = |outcome, actions: &[Action]| {
        let mut log = good();
        if let Predicate::Grant { scope, .. } = &mut log[1] {
            scope.actions.extend(actions);
        }
        let (auditor, grant_ids) = (Identity::from_seed([2; 32]).id().into(), vec![GRANT.into()]);
        let (population, job, time) = (population(), facts(1, None).job, "2026-01-01T00:00:00Z".into());
        log.push(Predicate::Replay { auditor, holder: None, population, job, outcome, grant_ids, time });
        of(log)
    };
    assert_eq!(replay(3, &[Action::Replay]), []);
    is(replay(3, &[Action::Replicate]), 5, "grant-covers");
    is(replay(5, &[Action::Replay]), 5, "replay-of-receipt");
    let mut log = good();
    log.push(Predicate::Fetch { peer: other, file: manifest(), ranges: vec![(0, None)], time: "2026-01-01T00:00:00Z".into() });
    is(of(log), 5, "fetch-granted");
    let mut log = good();
    if let Predicate::Grant { scope, .. } = &mut log[1] {
        scope.actions.push(Action::Hold);
    }
    let time = || "2026-01-01T00:00:00Z".to_owned();
    let (manifest, population, grant_ids) = (manifest(), population(), vec![GRANT.into()]);
    let holder = Identity::from_seed([2; 32]).id().into();
    log.push(Predicate::Copy {
        peer: holder,
        holder: None,
        sealed: false,
        key: true,
        manifest,
        population,
        grant_ids,
        time: time(),
    });
    log.push(Predicate::Fetch { peer: holder, file: manifest, ranges: vec![(0, None)], time: time() });
    is(of(log), 6, "fetch-granted");
}

#[test]
fn publications() {
    let next = |changes: Vec<Change>, cap: u64, before: ContentHash, of_population: ContentHash| {
        let mut log = good();
        log.push(Predicate::Publication {
            versions: Default::default(),
            manifest: ContentHash([5; 32]),
            policy: ContentHash([6; 32]),
            population: of_population,
            previous: Some(before),
            changes,
            cap: cost(cap),
            per_buyer: cost(900),
            owner: None,
        });
        of(log)
    };
    assert_eq!(next(vec![Change::Data, Change::Policy], 1000, manifest(), population()), []);
    assert_eq!(next(vec![Change::Policy, Change::Budget], 2000, manifest(), population()), []);
    is(next(vec![Change::Policy], 2000, manifest(), population()), 5, "changes");
    is(next(vec![Change::Data], 1000, manifest(), population()), 5, "changes");
    is(next(vec![Change::Policy], 1000, ContentHash([7; 32]), population()), 5, "lineage");
    is(next(vec![Change::Policy], 1000, manifest(), ContentHash([7; 32])), 5, "lineage");
    let mut twice = good();
    twice.push(publication());
    is(of(twice), 5, "publication-once");
    is(of(vec![grant()]), 0, "grant-population");
}

#[test]
fn entries_by_themselves() {
    let good: Vec<_> = good().into_iter().map(sign).collect();
    let replaced = |entry: Vec<u8>| {
        let mut log = good.clone();
        log[4] = entry;
        findings(&log)
    };
    is(replaced(b"{}".to_vec()), 4, "entry-form");
    is(replaced([good[4].clone(), b" ".to_vec()].concat()), 4, "entry-form");
    is(replaced(vec![b'x'; 70_000]), 4, "entry-form");
    let mut flipped = good[4].clone();
    flipped[40] ^= 1;
    assert!(replaced(flipped)[0].1.starts_with("entry-"));
    let statement = || Statement::about("it", SUBJECT, Predicate::Revocation { grant: "aa".into() });
    is(replaced(signed_by(&Identity::from_seed([9; 32]), statement())), 4, "entry-signer");
    let mut newer = statement();
    newer.predicate_type = newer.predicate_type.replace("/v1", "/v2");
    is(replaced(signed_by(&owner(), newer)), 4, "statement-type");
    let mut none = statement();
    none.subject.clear();
    is(replaced(signed_by(&owner(), none)), 4, "statement-type");
}

#[test]
fn countersignatures() {
    let buyer = Identity::from_seed([2; 32]);
    let receipt = Sha256Digest::of(&sign(good()[3].clone()));
    let word = |by: &Identity, outcome, receipt| {
        let word = Signed::sign(Countersignature { version: 1, outcome, receipt }, by).unwrap();
        (word.envelope().signatures[0].sig.clone(), receipt)
    };
    let job = facts(1, None).job;
    let entry = |(signature, receipt): (String, Sha256Digest), by: &Identity, outcome, job| {
        let predicate = Predicate::Countersignature { buyer: by.id().into(), job, outcome, signature };
        signed_by(&owner(), Statement::about("receipt", receipt, predicate))
    };
    let log = || good().into_iter().map(sign).collect::<Vec<_>>();
    let with = |more: Vec<Vec<u8>>| findings(&log().into_iter().chain(more).collect::<Vec<_>>());
    let fine = entry(word(&buyer, 3, receipt), &buyer, 3, job);
    assert_eq!(with(vec![fine.clone()]), []);
    is(with(vec![fine.clone(), fine.clone()]), 6, "countersignature");
    let stranger = Identity::from_seed([8; 32]);
    for wrong in [
        entry(word(&stranger, 3, receipt), &stranger, 3, job),
        entry(word(&stranger, 3, receipt), &buyer, 3, job),
        entry(word(&buyer, 3, SUBJECT), &buyer, 3, job),
        entry((word(&buyer, 3, SUBJECT).0, receipt), &buyer, 3, job),
        entry(word(&buyer, 2, receipt), &buyer, 2, job),
        entry(word(&buyer, 9, receipt), &buyer, 9, job),
        entry(word(&buyer, 3, receipt), &buyer, 3, ContentHash([9; 32])),
    ] {
        is(with(vec![wrong]), 5, "countersignature");
    }
    // A name that is a commitment: what its party signed can be checked where it was opened.
    let salt = Sha256Digest([6; 32]);
    let hidden = Party::hide(&buyer.id(), &salt);
    let by_nobody = |opened: bool, signature: String| {
        let mut log = good();
        for predicate in &mut log {
            match predicate {
                Predicate::Grant { holder, .. } => *holder = hidden,
                Predicate::Intent(facts) | Predicate::Outcome { facts, .. } => {
                    (facts.buyer, facts.ledger.buyer) = (hidden, hidden);
                }
                _ => {}
            }
        }
        // The second link names the first anew.
        log.pop();
        let mut log: Vec<_> = log.into_iter().map(sign).collect();
        let receipt = Sha256Digest::of(&log[3]);
        let signature = if signature.is_empty() { word(&buyer, 3, receipt).0 } else { signature };
        let predicate = Predicate::Countersignature { buyer: hidden, job, outcome: 3, signature };
        log.push(signed_by(&owner(), Statement::about("receipt", receipt, predicate)));
        let mut audit = Audit::new(owner().id());
        if opened {
            audit.open_names([(hidden, buyer.id())].into());
        }
        audit.bundle(0, &log);
        audit.report(soon()).findings.into_iter().map(|f| (f.entry, f.rule)).collect::<Vec<_>>()
    };
    let wrong = word(&stranger, 3, receipt).0;
    assert_eq!((by_nobody(false, String::new()), by_nobody(true, String::new())), (vec![], vec![]));
    assert_eq!(by_nobody(false, wrong.clone()), []);
    is(by_nobody(true, wrong), 4, "countersignature");
    // Long after: nobody who goes through the log remembers the receipt.
    let mut audit = Audit::new(owner().id());
    audit.bundle(0, &log());
    audit.bundle(limits::COUNTERSIGN_WITHIN + 4, &[fine]);
    let found: Vec<_> = audit.report(soon()).findings.into_iter().map(|f| (f.entry, f.rule)).collect();
    is(found, limits::COUNTERSIGN_WITHIN + 4, "countersignature");
}
