//! The disk goes away at every single write, sync or growth of the ledger in turn, and what was not synced is lost: what was answered with success is
//! there afterwards, what is there adds up, and the log is whole.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::common::{SUMS, ask, audited, cost, grant, owner, population, publication};
use redb::StorageBackend;
use tidegate_audit::{log::fsck::fsck, note::Verifier};
use tidegate_ledger::{State, Store, from_folder};
use tidegate_protocol::Sha256Digest;

const PAGE: usize = 4096;

/// What lies on the disk for good, and what was written since the last sync.
#[derive(Debug, Default)]
struct Disk {
    synced: Vec<u8>,
    written: Vec<u8>,
    /// Pages that were written since.
    dirty: BTreeMap<usize, ()>,
}

/// A disk that is gone after so many acts.
#[derive(Debug, Clone)]
struct Failing {
    disk: Arc<Mutex<Disk>>,
    left: Arc<AtomicUsize>,
}

impl Failing {
    fn act(&self) -> std::io::Result<()> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| std::io::ErrorKind::StorageFull.into())
    }

    /// The power is cut: of what was not synced, every `keep`th page had come down all the same, in no order.
    fn cut(&self, keep: usize) {
        let mut disk = self.disk.lock().unwrap();
        let mut kept = disk.synced.clone();
        kept.resize(kept.len().max(disk.written.len()), 0);
        for (i, page) in disk.dirty.keys().enumerate() {
            let (from, to) = (page * PAGE, ((page + 1) * PAGE).min(disk.written.len()));
            if keep > 0 && i % keep == 0 && from < to {
                kept[from..to].copy_from_slice(&disk.written[from..to]);
            }
        }
        *disk = Disk { synced: kept.clone(), written: kept, dirty: BTreeMap::new() };
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.disk.lock().unwrap().written.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let (disk, offset) = (self.disk.lock().unwrap(), offset as usize);
        out.copy_from_slice(&disk.written[offset..offset + out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.act()?;
        self.disk.lock().unwrap().written.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.act()?;
        let mut disk = self.disk.lock().unwrap();
        disk.synced = disk.written.clone();
        disk.dirty.clear();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.act()?;
        let (mut disk, offset) = (self.disk.lock().unwrap(), offset as usize);
        disk.written[offset..offset + data.len()].copy_from_slice(data);
        for page in offset / PAGE..(offset + data.len()).div_ceil(PAGE) {
            disk.dirty.insert(page, ());
        }
        Ok(())
    }
}

/// What was answered with success before the disk went.
#[derive(Debug, Default)]
struct Done {
    recorded: usize,
    reserved: u64,
    finished: Option<String>,
    exported: u64,
}

fn work(store: &Store, done: &mut Done) -> Result<(), Box<dyn std::error::Error>> {
    for predicate in [publication(), grant()] {
        store.record("it", Sha256Digest([0; 32]), predicate)?;
        done.recorded += 1;
        done.exported = store.published();
    }
    let reservation = store.reserve(ask(1, 100))?.map_err(|_| "done before")?;
    done.reserved = 100;
    let State::Done { result, .. } = store.finish(reservation, "the noised bytes".into(), SUMS)?.state else {
        return Err("no result".into());
    };
    done.finished = Some(result);
    store.export()?;
    done.exported = store.published();
    Ok(())
}

/// Returns whether all of the work was done before the disk went.
fn once(acts: usize, keep: usize) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let backend = Failing { disk: Arc::default(), left: Arc::new(AtomicUsize::new(usize::MAX)) };
    let journal = Failing { disk: Arc::default(), left: backend.left.clone() };
    // A new database comes into place whole (`Store::open`): here, too, there is one.
    drop(redb::Database::builder().create_with_backend(backend.clone()).unwrap());
    backend.left.store(acts, Ordering::SeqCst);
    let mut done = Done::default();
    let whole = match Store::with_storage(backend.clone(), journal.clone(), dir.path(), owner()) {
        Ok(store) => {
            let whole = work(&store, &mut done).is_ok();
            assert_eq!(
                store.has_failed(),
                !whole,
                "after {acts} acts, every {keep}th page kept: a store says that it takes nothing more"
            );
            whole
        }
        Err(_) => false,
    };
    backend.cut(keep);
    journal.cut(keep);
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let (again, journal) = (Failing { left: left.clone(), ..backend }, Failing { left, ..journal });
    let at = format!("after {acts} acts, every {keep}th page kept: {done:?}");
    let store = Store::with_storage(again, journal, dir.path(), owner()).unwrap_or_else(|e| panic!("{at}: {e}"));
    let size = store.size().unwrap();
    assert!(size >= done.exported && size as usize >= done.recorded, "{at}");
    let spent = store.spent(&population(), None).unwrap();
    assert!(spent == cost(100) || (done.reserved == 0 && spent == cost(0)), "{at}: {spent}");
    if let Some(result) = &done.finished {
        let stored = store.reserve(ask(1, 100)).unwrap().unwrap_err();
        assert!(matches!(stored.state, State::Done { result: kept, .. } if kept == *result), "{at}");
    }
    // What a crash cut off is finished, and then everything adds up.
    for reservation in store.unfinished().unwrap() {
        store.finish(reservation, "after the crash".into(), SUMS).unwrap();
    }
    store.export().unwrap();
    let mut fetch = from_folder(store.log_folder());
    let log = fsck(&Verifier::log(&owner().id()), &mut fetch).unwrap();
    assert_eq!((log.entries, log.findings), (store.size().unwrap(), Vec::<String>::new()), "{at}");
    let report = audited(store.log_folder()).unwrap();
    assert_eq!(report.intents, u64::from(spent == cost(100)), "{at}");
    // A job needs what it stands on to be logged; that was answered before, or the job never came.
    assert_eq!((report.findings, report.open), (vec![], vec![]), "{at}");
    whole
}

#[test]
fn the_disk_goes_away_at_every_act_in_turn() {
    for keep in [0, 1, 2, 3] {
        let mut acts = 0;
        while !once(acts, keep) {
            acts += 1;
            assert!(acts < 2000, "it never ends");
        }
        assert!(acts > 50, "{acts}: the work was hardly disturbed");
    }
}
