//! Nothing enters the log that an audit of it would refuse, whatever is asked: each rule by itself, and what chance comes up with.

use std::path::Path;

use crate::common::{GRANT, SUMS, ask, audited, begun, column, cost, granted, manifest, owner, population, publication, scope};
use tidegate_audit::{log::Frontier, note};
use tidegate_ledger::{Reserve, ReserveError, Store, StoreError};
use tidegate_protocol::{
    ContentHash, Cost, Countersignature, Identity, Lease, MicroRho, Sha256Digest, Signed,
    cost::{FemtoDelta, MicroEpsilon},
    grant::{Action, Scope},
    receipt::{JobFacts, LedgerLink, Party, Predicate, Statement, entry::Ending},
};

const SUBJECT: Sha256Digest = Sha256Digest([3; 32]);

/// With a grant for everything.
fn open(folder: &Path) -> Store {
    let store = Store::open(folder, owner()).unwrap();
    store.record("dataset manifest", SUBJECT, publication()).unwrap();
    store.record("grant", SUBJECT, granted(Scope { actions: Action::ALL.to_vec(), ..scope() })).unwrap();
    store
}

fn refused(store: &Store, ask: Reserve) -> &'static str {
    let before = (store.published(), store.spent(&population(), None).unwrap());
    let rule = match store.reserve(ask) {
        Err(ReserveError::Rule { rule, .. }) => rule,
        other => panic!("{other:?}"),
    };
    store.export().unwrap();
    assert_eq!((store.published(), store.spent(&population(), None).unwrap()), before, "{rule}: something was written");
    rule
}

fn not_recorded(store: &Store, predicate: Predicate) -> &'static str {
    match store.record("it", SUBJECT, predicate) {
        Err(StoreError::Rule { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_that_an_audit_would_refuse_is_not_charged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut number = 0;
    let mut with = |change: &dyn Fn(&mut JobFacts)| {
        number += 1;
        let mut ask = ask(number, 10);
        change(&mut ask.facts);
        refused(&store, ask)
    };
    let other: Party = Identity::from_seed([8; 32]).id().into();
    let wide = |facts: &mut JobFacts, change: &dyn Fn(&mut tidegate_protocol::receipt::ColumnNote)| {
        let mut one = column(1);
        change(&mut one);
        facts.mechanism.columns = vec![one];
    };
    assert_eq!(with(&|f| f.ledger.job = ContentHash([9; 32])), "ledger-binding");
    assert_eq!(with(&|f| f.ledger.buyer = other), "ledger-binding");
    assert_eq!(with(&|f| f.approval = Some(ContentHash([4; 32]))), "approval-logged");
    assert_eq!(with(&|f| f.slot_end = f.slot_start.clone()), "time");
    assert_eq!(with(&|f| f.slot_start = "yesterday".into()), "time");
    assert_eq!(with(&|f| f.mechanism.noise = "none".into()), "price");
    // What SUM(clamp(age, 0, 1e-300)) came to: steps of nothing.
    assert_eq!(with(&|f| wide(f, &|c| (c.moves, c.noise_scale) = (vec![0.0], vec![0.0]))), "price");
    assert_eq!(with(&|f| wide(f, &|c| c.noise_scale = vec![-1.0])), "price");
    assert_eq!(with(&|f| wide(f, &|c| c.moves = vec![f64::MIN_POSITIVE])), "sensitivity");
    assert_eq!(with(&|f| wide(f, &|c| c.lo = f64::NAN)), "sensitivity");
    assert_eq!(with(&|f| f.mechanism.threshold = Some(5)), "threshold");
    assert_eq!(with(&|f| f.mechanism.threshold_noise = Some(0.0)), "price");
    assert_eq!(with(&|f| f.ledger.cost = cost(501)), "grant-ceiling");
    assert_eq!(with(&|f| f.grant_ids = vec![]), "grant-issued");
    assert_eq!(with(&|f| f.grant_ids = vec!["bb".into()]), "grant-issued");
    let late = |f: &mut JobFacts| (f.slot_start, f.slot_end) = ("2027-01-01T00:00:00Z".into(), "2027-01-01T00:00:01Z".into());
    assert_eq!(with(&late), "grant-expired");
    // The node looked before, and the revocation came in between.
    store.record("revocation", SUBJECT, Predicate::Revocation { grant: "cc".into() }).unwrap();
    assert_eq!(with(&|f| f.grant_ids.push("cc".into())), "grant-revoked");
    store.reserve(ask(99, 10)).unwrap().unwrap();
    store.record("revocation", SUBJECT, Predicate::Revocation { grant: GRANT.into() }).unwrap();
    assert_eq!(with(&|_| ()), "grant-revoked");
    store.export().unwrap();
    assert_eq!(audited(store.log_folder()).unwrap().findings, []);
}

#[test]
fn what_is_no_job_is_held_against_the_rules_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (buyer, stranger) = (Identity::from_seed([2; 32]), Identity::from_seed([8; 32]));
    let (peer, at): (Party, String) = (buyer.id().into(), "2026-01-01T00:00:00Z".into());
    let ids = |id: &str| vec![id.to_owned()];
    let copy = |grant_ids, time: &str| Predicate::Copy {
        peer,
        holder: None,
        sealed: false,
        key: false,
        manifest: manifest(),
        population: population(),
        grant_ids,
        time: time.into(),
    };
    assert_eq!(not_recorded(&store, copy(ids(GRANT), "now")), "time");
    assert_eq!(not_recorded(&store, copy(ids("bb"), &at)), "grant-issued");
    assert_eq!(not_recorded(&store, copy(ids(GRANT), "2028-01-01T00:00:00Z")), "grant-expired");
    store.record("it", SUBJECT, copy(ids(GRANT), &at)).unwrap();
    let fetch = |peer: &Identity, time: &str| Predicate::Fetch {
        peer: peer.id().into(),
        file: manifest(),
        ranges: vec![(0, None)],
        time: time.into(),
    };
    assert_eq!(not_recorded(&store, fetch(&buyer, "")), "time");
    // It was let copy an hour, and its grant ends in between.
    store.record("it", SUBJECT, fetch(&buyer, "2026-01-01T01:00:59Z")).unwrap();
    assert_eq!(not_recorded(&store, fetch(&buyer, "2026-01-01T01:02:00Z")), "fetch-granted");
    assert_eq!(not_recorded(&store, fetch(&stranger, &at)), "fetch-granted");
    store.record("it", SUBJECT, copy(ids(GRANT), "2026-12-31T23:30:00Z")).unwrap();
    store.record("it", SUBJECT, fetch(&buyer, "2026-12-31T23:59:59Z")).unwrap();
    assert_eq!(not_recorded(&store, fetch(&buyer, "2027-01-01T00:01:00Z")), "grant-expired");
    store.record("it", SUBJECT, copy(ids(GRANT), &at)).unwrap();
    let mut never = granted(Scope { expires: "never".into(), ..scope() });
    if let Predicate::Grant { grant, .. } = &mut never {
        *grant = "dd".into();
    }
    assert_eq!(not_recorded(&store, never), "time");
    let job = ask(1, 10).facts.job;
    let replay = |outcome, grant_ids| Predicate::Replay {
        auditor: peer,
        holder: None,
        population: population(),
        job,
        outcome,
        grant_ids,
        time: at.clone(),
    };
    assert_eq!(not_recorded(&store, replay(9, ids(GRANT))), "replay-of-receipt");
    assert_eq!(not_recorded(&store, replay(0, ids("bb"))), "grant-issued");
    store.record("it", SUBJECT, replay(0, ids(GRANT))).unwrap();

    let reservation = store.reserve(ask(1, 10)).unwrap().unwrap();
    let record = store.finish(reservation, "{}".into(), SUMS).unwrap();
    store.export().unwrap();
    let tidegate_ledger::State::Done { outcome, .. } = record.state else { panic!() };
    let (envelope, _) = store.prove(outcome).unwrap();
    let receipt = Sha256Digest::of(&envelope.to_canonical().unwrap());
    let word = |by: &Identity, outcome, receipt| {
        let word = Signed::sign(Countersignature { version: 1, outcome, receipt }, by).unwrap();
        let signature = word.envelope().signatures[0].sig.clone();
        store.record("receipt", receipt, Predicate::Countersignature { buyer: peer, job, outcome, signature })
    };
    let broke = |recorded: Result<u64, StoreError>| matches!(recorded, Err(StoreError::Rule { rule: "countersignature", .. }));
    assert!(broke(word(&stranger, outcome, receipt)));
    assert!(broke(word(&buyer, outcome + 100, receipt)));
    word(&buyer, outcome, receipt).unwrap();

    let lease = Lease {
        version: 1,
        population: population(),
        manifest: manifest(),
        holder: buyer.id(),
        amount: cost(10),
        per_buyer: cost(10),
        nonce: "0".repeat(32),
        sequence: 0,
        given: at.clone(),
        until: "2026-01-02T00:00:00Z".into(),
    };
    let signed = Signed::sign(lease.clone(), &owner()).unwrap();
    let (signature, holder) = (signed.envelope().signatures[0].sig.clone(), buyer.id().into());
    let link = LedgerLink {
        buyer: holder,
        cap: cost(1000),
        cost: cost(11),
        job: signed.id(),
        population: population(),
        previous: SUBJECT,
        sequence: 0,
    };
    let given = |lease: &Lease, signature: &str| Predicate::Lease {
        lease: Box::new(lease.clone()),
        signature: signature.into(),
        ledger: link.clone(),
        grant_ids: ids(GRANT),
    };
    assert_eq!(not_recorded(&store, given(&lease, "")), "lease-signature");
    assert_eq!(not_recorded(&store, given(&lease, &signature)), "ledger-binding");
    let taken = Predicate::LeaseTaken { lease: Box::new(lease), owner: owner().id(), signature };
    assert_eq!(not_recorded(&store, taken), "lease-holder");

    store.record("revocation", SUBJECT, Predicate::Revocation { grant: GRANT.into() }).unwrap();
    for predicate in [copy(ids(GRANT), &at), replay(0, ids(GRANT)), fetch(&buyer, &at)] {
        assert_eq!(not_recorded(&store, predicate), "grant-revoked");
    }
    assert_eq!(audited(store.log_folder()).unwrap().findings, []);
}

/// One that is refused holds up none of those that come at the same time.
#[test]
fn others_are_charged_beside_one_that_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.record("revocation", SUBJECT, Predicate::Revocation { grant: "cc".into() }).unwrap();
    let charged: usize = std::thread::scope(|scope| {
        let store = &store;
        let run = move |number: u32| {
            let mut ask = ask(number, 10);
            if number.is_multiple_of(2) {
                ask.facts.grant_ids.push("cc".into());
            }
            usize::from(store.reserve(ask).is_ok())
        };
        let all: Vec<_> = (0..32).map(|number| scope.spawn(move || run(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(charged, 16);
    store.export().unwrap();
    assert_eq!(audited(store.log_folder()).unwrap().findings, []);
}

/// Numbers that are no better than chance: xorshift (Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Of all kinds that there are, more often than not a usual one.
    fn number(&mut self) -> f64 {
        let odd = [0.0, -0.0, 1e-300, f64::MIN_POSITIVE, 5e-324, 1e308, -1e308, f64::INFINITY, f64::NAN, -1.0, f64::EPSILON];
        match self.next(4) {
            0 => odd[self.next(odd.len() as u64) as usize],
            1 => f64::from_bits(self.0),
            _ => self.next(10_000) as f64 / 7.0,
        }
    }

    fn numbers(&mut self) -> Vec<f64> {
        (0..self.next(3)).map(|_| self.number()).collect()
    }
}

#[test]
fn whatever_is_asked_an_audit_finds_nothing() {
    let (mut charged, mut turned_away) = (0, 0);
    for seed in 1..=12u64 {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut open = Vec::new();
        for number in 0..60u32 {
            let mut ask = ask(number, chance.next(700));
            let facts = &mut ask.facts;
            for _ in 0..chance.next(4) {
                match chance.next(13) {
                    0 => facts.slot_start = format!("2026-01-01T00:00:{:02}Z", chance.next(70)),
                    1 => facts.slot_end = format!("20{:02}-01-01T00:00:30Z", chance.next(40)),
                    2 => facts.grant_ids = vec![[GRANT, "bb", "cc", ""][chance.next(4) as usize].into()],
                    3 => facts.grant_ids.push("cc".into()),
                    4 => facts.mechanism.max_groups = chance.next(5) as u32,
                    5 => facts.mechanism.threshold_noise = Some(chance.number()),
                    6 => facts.mechanism.threshold = Some(chance.next(100) as i64 - 10),
                    7 => facts.mechanism.least_units = Some(chance.next(100) as i64 - 10),
                    8 => facts.mechanism.noise = ["none", "discrete-laplace", ""][chance.next(3) as usize].into(),
                    9 => facts.ledger.cost.epsilon_micro = MicroEpsilon(chance.next(300)),
                    10 => facts.ledger.cost = Cost::dp(MicroRho(chance.next(300)), FemtoDelta(chance.next(1 << 40))),
                    11 => facts.ledger.cost = Cost::REVIEWED,
                    _ => {
                        let mut one = column(chance.next(5) as usize);
                        (one.lo, one.hi) = (chance.number(), chance.number());
                        (one.moves, one.noise_scale) = (chance.numbers(), chance.numbers());
                        (one.deviation, one.steps) = (one.noise_scale.clone(), vec![1e-200; one.noise_scale.len()]);
                        let reducers = ["sum", "mean", "variance", "vector-sum", "histogram", "units", "made-up"];
                        one.reducer = reducers[chance.next(7) as usize].into();
                        facts.mechanism.columns.push(one);
                    }
                }
            }
            match store.reserve(ask) {
                Ok(Ok(reservation)) => {
                    charged += 1;
                    open.push(reservation);
                }
                Ok(Err(record)) => panic!("{record:?}"),
                Err(_) => turned_away += 1,
            }
            if chance.next(3) == 0
                && let Some(one) = open.pop()
            {
                if chance.next(4) == 0 {
                    store.close(one).unwrap()
                } else {
                    store.finish(one, "{}".into(), SUMS).unwrap()
                };
            }
            if chance.next(40) == 0 {
                let grant = ["cc", GRANT][chance.next(2) as usize].into();
                store.record("revocation", SUBJECT, Predicate::Revocation { grant }).unwrap();
            }
        }
        store.export().unwrap();
        assert_eq!(audited(store.log_folder()).unwrap().findings, [], "seed {seed}");
    }
    assert!(charged > 50 && turned_away > 50, "{charged} and {turned_away}");
}

/// What was poisoned before there was this rule can still be brought back: it was published, and audits name it.
#[test]
fn a_log_that_was_poisoned_once_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut facts = ask(1, 10).facts;
    facts.mechanism.columns =
        vec![tidegate_protocol::receipt::ColumnNote { moves: vec![0.0], noise_scale: vec![0.0], ..column(1) }];
    let entries = [
        publication(),
        granted(scope()),
        Predicate::Intent(Box::new(facts.clone())),
        Predicate::Outcome {
            facts: Box::new(facts),
            intent: 2,
            mode: "dp".into(),
            outcome: Ending::Released,
            commitment: Some(SUMS),
        },
    ];
    let sign = |predicate: Predicate| {
        Signed::sign(Statement::about("it", SUBJECT, predicate), &owner()).unwrap().envelope().to_canonical().unwrap()
    };
    let entries = entries.map(sign);
    let mut frontier = Frontier::default();
    entries.iter().for_each(|entry| frontier.push(entry));
    let checkpoint = note::sign_checkpoint(&owner(), 4, &frontier.root()).into_bytes();
    let bundle: Vec<u8> = entries.iter().flat_map(|entry| [&(entry.len() as u16).to_be_bytes()[..], entry].concat()).collect();
    let mut copy = |path: &str| Ok(if path == "checkpoint" { checkpoint.clone() } else { bundle.clone() });
    let (store, restored) = Store::restore(dir.path(), owner(), &mut copy).unwrap();
    assert_eq!(restored.entries, 4);
    let found: Vec<_> = audited(store.log_folder()).unwrap().findings.into_iter().map(|f| (f.entry, f.rule)).collect();
    assert_eq!(found, [(2, "price".to_owned())]);
}
