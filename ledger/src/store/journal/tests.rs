//! Against a plain vector: what was made durable is there after any cut of power, and what is read is what was written.

use std::sync::Arc;

use super::{piece::HEAD, *};

/// A disk that forgets what was not synced, but for every `keep`th byte of it.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Disk {
    fn cut(&self, keep: usize) -> Self {
        let disk = self.0.lock().unwrap();
        let (written, mut synced) = disk.clone();
        if keep > 0 {
            // A file that got longer, or shorter, may have done so already.
            synced.resize(written.len(), 0);
            for at in (0..written.len()).filter(|at| (at / HEAD).is_multiple_of(keep)) {
                synced[at] = written[at];
            }
        }
        Self(Arc::new(Mutex::new((synced.clone(), synced))))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let (disk, offset) = (self.0.lock().unwrap(), offset as usize);
        out.copy_from_slice(disk.0.get(offset..offset + out.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.0.lock().unwrap().0.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.1 = disk.0.clone();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.0.lock().unwrap().0[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn contents(storage: &impl StorageBackend) -> Vec<u8> {
    let mut all = vec![0; storage.len().unwrap() as usize];
    storage.read(0, &mut all).unwrap();
    all
}

const SMALL: u64 = 16 << 10;

#[test]
fn what_was_durable_is_there_after_every_cut() {
    let mut state = 7;
    for round in 0..40 {
        let (mut file, mut journal) = (Disk::default(), Disk::default());
        let mut storage = Journaled::with_limit(file.clone(), journal.clone(), SMALL).unwrap().unwrap();
        let (mut model, mut durable) = (vec![], vec![]);
        for step in 0..120 {
            match dice(&mut state) % 10 {
                0 => {
                    let len = 1024 + dice(&mut state) as usize % 8192;
                    model.resize(len, 0);
                    storage.set_len(len as u64).unwrap();
                }
                // One in some is of more bytes than the journal takes.
                1..=6 if !model.is_empty() => {
                    for _ in 0..if dice(&mut state).is_multiple_of(30) { 40 } else { 1 } {
                        let length = 1 + dice(&mut state) as usize % 700.min(model.len());
                        let offset = dice(&mut state) as usize % (model.len() - length + 1);
                        let data: Vec<u8> = (0..length).map(|_| dice(&mut state) as u8).collect();
                        model[offset..offset + length].copy_from_slice(&data);
                        storage.write(offset as u64, &data).unwrap();
                    }
                }
                7 | 8 => {
                    // The header differs with each commit, as the database's does.
                    if !model.is_empty() {
                        let mark = dice(&mut state).to_le_bytes();
                        model[..8].copy_from_slice(&mark);
                        storage.write(0, &mark).unwrap();
                    }
                    storage.sync_data().unwrap();
                    durable = model.clone();
                }
                _ => {
                    assert_eq!(contents(&storage), model, "{round}/{step}");
                    // What goes to the file itself is the database's to protect until it is durable.
                    let keep = if storage.pending().direct { 0 } else { dice(&mut state) as usize % 4 };
                    let cut = (file.cut(keep), journal.cut(keep));
                    let again = Journaled::with_limit(cut.0.clone(), cut.1.clone(), SMALL).unwrap().unwrap();
                    assert_eq!(contents(&again), durable, "{round}/{step}");
                    if dice(&mut state).is_multiple_of(4) {
                        drop(storage);
                        (file, journal, storage, model) = (cut.0, cut.1, again, durable.clone());
                    }
                }
            }
        }
        storage.close().unwrap();
        assert_eq!(
            (file.cut(0).bytes(), journal.cut(0).bytes()),
            (model, vec![]),
            "{round}: closed, the file is whole by itself"
        );
    }
}

/// Two commits, and a third of which not all came down; `file` as it was left.
fn left() -> (Disk, Disk, [Vec<u8>; 3]) {
    let (file, journal) = (Disk::default(), Disk::default());
    let storage = Journaled::open(file.clone(), journal.clone()).unwrap().unwrap();
    storage.set_len(4096).unwrap();
    let stages = [1, 2, 3].map(|mark| {
        storage.write(0, &[mark; 64]).unwrap();
        storage.write(1024 * u64::from(mark), &[mark; 100]).unwrap();
        storage.sync_data().unwrap();
        contents(&storage)
    });
    (file.cut(0), journal.cut(0), stages)
}

#[test]
fn a_torn_piece_is_left_out_and_those_before_stay() {
    let (file, journal, stages) = left();
    let whole = journal.bytes();
    let third = 2 * HEADER + (ACT + (ACT + 64) + (ACT + 100)) + ((ACT + 64) + (ACT + 100));
    for at in [third, third + 9, third + 30, third + DIGEST_AT, third + HEADER, third + HEADER + ACT + 64 + ACT + 99] {
        let torn = journal.cut(0);
        torn.0.lock().unwrap().0[at] ^= 1;
        let (file, torn) = (file.cut(0), torn);
        let again = Journaled::open(file, torn).unwrap().unwrap();
        assert_eq!(contents(&again), stages[1], "byte {at}");
    }
    assert_eq!(journal.bytes(), whole);
    let again = Journaled::open(file, journal).unwrap().unwrap();
    assert_eq!(contents(&again), stages[2]);
}

#[test]
fn a_journal_is_not_written_over_another_file() {
    let (file, journal, stages) = left();
    for (bytes, own) in [(stages[0].clone(), true), (stages[2].clone(), true), (vec![9; 4096], false)] {
        let other = Disk(Arc::new(Mutex::new((bytes.clone(), bytes.clone()))));
        let (kept, journal) = (other.clone(), journal.cut(0));
        let before = journal.bytes();
        let opened = Journaled::open(other, journal.clone()).unwrap();
        assert_eq!(opened.is_some(), own);
        assert_eq!(kept.bytes(), if own { stages[2].clone() } else { bytes });
        assert_eq!(journal.bytes().is_empty(), own);
        assert!(own || journal.bytes() == before);
    }
    // One whose first bytes came down in the middle of a commit.
    let (torn, mixed) = (file.cut(0), stages[1].clone());
    *torn.0.lock().unwrap() = (mixed.clone(), mixed);
    assert_eq!(contents(&Journaled::open(torn, journal).unwrap().unwrap()), stages[2]);
}

/// What fails is not gone on with: the journal tells what there was.
#[test]
fn after_a_failure_nothing_is_written() {
    #[derive(Debug, Clone)]
    struct Full(Disk, Arc<std::sync::atomic::AtomicBool>);
    impl StorageBackend for Full {
        fn len(&self) -> Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> Result<()> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
            if self.1.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.write(offset, data)
        }
    }
    let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (file, journal) = (Disk::default(), Full(Disk::default(), full.clone()));
    let storage = Journaled::open(file.clone(), journal.clone()).unwrap().unwrap();
    storage.set_len(2048).unwrap();
    storage.write(0, &[1; 64]).unwrap();
    storage.sync_data().unwrap();
    let before = contents(&storage);
    storage.write(0, &[2; 64]).unwrap();
    full.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(storage.sync_data().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(storage.write(0, &[3; 64]).is_err() && storage.sync_data().is_err() && storage.close().is_err());
    let again = Journaled::open(file.cut(0), Full(journal.0.cut(0), full)).unwrap().unwrap();
    assert_eq!(contents(&again), before);
}
