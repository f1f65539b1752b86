//! What is charged, given back and lost.

use std::collections::BTreeMap;

use super::{
    BUY, at, buyer, folders, give_back, granted, hand_over, holder, lessee, lessee_says, lessor, report, rules, run, spent, wish,
};
use crate::common::{ask, cost, owner, population};
use tidegate_audit::rules::holder::compare;
use tidegate_ledger::{
    ReserveError, Store, from_folder,
    store::{LeaseAsk, LeaseError, LeaseStanding, Restored, Whereabouts},
};
use tidegate_protocol::{ContentHash, Identity, Settlement, Signed, grant::Action, limits};

#[test]
fn what_is_handed_over_is_charged_at_once_and_what_is_left_comes_back() {
    let (_folder, [a, b]) = folders();
    let (owner, holder) = (lessor(&a, 1), lessee(&b, 0));
    // Said again, for whom it is held is one entry.
    let size = holder.size().unwrap();
    lessee_says(&holder);
    assert_eq!(holder.size().unwrap(), size);
    run(&owner, 1, 0, 100).unwrap();
    let lease = hand_over(&owner, &holder, wish(0, 1, 500)).unwrap();
    assert_eq!((spent(&owner, None), lease.amount, lease.per_buyer), (600, cost(500), cost(500)));
    // Asked for again by its name it is the same, and charged once.
    assert_eq!(hand_over(&owner, &holder, wish(0, 1, 500)).unwrap(), lease);
    assert_eq!(spent(&owner, None), 600);
    // What the buyer may spend there is set aside here: of 900 it has spent 100, and 500 are there.
    assert_eq!(owner.left_for(&population(), &buyer(0), cost(900)).unwrap(), cost(300));
    assert!(matches!(run(&owner, 2, 0, 301), Err(ReserveError::Buyer { left, .. }) if left == cost(300)));
    run(&holder, 1, 0, 200).unwrap();
    run(&holder, 2, 1, 50).unwrap();
    assert!(matches!(run(&holder, 3, 1, 251), Err(ReserveError::Population { left, .. }) if left == cost(250)));
    give_back(&holder, &owner).unwrap();
    assert_eq!((spent(&owner, None), spent(&owner, Some(0)), spent(&owner, Some(1))), (350, 300, 50));
    assert!(matches!(run(&holder, 4, 0, 1), Err(ReserveError::Lease)), "it was given back");
    assert_eq!(holder.taken(&population()).unwrap().unwrap().state, LeaseStanding::Settled);
    // The next one is another, and goes on from what was spent here.
    let lease = hand_over(&owner, &holder, wish(0, 2, 1000)).unwrap();
    assert_eq!((lease.amount, spent(&owner, None)), (cost(650), 1000));
    run(&holder, 5, 0, 600).unwrap();
    assert!(run(&owner, 6, 1, 1).is_err());
    give_back(&holder, &owner).unwrap();
    assert_eq!(spent(&owner, None), 950);
    let (owner, holder) = (report(&owner), report(&holder));
    assert_eq!((rules(&owner), rules(&holder)), (vec![], vec![]));
    assert_eq!(compare(&owner, &holder), []);
    assert_eq!(holder.leases.len(), 2);
}

#[test]
fn a_buyer_with_less_left_has_less_there() {
    let (_folder, [a, b]) = folders();
    let (owner, holder) = (lessor(&a, 1), lessee(&b, 0));
    run(&owner, 1, 0, 850).unwrap();
    let lease = hand_over(&owner, &holder, wish(0, 1, 140)).unwrap();
    assert_eq!((lease.amount, lease.per_buyer), (cost(140), cost(140)));
    assert!(matches!(run(&holder, 1, 0, 51), Err(ReserveError::Buyer { left, .. }) if left == cost(50)));
    run(&holder, 1, 0, 50).unwrap();
    run(&holder, 2, 1, 90).unwrap();
    let taken = holder.taken(&population()).unwrap().unwrap();
    assert_eq!(holder.left_of_lease(&taken, Some(&buyer(0))).unwrap(), cost(0));
    give_back(&holder, &owner).unwrap();
    assert_eq!((spent(&owner, Some(0)), spent(&owner, Some(1))), (900, 90));
    assert_eq!(rules(&report(&owner)), Vec::<String>::new());
}

#[test]
fn a_lost_lease_is_burnt_and_never_comes_back() {
    let (_folder, [a, b, c]) = folders();
    let (owner, holder) = (lessor(&a, 1), lessee(&b, 0));
    hand_over(&owner, &holder, wish(0, 1, 300)).unwrap();
    run(&holder, 1, 0, 10).unwrap();
    // Its machine is gone; the same party begins anew, and knows of no lease.
    let anew = lessee(&c, 0);
    let lease = hand_over(&owner, &anew, wish(0, 2, 300)).unwrap();
    assert_eq!((lease.amount, spent(&owner, None)), (cost(300), 600));
    assert_eq!(owner.leases(&population()).unwrap()[0].state, Whereabouts::Burnt);
    // The old machine is found again: what it has is nobody's.
    let settlement = holder.close_lease(population(), at(9)).unwrap().unwrap();
    assert!(matches!(owner.settle(population(), Signed::open(settlement).unwrap()), Err(LeaseError::Ended)));
    assert!(matches!(owner.lease(wish(0, 1, 300)), Err(LeaseError::Ended)));
    assert_eq!(spent(&owner, None), 600);
    // A buyer may have spent its share of it.
    assert_eq!(owner.left_for(&population(), &buyer(0), cost(900)).unwrap(), cost(300));
    // Nothing is heard of the other either: it is waited for as long as it was given for.
    assert_eq!(owner.burn_lost(at(7100)).unwrap(), 0);
    assert_eq!(owner.burn_lost(at(7300)).unwrap(), 1);
    assert_eq!(owner.burn_lost(at(7400)).unwrap(), 0);
    let report = report(&owner);
    assert_eq!((rules(&report), report.leases.values().filter(|seen| seen.burnt).count()), (vec![], 2));
}

#[test]
fn what_is_no_settlement_gives_nothing_back() {
    let (_folder, [a, b]) = folders();
    let (owner, holder_store) = (lessor(&a, 2), lessee(&b, 0));
    hand_over(&owner, &holder_store, wish(0, 1, 300)).unwrap();
    run(&holder_store, 1, 0, 200).unwrap();
    let lease = holder_store.taken(&population()).unwrap().unwrap().id;
    let settlement = |spent: u64, buyers: &[(u8, u64)]| Settlement {
        version: 1,
        lease,
        spent: cost(spent),
        buyers: buyers.iter().map(|(n, micro)| (buyer(*n), cost(*micro))).collect(),
        closed: "2026-01-01T00:00:00Z".into(),
    };
    let settle = |settlement: Settlement, by: &Identity| owner.settle(population(), Signed::sign(settlement, by).unwrap());
    assert!(matches!(settle(settlement(0, &[]), &holder(1)), Err(LeaseError::Unknown)), "another's");
    let other = Settlement { lease: ContentHash([9; 32]), ..settlement(0, &[]) };
    assert!(matches!(settle(other, &holder(0)), Err(LeaseError::Unknown)));
    assert!(matches!(settle(settlement(301, &[(0, 301)]), &holder(0)), Err(LeaseError::Settlement("spent"))));
    assert!(matches!(settle(settlement(100, &[]), &holder(0)), Err(LeaseError::Settlement("buyers"))));
    assert_eq!(spent(&owner, None), 300);
    let good = Signed::<Settlement>::open(holder_store.close_lease(population(), at(1)).unwrap().unwrap()).unwrap();
    let index = owner.settle(population(), good.clone()).unwrap();
    // Sent again, because the answer was lost, it is the same; another of that lease is none.
    assert_eq!(owner.settle(population(), good).unwrap(), index);
    assert!(matches!(settle(settlement(0, &[]), &holder(0)), Err(LeaseError::Ended)));
    assert_eq!(spent(&owner, None), 200);
}

#[test]
fn no_lease_is_charged_out_of_its_time_or_for_other_rows() {
    let (_folder, [a, b]) = folders();
    let (owner, holder) = (lessor(&a, 1), lessee(&b, 0));
    assert!(matches!(run(&holder, 1, 0, 1), Err(ReserveError::Lease)), "there is none yet");
    hand_over(&owner, &holder, LeaseAsk { until: at(50), ..wish(0, 1, 300) }).unwrap();
    assert!(matches!(run(&holder, 1, 0, 1), Err(ReserveError::Lease)), "it had run out when the slot began");
    give_back(&holder, &owner).unwrap();
    hand_over(&owner, &holder, LeaseAsk { manifest: ContentHash([7; 32]), ..wish(0, 2, 300) }).unwrap();
    assert!(matches!(run(&holder, 1, 0, 1), Err(ReserveError::Lease)), "it is over another version");
    give_back(&holder, &owner).unwrap();
    hand_over(&owner, &holder, wish(0, 3, 300)).unwrap();
    let mut ask = ask(1, 1);
    ask.facts.ledger.cap = cost(300);
    assert!(matches!(holder.reserve(ask.clone()), Err(ReserveError::Lease)), "it names none");
    ask.facts.lease = Some(ContentHash([1; 32]));
    assert!(matches!(holder.reserve(ask.clone()), Err(ReserveError::Lease)), "it names another");
    ask.facts.lease = holder.taken(&population()).unwrap().map(|taken| taken.id);
    ask.facts.ledger.cap = cost(1000);
    assert!(matches!(holder.reserve(ask), Err(ReserveError::Lease)), "its cap is not the lease's");
    // Another lease is not taken beside it.
    let given = owner.lease(wish(0, 4, 100)).unwrap();
    assert!(matches!(holder.take(Signed::open(given.envelope).unwrap(), given.less), Err(LeaseError::TooMany)));
    // The owner itself has none.
    let mut ask = crate::common::ask(9, 1);
    ask.facts.lease = Some(ContentHash([1; 32]));
    assert!(matches!(owner.reserve(ask), Err(ReserveError::Lease)));
}

/// A settlement names each buyer, and has so much room: whoever comes after the last waits for the next lease, those that are in it go on.
#[test]
fn a_lease_has_so_many_buyers_and_no_more() {
    let (_folder, [a, b]) = folders();
    let (owner, holder) = (lessor(&a, 1), lessee(&b, 0));
    hand_over(&owner, &holder, wish(0, 1, 900)).unwrap();
    let most = limits::LEASE_BUYERS as u8;
    (0..=most).for_each(|n| granted(&holder, format!("{BUY}{n}"), buyer(n), Action::Compute));
    for n in 0..most {
        run(&holder, u32::from(n), n, 1).unwrap();
    }
    assert!(matches!(run(&holder, 900, most, 1), Err(ReserveError::Lease)));
    run(&holder, 901, 7, 1).unwrap();
    give_back(&holder, &owner).unwrap();
    assert_eq!((spent(&owner, None), spent(&owner, Some(7)), spent(&owner, Some(most))), (201, 2, 0));
    hand_over(&owner, &holder, wish(0, 2, 100)).unwrap();
    run(&holder, 902, most, 1).unwrap();
}

/// Numbers that look like chance, the same each time.
struct Chance(blake3::OutputReader);

impl Chance {
    fn of(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, most: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % most
    }
}

/// Nodes that are cut off from each other, lose their machines, come back and ask again, at random.
#[test]
fn whatever_is_lost_all_together_spend_no_more_than_there_is() {
    for seed in 0..6 {
        let mut random = Chance::of(seed);
        let (_folder, [a, b, c]) = folders();
        let owner_store = lessor(&a, 2);
        let mut homes = [b, c];
        let mut stores: Vec<Store> = (0..2).map(|n| lessee(&homes[n as usize], n)).collect();
        let (mut nonce, mut request, mut spent_all, mut by_buyer) = (0u64, 0u32, 0u64, BTreeMap::<u8, u64>::new());
        let mut lost_settlements = Vec::new();
        for _ in 0..120 {
            let n = random.below(2) as u8;
            let holder = &stores[n as usize];
            let (of, micro) = (random.below(2) as u8, 1 + random.below(59));
            match random.below(12) {
                0..5 => {
                    request += 1;
                    if run(holder, request, of, micro).is_ok() {
                        spent_all += micro;
                        *by_buyer.entry(of).or_default() += micro;
                    }
                }
                5 => {
                    request += 1;
                    if run(&owner_store, request, of, micro).is_ok() {
                        spent_all += micro;
                        *by_buyer.entry(of).or_default() += micro;
                    }
                }
                6 | 7 => {
                    nonce += 1;
                    // The answer may be lost on its way, and the name with it or not.
                    match random.below(3) {
                        0 => drop(owner_store.lease(wish(n, nonce, 5 * micro))),
                        1 => {
                            drop(owner_store.lease(wish(n, nonce, 5 * micro)));
                            drop(hand_over(&owner_store, holder, wish(n, nonce, 5 * micro)));
                        }
                        _ => drop(hand_over(&owner_store, holder, wish(n, nonce, 5 * micro))),
                    }
                }
                8 => {
                    if let Some(settlement) = holder.close_lease(population(), at(30)).unwrap() {
                        lost_settlements.push(settlement);
                    }
                }
                9 => {
                    if let Some(settlement) = holder.close_lease(population(), at(30)).unwrap() {
                        let settled = owner_store.settle(population(), Signed::open(settlement).unwrap());
                        holder.lease_is_over(population(), settled.is_ok()).unwrap();
                    }
                }
                10 => {
                    // A settlement comes late, or again.
                    if let Some(settlement) = lost_settlements.last() {
                        drop(owner_store.settle(population(), Signed::open(settlement.clone()).unwrap()));
                    }
                }
                _ if random.below(4) == 0 => {
                    // The machine is lost with all that was on it.
                    let home = homes[n as usize].with_extension(format!("{nonce}-{request}"));
                    stores[n as usize] = lessee(&home, n);
                    homes[n as usize] = home;
                }
                _ => drop(owner_store.burn_lost(at(if random.below(2) == 0 { 0 } else { 9000 }))),
            }
            assert!(spent_all <= 1000, "{seed}: {spent_all} were spent");
            assert!(by_buyer.values().all(|spent| *spent <= 900), "{seed}: {by_buyer:?}");
            assert!(spent_all <= spent(&owner_store, None), "{seed}: more was spent than the owner counts");
        }
        let report_of_owner = report(&owner_store);
        assert_eq!(rules(&report_of_owner), Vec::<String>::new(), "{seed}");
        for store in &stores {
            let report = report(store);
            assert_eq!(rules(&report), Vec::<String>::new(), "{seed}");
            assert_eq!(compare(&report_of_owner, &report), [], "{seed}");
        }
    }
}

/// A ledger that is brought back from its log counts what was handed over; what had been taken is not spent any further.
#[test]
fn leases_come_back_with_the_log() {
    let (_folder, [a, b, c, d]) = folders();
    let (owner_store, holder_store) = (lessor(&a, 1), lessee(&b, 0));
    hand_over(&owner_store, &holder_store, wish(0, 1, 300)).unwrap();
    run(&holder_store, 1, 0, 100).unwrap();
    give_back(&holder_store, &owner_store).unwrap();
    hand_over(&owner_store, &holder_store, wish(0, 2, 200)).unwrap();
    run(&holder_store, 2, 0, 10).unwrap();
    holder_store.export().unwrap();
    let (restored, Restored { closed, .. }) = Store::restore(&c, owner(), &mut from_folder(a.join("log"))).unwrap();
    assert_eq!((spent(&restored, None), spent(&restored, Some(0)), closed), (300, 100, 0));
    let states: Vec<_> = restored.leases(&population()).unwrap().into_iter().map(|given| given.state).collect();
    assert_eq!(states, [Whereabouts::Out]);
    assert!(matches!(restored.lease(wish(0, 1, 300)), Err(LeaseError::Ended)), "that one has come back");
    let (restored, _) = Store::restore(&d, holder(0), &mut from_folder(b.join("log"))).unwrap();
    let taken = restored.taken(&population()).unwrap().unwrap();
    assert_eq!((taken.state, spent(&restored, None)), (LeaseStanding::Lost, 110));
    assert!(matches!(run(&restored, 3, 0, 1), Err(ReserveError::Lease)));
    assert_eq!(restored.close_lease(population(), at(9)).unwrap(), None, "it cannot say what was spent");
}
