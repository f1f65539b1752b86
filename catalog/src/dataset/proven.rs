//! Verification of the files read by jobs against the published version.
//!
//! The content is checked as often as this is cheap, and the file system's metadata in between.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tidegate_protocol::ContentHash;

use super::{DataError, Dataset, Stamp, describe};

/// Maximum reading time of files read before a job, once they were not read for [`SHARE`] times as long.
const CHEAP: Duration = Duration::from_millis(250);
/// Reading files takes at most one part in this many of a node's time.
const SHARE: u32 = 10;
/// Maximum size in bytes of a file considered cheap to read before its reading time is known.
const SMALL: u64 = 64 << 20;

/// Verified content of files.
#[derive(Debug, Default)]
pub struct Proven {
    found: Mutex<HashMap<PathBuf, Found>>,
    /// Lock held while reading suspected files: after a wait for the lock, the files have been read.
    suspected: Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    /// Metadata before reading.
    stamp: Stamp,
    hash: ContentHash,
    at: Instant,
    took: Duration,
    /// Time of the last reading other than for a job's suspicion.
    ///
    /// Which jobs do so follows from rows, and whether the next job waits for the file to be read must not.
    regular: Instant,
}

impl Found {
    fn is_old(&self) -> bool {
        self.took <= CHEAP && self.regular.elapsed() > self.took * SHARE
    }
}

/// Choice of files to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Files due for reading.
    Due,
    /// All files.
    All,
    /// All files, because a job made them suspect.
    Suspected,
}

impl Proven {
    /// Checks whether jobs would read the published content.
    ///
    /// The content is read if the file system's metadata has changed since the last reading, or if reading is cheap.
    ///
    /// # Errors
    /// Returns [`DataError::Changed`] naming the file.
    pub fn check(&self, dataset: &Dataset) -> Result<(), DataError> {
        self.each(dataset, Look::Due)
    }

    /// Checks like [`Proven::check`], by content whatever the cost.
    ///
    /// # Errors
    /// Returns [`DataError::Changed`] naming the file.
    pub fn check_content(&self, dataset: &Dataset) -> Result<(), DataError> {
        self.each(dataset, Look::All)
    }

    /// Checks like [`Proven::check`], by content for files not read since `since`.
    ///
    /// # Errors
    /// Returns [`DataError::Changed`] naming the file.
    pub fn check_since(&self, dataset: &Dataset, since: Instant) -> Result<(), DataError> {
        let _held = self.suspected.lock().unwrap_or_else(PoisonError::into_inner);
        self.each(dataset, if self.is_read(dataset, since) { Look::Due } else { Look::Suspected })
    }

    /// Returns the time to wait before [`Proven::check_since`]: zero if nothing will be read.
    ///
    /// Otherwise long enough that reading suspected files takes one part in [`SHARE`] of the time, whatever jobs do.
    pub fn rest(&self, dataset: &Dataset, since: Instant) -> Duration {
        if self.is_read(dataset, since) {
            return Duration::ZERO;
        }
        let found = dataset.record.compute.iter().filter_map(|path| self.found(path));
        found.map(|found| (found.took * SHARE).saturating_sub(found.at.elapsed())).max().unwrap_or_default()
    }

    fn is_read(&self, dataset: &Dataset, since: Instant) -> bool {
        dataset.record.compute.iter().all(|path| self.found(path).is_some_and(|found| found.at >= since))
    }

    fn each(&self, dataset: &Dataset, look: Look) -> Result<(), DataError> {
        let record = &dataset.record;
        for (i, (path, file)) in record.compute.iter().zip(record.content.computed()).enumerate() {
            let changed = || DataError::Changed { file: path.display().to_string(), version: dataset.manifest.id().to_string() };
            let now = Stamp::of(path)?;
            let known = self.found(path).filter(|found| found.stamp == now);
            let read = match known {
                _ if look != Look::Due => true,
                Some(found) if found.hash != file.hash => return Err(changed()),
                Some(found) => found.is_old(),
                None => now.bytes <= SMALL || record.stamps.get(i) != Some(&now),
            };
            if read && self.read(path, now, known.filter(|_| look == Look::Suspected))? != file.hash {
                return Err(changed());
            }
        }
        Ok(())
    }

    fn found(&self, path: &Path) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    /// Reads a file; `suspected` is its previous state, if a job is the reason.
    fn read(&self, path: &Path, stamp: Stamp, suspected: Option<Found>) -> Result<ContentHash, DataError> {
        let at = Instant::now();
        let hash = describe(path, |_| {})?.hash;
        let found = Found { stamp, hash, at, took: at.elapsed(), regular: suspected.map_or(at, |before| before.regular) };
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), found);
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::{
        Identity, Signed,
        listing::About,
        manifest::{Content, FileKey, Files, Layout, Manifest},
        policy::PolicyFile,
    };

    use super::*;
    use crate::dataset::DatasetRecord;

    const POLICY: &str = r#"
        unit = { column = "person", max_units = 1000, max_rows = 5, max_groups = 2 }
        budget = { delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }
        jobs = { kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }
        access = { compute = "granted", replicate = "nobody" }
        columns = { spend = { lo = 0, hi = 1 } }
    "#;

    fn dataset(path: &Path) -> Dataset {
        let identity = Identity::from_seed([1; 32]);
        let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
        let content = Content { published: vec![describe(path, |_| {}).unwrap()], layout: Layout::AsPublished, derived: vec![] };
        let key = FileKey::fresh_for(&policy).unwrap();
        let files = Files::commit(&content, &policy, key.as_ref()).unwrap();
        let policy = Signed::sign(policy, &identity).unwrap();
        let manifest = Manifest {
            version: 1,
            name: "d".into(),
            about: About::default(),
            population: ContentHash([0; 32]),
            previous: None,
            files,
            schema: vec![],
            mock: None,
            policy: policy.id(),
            grant_key: tidegate_protocol::grant::public_key(&identity).unwrap(),
            salt: None,
            published: "2026-01-01T00:00:00Z".into(),
        };
        let manifest = Signed::sign(manifest, &identity).unwrap();
        let record = DatasetRecord {
            manifest: manifest.envelope().clone(),
            policy: policy.envelope().clone(),
            content,
            file_key: key,
            files: vec![path.to_owned()],
            compute: vec![path.to_owned()],
            stamps: vec![Stamp::of(path).unwrap()],
            mock: None,
            people: None,
            dropped: vec![],
        };
        Dataset { manifest, policy, record }
    }

    /// A file that was published, in a folder of its own.
    fn published() -> (tempfile::TempDir, PathBuf, Dataset) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        std::fs::write(&path, vec![7; 4096]).unwrap();
        let dataset = dataset(&path);
        (dir, path, dataset)
    }

    /// A bit that a disk lost leaves size, times and number of the file as they were: it is found by the content, and not forgotten.
    #[test]
    fn a_lost_bit_is_found_though_the_file_system_says_nothing() {
        let (_dir, path, dataset) = published();
        let proven = Proven::default();
        proven.check(&dataset).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        // As if the times had stayed.
        let pretend = |took| {
            let mut found = proven.found.lock().unwrap();
            let found = found.get_mut(&path).unwrap();
            (found.stamp, found.took) = (Stamp::of(&path).unwrap(), took);
        };
        pretend(Duration::from_secs(1));
        proven.check(&dataset).unwrap();
        assert!(proven.check_content(&dataset).is_err(), "read whatever it takes");
        assert!(proven.check(&dataset).is_err(), "and remembered");
        bytes[1000] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        proven.check(&dataset).unwrap();
        // What is cheap is read before each job.
        bytes[1000] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        pretend(Duration::ZERO);
        assert!(proven.check(&dataset).is_err());
    }

    /// However many jobs make a file suspect, it is read once after the last of them, and then not before it has rested.
    #[test]
    fn suspected_files_are_read_once_and_then_rest() {
        let (_dir, path, dataset) = published();
        let proven = Proven::default();
        assert_eq!(proven.rest(&dataset, Instant::now()), Duration::ZERO, "what was never read");
        let reads = || proven.found.lock().unwrap()[&path].at;
        let first = Instant::now();
        proven.check_since(&dataset, first).unwrap();
        let read = reads();
        proven.check_since(&dataset, first).unwrap();
        assert_eq!(reads(), read, "not read again");
        let regular = || proven.found.lock().unwrap()[&path].regular;
        let before = regular();
        proven.check_since(&dataset, Instant::now()).unwrap();
        assert!(reads() > read);
        assert_eq!(regular(), before, "what the next job waits for does not change");
        proven.found.lock().unwrap().get_mut(&path).unwrap().took = Duration::from_secs(60);
        assert_eq!(proven.rest(&dataset, first), Duration::ZERO, "what need not be read");
        let rest = proven.rest(&dataset, Instant::now());
        assert!(rest > Duration::from_secs(9 * 60) && rest <= Duration::from_secs(10 * 60), "{rest:?}");
    }

    /// Whoever sets a file's time back to what it was changes its other times.
    #[test]
    fn a_file_that_was_written_is_read_though_its_time_was_set_back() {
        let (_dir, path, dataset) = published();
        let proven = Proven::default();
        proven.check(&dataset).unwrap();
        proven.found.lock().unwrap().get_mut(&path).unwrap().took = Duration::from_secs(1);
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, vec![8; 4096]).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(proven.check(&dataset).is_err());
    }
}
