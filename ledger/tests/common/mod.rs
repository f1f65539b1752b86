//! An owner's store as a node would fill it: a published dataset, a grant, jobs.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tidegate_audit::{
    Audit, Report,
    log::scan,
    note::{BadNote, Verifier},
};
use tidegate_ledger::{Reserve, Store, from_folder};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, MicroRho, Sha256Digest,
    cost::{FemtoDelta, MicroEpsilon},
    grant::{Action, Scope},
    policy::Answering,
    receipt::{ColumnNote, JobFacts, LedgerLink, Mechanism, Predicate},
};

pub(crate) const GRANT: &str = "aa11";

pub(crate) fn population() -> ContentHash {
    ContentHash::of(b"population")
}

pub(crate) fn manifest() -> ContentHash {
    ContentHash::of(b"manifest")
}

pub(crate) fn policy() -> ContentHash {
    ContentHash::of(b"policy")
}

pub(crate) fn column(i: usize) -> ColumnNote {
    let (noise_scale, deviation, steps, moves) = (vec![1000.0], vec![1000.0], vec![1.0], vec![1.0]);
    ColumnNote { name: format!("{i:0100}"), reducer: "sum".into(), lo: 0.0, hi: 1.0, noise_scale, deviation, steps, moves }
}

pub(crate) fn owner() -> Identity {
    Identity::from_seed([1; 32])
}

pub(crate) fn cost(micro: u64) -> Cost {
    Cost::dp(MicroRho(micro), FemtoDelta(0))
}

pub(crate) fn ask(request: u32, micro: u64) -> Reserve {
    let buyer = Identity::from_seed([2; 32]).id().into();
    let job = ContentHash::of(format!("{request}-{micro}").as_bytes());
    let (population, zero) = (population(), Sha256Digest([0; 32]));
    let ledger = LedgerLink { sequence: 0, previous: zero, population, buyer, job, cost: cost(micro), cap: cost(1000) };
    let envelope = Envelope::sign("test", b"{}", &Identity::from_seed([2; 32]));
    Reserve {
        request: format!("{request:032x}"),
        job: envelope.clone(),
        per_buyer: cost(900),
        facts: JobFacts {
            job,
            buyer_signature: envelope.signatures[0].sig.clone(),
            columns: vec!["person".into()],
            buyer,
            holder: None,
            dataset: manifest(),
            policy: policy(),
            policy_newest: None,
            kind: "sql".into(),
            program: job,
            grant: job,
            grant_ids: vec![GRANT.into()],
            previous: None,
            dataset_sha256: zero,
            approval: None,
            lease: None,
            ledger,
            mechanism: Mechanism {
                noise: "discrete-gaussian".into(),
                adjacency: "add-remove-one-unit".into(),
                max_groups: 1,
                max_rows: 1,
                blocks: None,
                resample: None,
                rows_read: None,
                least_units: None,
                threshold: None,
                threshold_noise: None,
                columns: vec![],
            },
            engine: "test".into(),
            build: job,
            inference: None,
            slot_start: "2026-01-01T00:00:00Z".into(),
            slot_end: "2026-01-01T00:00:01Z".into(),
        },
    }
}

pub(crate) fn publication() -> Predicate {
    Predicate::Publication {
        manifest: manifest(),
        policy: policy(),
        population: population(),
        previous: None,
        changes: vec![],
        cap: cost(1000),
        per_buyer: cost(900),
        owner: None,
        versions: Answering::Newest,
    }
}

pub(crate) fn scope() -> Scope {
    Scope {
        actions: vec![Action::Compute],
        rho_ceiling: MicroRho(500),
        epsilon_ceiling: MicroEpsilon(0),
        expires: "2027-01-01T00:00:00Z".into(),
        programs: BTreeSet::new(),
        reducers: BTreeSet::new(),
        per_hour: None,
    }
}

pub(crate) fn granted(scope: Scope) -> Predicate {
    let holder = Identity::from_seed([2; 32]).id().into();
    Predicate::Grant { grant: GRANT.into(), holder, population: population(), scope: Box::new(scope) }
}

pub(crate) fn grant() -> Predicate {
    granted(scope())
}

/// A store whose log has a dataset and a grant: entries 0 and 1.
pub(crate) fn begun(folder: &Path) -> Store {
    let store = Store::open(folder, owner()).unwrap();
    begin(&store);
    store
}

/// Logs a dataset and a grant.
pub(crate) fn begin(store: &Store) {
    store.record("dataset manifest", Sha256Digest([0; 32]), publication()).unwrap();
    store.record("grant", Sha256Digest([0; 32]), grant()).unwrap();
}

/// A moment after the jobs' slots.
pub(crate) fn soon() -> SystemTime {
    // 2026-01-01T00:01:00Z
    UNIX_EPOCH + Duration::from_secs(1_767_225_660)
}

/// Reads and audits a folder's log.
pub(crate) fn audited(folder: PathBuf) -> Result<Report, BadNote> {
    let mut audit = Audit::new(owner().id());
    let mut fetch = from_folder(folder);
    scan(&Verifier::log(&owner().id()), &mut fetch, |index, entry| {
        audit.bundle(index, &[entry.to_vec()]);
        Ok(())
    })?;
    Ok(audit.report(soon()))
}

/// What results here commit to.
pub(crate) const SUMS: tidegate_protocol::Sha256Digest = tidegate_protocol::Sha256Digest([5; 32]);
