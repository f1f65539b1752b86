//! The ledger and the log: charged once, never over the cap, never lost, never altered unnoticed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tidegate_catalog::{
    Reserve, ReserveError, State, Store,
    audit::audit,
    log::{from_folder, read},
    note,
};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, MicroRho, Sha256Digest,
    cost::FemtoDelta,
    receipt::{ColumnNote, JobFacts, LedgerLink, Mechanism},
};

fn owner() -> Identity {
    Identity::from_seed([1; 32])
}

fn cost(micro: u64) -> Cost {
    Cost::dp(MicroRho(micro), FemtoDelta(0))
}

fn ask(request: u32, micro: u64) -> Reserve {
    let buyer = Identity::from_seed([2; 32]).id();
    let job = ContentHash::of(format!("{request}-{micro}").as_bytes());
    let population = ContentHash::of(b"population");
    let zero = Sha256Digest([0; 32]);
    let ledger = LedgerLink { sequence: 0, previous: zero, population, buyer, job, cost: cost(micro), cap: cost(1000) };
    Reserve {
        request: format!("{request:032x}"),
        job: Envelope::sign("test", b"{}", &Identity::from_seed([2; 32])),
        subject: Sha256Digest::of(b"{}"),
        per_buyer: cost(900),
        facts: JobFacts {
            job,
            buyer_signature: String::new(),
            buyer,
            dataset: job,
            policy: job,
            kind: "sql".into(),
            program: job,
            grant: job,
            approval: None,
            ledger,
            mechanism: Mechanism {
                noise: "discrete-gaussian".into(),
                adjacency: "add-remove-one-unit".into(),
                max_groups: 1,
                max_rows: 1,
                blocks: None,
                resample: None,
                least_units: None,
                threshold: None,
                columns: vec![],
            },
            engine: "test".into(),
            inference: None,
            slot_start: "2026-01-01T00:00:00Z".into(),
            slot_end: "2026-01-01T00:00:01Z".into(),
        },
    }
}

#[test]
fn the_same_request_is_charged_once_and_another_body_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), owner()).unwrap();
    let reservation = store.reserve(ask(1, 100)).unwrap().unwrap();
    assert!(store.reserve(ask(1, 100)).unwrap().is_ok(), "still running: the same reservation");
    let first = store.finish(reservation, "one".into()).unwrap();
    let again = store.reserve(ask(1, 100)).unwrap().unwrap_err();
    assert_eq!(first, again);
    assert!(matches!(store.reserve(ask(1, 200)), Err(ReserveError::Conflict(_))));
    assert_eq!(store.spent(&ContentHash::of(b"population"), None).unwrap(), cost(100));
}

#[test]
fn a_second_run_of_one_job_cannot_replace_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), owner()).unwrap();
    let one = store.reserve(ask(1, 100)).unwrap().unwrap();
    let two = store.reserve(ask(1, 100)).unwrap().unwrap();
    store.finish(one, "first noise".into()).unwrap();
    let kept = store.finish(two, "fresh noise".into()).unwrap();
    assert!(matches!(kept.state, State::Done { result, .. } if result == "first noise"));
}

#[test]
fn sixty_four_writers_cannot_overspend() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), owner()).unwrap());
    let granted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..64)
            .map(|i| {
                let store = store.clone();
                scope.spawn(move || usize::from(store.reserve(ask(i, 100)).is_ok()))
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert_eq!(granted, 9, "900 for one buyer at 100 each");
    assert_eq!(store.spent(&ContentHash::of(b"population"), None).unwrap(), cost(900));
}

#[test]
fn a_reopened_store_names_what_was_charged_but_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = Store::open(dir.path(), owner()).unwrap();
        store.reserve(ask(1, 100)).unwrap().unwrap();
        // Dropped without export: as after kill -9.
    }
    let store = Store::open(dir.path(), owner()).unwrap();
    let mut unfinished = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    store.finish(unfinished.remove(0), "late".into()).unwrap();
    store.export().unwrap();
    let log = read(&owner().id(), from_folder(store.log_folder())).unwrap();
    let report = audit(&log, &owner().id());
    assert_eq!((report.intents, report.outcomes, report.open.len(), report.findings.len()), (1, 1, 0, 0));
}

#[test]
fn the_exported_log_verifies_across_bundles_and_any_altered_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), owner()).unwrap();
    for i in 0..140 {
        let reservation = store.reserve(ask(i, 1)).unwrap().unwrap();
        store.finish(reservation, format!("result {i}")).unwrap();
        if i % 50 == 0 {
            store.export().unwrap();
        }
    }
    store.export().unwrap();
    let folder = store.log_folder();
    let log = read(&owner().id(), from_folder(folder.clone())).unwrap();
    assert_eq!(log.entries.len(), 280);
    assert!(audit(&log, &owner().id()).findings.is_empty());
    for index in [0, 3, 255, 256, 279] {
        let (envelope, proof) = store.prove(index).unwrap();
        let entry = envelope.to_canonical().unwrap();
        assert_eq!(note::check_proof(&proof, &entry, &owner().id()).unwrap().0, index);
        assert!(note::check_proof(&proof, b"other", &owner().id()).is_err());
        let moved = proof.replacen(&format!("index {index}"), &format!("index {}", index ^ 1), 1);
        assert!(note::check_proof(&moved, &entry, &owner().id()).is_err(), "{index}");
    }
    for path in ["tile/entries/000", "tile/entries/001.p/24", "checkpoint"] {
        let good = std::fs::read(folder.join(path)).unwrap();
        for at in [0, 1, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(folder.join(path), &bad).unwrap();
            assert!(read(&owner().id(), from_folder(folder.clone())).is_err(), "{path} byte {at}");
        }
        std::fs::write(folder.join(path), &good[..good.len() - 1]).unwrap();
        assert!(read(&owner().id(), from_folder(folder.clone())).is_err(), "{path} cut short");
        std::fs::write(folder.join(path), good).unwrap();
    }
}

/// A receipt has to fit the log when the job is done: one that would not is refused before anything is charged.
#[test]
fn a_job_whose_receipt_would_not_fit_the_log_is_not_charged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), owner()).unwrap();
    let column =
        |i: usize| ColumnNote { name: format!("{i:0100}"), reducer: "sum".into(), lo: 0.0, hi: 1.0, noise_scale: vec![1.0] };
    let mut refused = false;
    // Around the limit, one by one: whatever is reserved can also be finished.
    for columns in 200..300 {
        let mut ask = ask(columns, 1);
        ask.facts.mechanism.columns = (0..columns as usize).map(column).collect();
        match store.reserve(ask) {
            Ok(reservation) => drop(store.finish(reservation.unwrap(), "result".into()).unwrap()),
            Err(ReserveError::Oversized { .. }) => refused = true,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(refused, "the limit was never reached: the test proves nothing");
    let reserved = store.links(&ContentHash::of(b"population")).unwrap().len() as u64;
    assert_eq!(store.spent(&ContentHash::of(b"population"), None).unwrap(), cost(reserved));
}

/// A disk that is full from a chosen moment on.
#[derive(Debug)]
struct FullDisk(Arc<redb::backends::InMemoryBackend>, Arc<AtomicBool>);

impl redb::StorageBackend for FullDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.fail()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.fail()?;
        self.0.write(offset, data)
    }
}

impl FullDisk {
    fn fail(&self) -> std::io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_full_disk_refuses_the_reservation_and_loses_no_result() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, full) = (Arc::new(redb::backends::InMemoryBackend::new()), Arc::new(AtomicBool::new(false)));
    let open = || Store::with_backend(FullDisk(disk.clone(), full.clone()), dir.path(), owner()).unwrap();
    let population = ContentHash::of(b"population");
    let store = open();
    full.store(true, Ordering::SeqCst);
    let error = store.reserve(ask(1, 100)).unwrap_err();
    assert!(matches!(error, ReserveError::Store(_)), "{error}");
    drop(store);
    full.store(false, Ordering::SeqCst);
    let store = open();
    assert_eq!(store.spent(&population, None).unwrap(), cost(0), "nothing was charged");
    // Full once the charge is durable: the result cannot be kept, so it is not revealed, and the job waits.
    let reservation = store.reserve(ask(2, 100)).unwrap().unwrap();
    full.store(true, Ordering::SeqCst);
    assert!(store.finish(reservation, "never seen".into()).is_err());
    drop(store);
    full.store(false, Ordering::SeqCst);
    let store = open();
    assert_eq!(store.spent(&population, None).unwrap(), cost(100), "charged once");
    let mut unfinished = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    let done = store.finish(unfinished.remove(0), "kept".into()).unwrap();
    assert_eq!(store.reserve(ask(2, 100)).unwrap().unwrap_err(), done);
    assert_eq!(store.spent(&population, None).unwrap(), cost(100));
}
