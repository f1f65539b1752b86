//! The ledger and the log: charged once, never over the cap, never lost, never altered unnoticed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use crate::common::{GRANT, SUMS, ask, audited, begin, begun, column, cost, granted, owner, population, scope};
use tidegate_audit::note;
use tidegate_ledger::{ReserveError, State, Store, store::Standing};
use tidegate_protocol::{Identity, Sha256Digest, grant::Scope, receipt::ColumnNote};

#[test]
fn the_same_request_is_charged_once_and_another_body_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(dir.path());
    let reservation = store.reserve(ask(1, 100)).unwrap().unwrap();
    assert!(store.reserve(ask(1, 100)).unwrap().is_ok(), "still running: the same reservation");
    let first = store.finish(reservation, "one".into(), SUMS).unwrap();
    let again = store.reserve(ask(1, 100)).unwrap().unwrap_err();
    assert_eq!(first, again);
    assert!(matches!(store.reserve(ask(1, 200)), Err(ReserveError::Conflict { .. })));
    assert_eq!(store.spent(&population(), None).unwrap(), cost(100));
}

#[test]
fn a_second_run_of_one_job_cannot_replace_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(dir.path());
    let one = store.reserve(ask(1, 100)).unwrap().unwrap();
    let two = store.reserve(ask(1, 100)).unwrap().unwrap();
    store.finish(one, "first noise".into(), SUMS).unwrap();
    let kept = store.finish(two, "fresh noise".into(), SUMS).unwrap();
    assert!(matches!(kept.state, State::Done { result, .. } if result == "first noise"));
}

#[test]
fn sixty_four_writers_cannot_overspend() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(begun(dir.path()));
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
    assert_eq!(store.spent(&population(), None).unwrap(), cost(900));
}

#[test]
fn a_grant_s_jobs_are_counted_within_the_hour_and_its_holder_s_account_is_charged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), owner()).unwrap();
    store.record("grant", Sha256Digest([0; 32]), granted(Scope { per_hour: Some(2), ..scope() })).unwrap();
    let at = |request, start: &str| {
        let mut ask = ask(request, if request < 4 { 300 } else { 50 });
        (ask.facts.slot_start, ask.facts.slot_end) = (start.into(), start.replace(":00Z", ":01Z"));
        (ask.facts.holder, ask.facts.buyer) = (Some(ask.facts.buyer), Identity::from_seed([8 + request as u8; 32]).id().into());
        ask
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 3000);
    store.reserve(at(1, "2026-01-01T00:00:00Z")).unwrap().unwrap();
    store.reserve(at(2, "2026-01-01T00:30:00Z")).unwrap().unwrap();
    assert_eq!(store.used(GRANT, now).unwrap(), 2);
    assert!(matches!(store.reserve(at(3, "2026-01-01T00:50:00Z")), Err(ReserveError::Rate)));
    assert!(store.reserve(at(1, "2026-01-01T00:50:00Z")).unwrap().is_ok(), "the same job again is no further one");
    store.reserve(at(3, "2026-01-01T01:00:00Z")).unwrap().unwrap();
    // Whoever works on it, one account has one cap.
    assert!(matches!(store.reserve(at(4, "2026-01-02T00:00:00Z")), Err(ReserveError::Buyer { .. })));
    assert_eq!(store.spent(&population(), Some(&Identity::from_seed([2; 32]).id().into())).unwrap(), cost(900));
    assert!(matches!(store.standing(&[GRANT.into()]).unwrap(), Standing::Good(_)));
    assert_eq!(store.standing(&["bb".into()]).unwrap(), Standing::Unknown);
}

#[test]
fn a_reopened_store_names_what_was_charged_but_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = begun(dir.path());
        store.reserve(ask(1, 100)).unwrap().unwrap();
        // Dropped without export: as after kill -9.
    }
    let store = Store::open(dir.path(), owner()).unwrap();
    let mut unfinished = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    store.finish(unfinished.remove(0), "late".into(), SUMS).unwrap();
    store.export().unwrap();
    let report = audited(store.log_folder()).unwrap();
    assert_eq!((report.intents, report.outcomes, report.open, report.findings), (1, 1, vec![], vec![]));
}

#[test]
fn the_exported_log_verifies_across_bundles_and_any_altered_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(dir.path());
    for i in 0..139 {
        let reservation = store.reserve(ask(i, 1)).unwrap().unwrap();
        store.finish(reservation, format!("result {i}"), SUMS).unwrap();
        if i % 50 == 0 {
            store.export().unwrap();
        }
    }
    store.export().unwrap();
    let folder = store.log_folder();
    let report = audited(folder.clone()).unwrap();
    assert_eq!((report.entries, report.findings), (280, vec![]));
    for index in [0, 3, 255, 256, 279] {
        let (envelope, proof) = store.prove(index).unwrap();
        let entry = envelope.to_canonical().unwrap();
        assert_eq!(note::check_proof(&proof, &entry, &owner().id()).unwrap().index, index);
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
            assert!(audited(folder.clone()).is_err(), "{path} byte {at}");
        }
        std::fs::write(folder.join(path), &good[..good.len() - 1]).unwrap();
        assert!(audited(folder.clone()).is_err(), "{path} cut short");
        std::fs::write(folder.join(path), good).unwrap();
    }
}

/// A receipt has to fit the log when the job is done: one that would not is refused before anything is charged.
#[test]
fn a_job_whose_receipt_would_not_fit_the_log_is_not_charged() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(dir.path());
    let mut refused = false;
    // So many columns' noise for so little.
    let scarce = |i| ColumnNote { noise_scale: vec![1e6], deviation: vec![1e6], ..column(i) };
    // Around the limit, one by one: whatever is reserved can also be finished.
    for columns in 200..300 {
        let mut ask = ask(columns, 1);
        ask.facts.mechanism.columns = (0..columns as usize).map(scarce).collect();
        match store.reserve(ask) {
            Ok(reservation) => drop(store.finish(reservation.unwrap(), "result".into(), SUMS).unwrap()),
            Err(ReserveError::Oversized { .. }) => refused = true,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(refused, "the limit was never reached: the test proves nothing");
    let reserved = store.links(&population()).unwrap().len() as u64;
    assert_eq!(store.spent(&population(), None).unwrap(), cost(reserved));
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
    let journal = Arc::new(redb::backends::InMemoryBackend::new());
    let open = || {
        let storage = |disk: &Arc<redb::backends::InMemoryBackend>| FullDisk(disk.clone(), full.clone());
        Store::with_storage(storage(&disk), storage(&journal), dir.path(), owner()).unwrap()
    };
    let population = population();
    let store = open();
    begin(&store);
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
    assert!(store.finish(reservation, "never seen".into(), SUMS).is_err());
    drop(store);
    full.store(false, Ordering::SeqCst);
    let store = open();
    assert_eq!(store.spent(&population, None).unwrap(), cost(100), "charged once");
    let mut unfinished = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    let done = store.finish(unfinished.remove(0), "kept".into(), SUMS).unwrap();
    assert_eq!(store.reserve(ask(2, 100)).unwrap().unwrap_err(), done);
    assert_eq!(store.spent(&population, None).unwrap(), cost(100));
}
