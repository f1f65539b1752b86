//! Parts of a budget in others' hands: whatever is lost, cut off or done twice, no more is spent by all together than there was ([`ledger`]), and a log that says
//! otherwise is found ([`audit`]).

mod audit;
mod ledger;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use crate::common::{ask, cost, manifest, owner, population, publication, scope, soon};
use tidegate_audit::{Audit, Report, log::scan, note::Verifier};
use tidegate_ledger::{
    ReserveError, Store, from_folder,
    store::{LeaseAsk, LeaseError},
};
use tidegate_protocol::{
    Identity, Lease, MicroRho, Sha256Digest, Signed,
    grant::{Action, Scope},
    receipt::{Party, Predicate},
};

/// Revocation id of a holder's grant.
pub(super) const HOLD: &str = "bb22";
/// The same of a buyer's.
pub(super) const BUY: &str = "cc33";

pub(super) fn holder(n: u8) -> Identity {
    Identity::from_seed([20 + n; 32])
}

pub(super) fn buyer(n: u8) -> Party {
    Identity::from_seed([2 + n; 32]).id().into()
}

/// An owner's store with a dataset, and grants of `hold` for `holders` parties.
pub(super) fn lessor(folder: &Path, holders: u8) -> Store {
    let store = Store::open(folder, owner()).unwrap();
    store.record("dataset manifest", Sha256Digest([0; 32]), publication()).unwrap();
    for n in 0..holders {
        granted(&store, format!("{HOLD}{n}"), holder(n).id().into(), Action::Hold);
    }
    buyers_are_granted(&store);
    store
}

pub(super) fn granted(store: &Store, grant: String, holder: Party, action: Action) {
    let scope = Box::new(Scope { actions: vec![action], rho_ceiling: MicroRho(1000), ..scope() });
    let grant = Predicate::Grant { grant, holder, population: population(), scope };
    store.record("grant", Sha256Digest([0; 32]), grant).unwrap();
}

pub(super) fn buyers_are_granted(store: &Store) {
    (0..2).for_each(|n| granted(store, format!("{BUY}{n}"), buyer(n), Action::Compute));
}

/// A holder's store, whose log says for whom it holds the dataset.
pub(super) fn lessee(folder: &Path, n: u8) -> Store {
    let store = Store::open(folder, holder(n)).unwrap();
    if store.size().unwrap() == 0 {
        lessee_says(&store);
        buyers_are_granted(&store);
    }
    store
}

pub(super) fn lessee_says(store: &Store) {
    let mut held = publication();
    if let Predicate::Publication { owner: of, .. } = &mut held {
        *of = Some(owner().id());
    }
    store.record("dataset manifest", Sha256Digest([0; 32]), held).unwrap();
}

/// A time within a few minutes of that at which the test jobs' slots begin.
pub(super) fn at(seconds: u64) -> SystemTime {
    "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().map(SystemTime::from).unwrap() - Duration::from_secs(60)
        + Duration::from_secs(seconds)
}

pub(super) fn wish(n: u8, nonce: u64, micro: u64) -> LeaseAsk {
    LeaseAsk {
        population: population(),
        manifest: manifest(),
        holder: holder(n).id(),
        nonce: format!("{nonce:032x}"),
        want: cost(micro),
        cap: cost(1000),
        per_buyer: cost(900),
        grant_ids: vec![format!("{HOLD}{n}")],
        now: at(0),
        until: at(3600),
    }
}

pub(super) fn hand_over(from: &Store, to: &Store, ask: LeaseAsk) -> Result<Lease, LeaseError> {
    let given = from.lease(ask)?;
    let taken = to.take(Signed::open(given.envelope).unwrap(), given.less)?;
    assert_eq!((taken.id, &taken.lease, taken.owner), (given.id, &given.lease, owner().id()));
    Ok(taken.lease)
}

/// A job of one buyer's at a holder, under its open lease, or at the owner.
pub(super) fn run(store: &Store, request: u32, of: u8, micro: u64) -> Result<(), ReserveError> {
    let mut ask = ask(request, micro);
    (ask.facts.buyer, ask.facts.ledger.buyer, ask.facts.grant_ids) = (buyer(of), buyer(of), vec![format!("{BUY}{of}")]);
    if store.owner() != owner().id() {
        let taken = store.taken(&population()).unwrap();
        if let Some(taken) = taken {
            (ask.facts.lease, ask.facts.ledger.cap) = (Some(taken.id), taken.cap());
        }
    }
    store.reserve(ask).map(drop)
}

pub(super) fn give_back(from: &Store, to: &Store) -> Result<u64, LeaseError> {
    let settlement = from.close_lease(population(), at(30)).unwrap().unwrap();
    let settled = to.settle(population(), Signed::open(settlement).unwrap());
    from.lease_is_over(population(), settled.is_ok()).unwrap();
    settled
}

pub(super) fn spent(store: &Store, of: Option<u8>) -> u64 {
    store.spent(&population(), of.map(buyer).as_ref()).unwrap().rho_micro.0
}

pub(super) fn report(store: &Store) -> Report {
    store.export().unwrap();
    let mut audit = Audit::new(store.owner());
    scan(&Verifier::log(&store.owner()), &mut from_folder(store.log_folder()), |index, entry| {
        audit.bundle(index, &[entry.to_vec()]);
        Ok(())
    })
    .unwrap();
    // Kept and read again as auditors keep it.
    let kept: Audit = serde_json::from_str(&serde_json::to_string(&audit).unwrap()).unwrap();
    kept.report(soon())
}

pub(super) fn rules(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{} {}", finding.entry, finding.rule)).collect()
}

pub(super) fn folders<const N: usize>() -> (tempfile::TempDir, [std::path::PathBuf; N]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = std::array::from_fn(|n| folder.path().join(n.to_string()));
    (folder, paths)
}
