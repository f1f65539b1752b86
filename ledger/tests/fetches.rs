//! Parts of files that are sent: what an audit asks of them, and that the ledger says no such thing which an audit would refuse.

use crate::{
    common::{GRANT, audited, granted, manifest, owner, population, publication, scope},
    rules::{facts, good, is, of},
};
use tidegate_ledger::{Store, StoreError};
use tidegate_protocol::{
    Identity, Sha256Digest,
    grant::{Action, Scope},
    receipt::{Party, Predicate},
};

const SUBJECT: Sha256Digest = Sha256Digest([3; 32]);

/// A part of a file is sent to who was let copy something a while before, by a grant that is neither revoked nor over.
#[test]
fn a_part_is_sent_to_who_was_let_copy_a_while_before() {
    let peer: Party = Identity::from_seed([2; 32]).id().into();
    let ids = |more: &[&str]| [&[GRANT], more].concat().iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let copy = |time: &str, grant_ids| Predicate::Copy {
        peer,
        holder: None,
        sealed: false,
        key: false,
        manifest: manifest(),
        population: population(),
        grant_ids,
        time: time.into(),
    };
    let replay = |time: &str| {
        let (population, job, grant_ids) = (population(), facts(1, None).job, ids(&[]));
        Predicate::Replay { auditor: peer, holder: None, population, job, outcome: 3, grant_ids, time: time.into() }
    };
    let fetch = |time: &str| Predicate::Fetch { peer, file: manifest(), ranges: vec![(0, None)], time: time.into() };
    let revoked = |id: &str| Predicate::Revocation { grant: id.into() };
    let after = |expires: &str, more: Vec<Predicate>| {
        let mut log = good();
        let actions = vec![Action::Compute, Action::Replicate, Action::Replay];
        log[1] = granted(Scope { actions, expires: expires.into(), ..scope() });
        log.extend(more);
        of(log)
    };
    let fine = |more| assert_eq!(after("2027-01-01T00:00:00Z", more), []);
    let broken = |expires, more: Vec<Predicate>, rule| {
        let last = 4 + more.len() as u64;
        is(after(expires, more), last, rule);
    };
    let late = "2027-01-01T00:00:00Z";
    for before in [copy("2026-01-01T10:00:00Z", ids(&[])), replay("2026-01-01T10:00:00Z")] {
        // Within an hour, and a minute by which a clock may be set.
        for time in ["2026-01-01T09:59:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:59:59Z", "2026-01-01T11:01:00Z"] {
            fine(vec![before.clone(), fetch(time)]);
        }
        for time in ["2026-01-01T09:58:59Z", "2026-01-01T11:01:01Z", "2026-02-01T00:00:00Z"] {
            broken(late, vec![before.clone(), fetch(time)], "fetch-granted");
        }
        // Let again, it goes on.
        fine(vec![before.clone(), copy("2026-01-01T11:30:00Z", ids(&["cc"])), fetch("2026-01-01T12:00:00Z")]);
        // A grant that ends in between, and one that is revoked in between.
        let ends = "2026-01-01T10:30:00Z";
        assert_eq!(after(ends, vec![before.clone(), fetch("2026-01-01T10:30:59Z")]), []);
        broken(ends, vec![before.clone(), fetch("2026-01-01T10:31:00Z")], "grant-expired");
        broken(late, vec![before.clone(), revoked(GRANT), fetch("2026-01-01T10:00:00Z")], "grant-revoked");
        fine(vec![before.clone(), revoked("cc"), fetch("2026-01-01T10:00:00Z")]);
    }
    // By what was narrowed, until that is revoked; by another grant it goes on.
    let narrowed = copy("2026-01-01T10:00:00Z", ids(&["cc"]));
    broken(late, vec![narrowed.clone(), revoked("cc"), fetch("2026-01-01T10:00:00Z")], "grant-revoked");
    let both = vec![copy("2026-01-01T10:00:00Z", ids(&[])), narrowed, revoked("cc"), fetch("2026-01-01T10:00:00Z")];
    fine(both);
    broken(late, vec![copy("2026-01-01T10:00:00Z", ids(&[])), fetch("soon")], "time");
}

/// A number below another, by xorshift.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Copies, replays, revocations and fetches of several parties, by clocks that are set now and then: what the ledger says, an audit finds nothing wrong with.
#[test]
fn whatever_is_sent_an_audit_finds_nothing() {
    let (mut sent, mut refused) = (0, std::collections::BTreeMap::<_, u32>::new());
    for seed in 1..=6u64 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), owner()).unwrap();
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        store.record("dataset manifest", SUBJECT, publication()).unwrap();
        let expires = format!("2026-01-01T0{}:30:00Z", 1 + chance.next(3));
        store.record("grant", SUBJECT, granted(Scope { actions: Action::ALL.to_vec(), expires, ..scope() })).unwrap();
        let mut seconds = 0;
        for _ in 0..100 {
            seconds = match chance.next(20) {
                0 => seconds + chance.next(7200),
                1 => seconds - chance.next(7200).min(seconds),
                _ => seconds + chance.next(100),
            };
            let peer: Party = Identity::from_seed([2 + chance.next(2) as u8; 32]).id().into();
            let time = jiff::Timestamp::from_second(1_767_225_600 + seconds as i64).unwrap().to_string();
            let ids = match chance.next(4) {
                0 => vec![GRANT.to_owned(), format!("narrowed {}", chance.next(3))],
                _ => vec![GRANT.to_owned()],
            };
            // Only its holder copies.
            let holder = Some(Identity::from_seed([2; 32]).id().into());
            let (manifest, population) = (manifest(), population());
            let says = match chance.next(60) {
                0 => Predicate::Revocation { grant: format!("narrowed {}", chance.next(3)) },
                1 if seed % 3 == 0 => Predicate::Revocation { grant: GRANT.into() },
                1..12 => {
                    let (sealed, key) = [(false, false), (true, false), (false, true)][chance.next(3) as usize];
                    Predicate::Copy { peer, holder, sealed, key, manifest, population, grant_ids: ids, time }
                }
                12..16 => {
                    let (job, outcome) = (manifest, 0);
                    Predicate::Replay { auditor: peer, holder, population, job, outcome, grant_ids: ids, time }
                }
                _ => Predicate::Fetch { peer, file: manifest, ranges: vec![(0, None)], time },
            };
            let fetch = matches!(says, Predicate::Fetch { .. });
            match store.record("it", SUBJECT, says) {
                Ok(_) => sent += u32::from(fetch),
                Err(StoreError::Rule { rule, .. }) if fetch => *refused.entry(rule).or_default() += 1,
                Err(StoreError::Rule { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
        store.export().unwrap();
        assert_eq!(audited(store.log_folder()).unwrap().findings, [], "seed {seed}");
    }
    for rule in ["fetch-granted", "grant-expired", "grant-revoked"] {
        assert!(refused.contains_key(rule), "{refused:?}");
    }
    assert!(sent > 100, "{sent}");
}
