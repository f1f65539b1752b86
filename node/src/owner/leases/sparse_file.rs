//! Partial copies of held datasets: no rows but the columns read by the node's jobs so far.
//!
//! Each column is fetched from the owner when the first job that reads it comes, verified, and written into its place in a file
//! that is empty elsewhere.
//!
//! All row groups of a column are fetched: which of them a query's filter could leave out depends on rows, and what is fetched is
//! in the owner's log.

use std::{
    collections::BTreeSet,
    fs::File,
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use parquet::{
    file::{
        FOOTER_SIZE,
        metadata::{FooterTail, ParquetMetaDataReader},
    },
    schema::types::SchemaDescriptor,
};
use serde::{Deserialize, Serialize};
use tidegate_catalog::dataset::Stamp;
use tidegate_exchange::{Address, blobs};
use tidegate_protocol::{
    frame::Request,
    manifest::{Content, DataFile},
};

use crate::{
    NodeError,
    client::Buyer,
    corrupt,
    error::Cause,
    file_error, gone,
    mirror::seal::{get, put},
};

/// Granularity of fetched ranges in bytes: wide ranges say little about how well a column could be compressed.
const ROUND: u64 = 256 << 10;

/// State of a dataset's files here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Here {
    columns: BTreeSet<String>,
    /// Stamp of each file after its last write.
    stamps: Vec<Stamp>,
}

/// Files with some of their columns.
#[derive(Debug, Clone)]
pub struct Sparse {
    folder: PathBuf,
    files: Vec<DataFile>,
}

impl Sparse {
    /// Builds the partial copies, in `folder`, of the files of this version read by jobs.
    pub fn new(folder: &Path, content: &Content) -> Self {
        Self { folder: folder.to_owned(), files: content.computed().to_vec() }
    }

    /// Returns the paths of the files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| self.folder.join(format!("{}.parquet", file.hash))).collect()
    }

    fn list(&self) -> PathBuf {
        let first = self.files.first().map(|file| file.hash.to_string()).unwrap_or_default();
        self.folder.join(format!("{first}.columns.json"))
    }

    fn here(&self) -> Result<Here, NodeError> {
        let path = self.list();
        let text = get(&path)?.ok_or_else(|| gone(&path, ": run `tidegate hold begin` again"))?;
        serde_json::from_str(&text).map_err(|e| corrupt(&path, e))
    }

    /// Records the columns present.
    ///
    /// The files' stamps are recorded if `stamped`; otherwise the files are being written to.
    fn keep(&self, columns: BTreeSet<String>, stamped: bool) -> Result<(), NodeError> {
        let files = if stamped { self.paths() } else { vec![] };
        let stamps = files.iter().map(|path| Stamp::of(path)).collect::<Result<_, _>>()?;
        let text = serde_json::to_vec(&Here { columns, stamps }).map_err(NodeError::Encode)?;
        put(&self.list(), &text)
    }

    /// Creates the files, empty but for their Parquet footers; existing files stay.
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub async fn begin(&self, home: &Path, buyer: &Buyer, owner: &Address, permission: &Request) -> Result<(), NodeError> {
        if self.here().is_ok() {
            return Ok(());
        }
        tidegate_files::create_folder(&self.folder).map_err(|e| file_error(&self.folder, e))?;
        buyer.ask(owner, permission, &[]).await?;
        for (file, path) in self.files.iter().zip(self.paths()) {
            let (failed, broken) = (|e| file_error(&path, e), |e: Cause| corrupt(&path, e));
            let to = tidegate_files::create(&path).map_err(failed)?;
            to.set_len(file.bytes).map_err(failed)?;
            let tail = FOOTER_SIZE as u64;
            let begin = file.bytes.checked_sub(tail).ok_or_else(|| broken("is no Parquet file".into()))?;
            fetch(home, buyer, owner, file, &to, &[(begin, file.bytes)]).await?;
            let mut last = [0; FOOTER_SIZE];
            to.read_exact_at(&mut last, begin).map_err(failed)?;
            let footer = FooterTail::try_new(&last).map_err(|e| broken(e.into()))?;
            let start = begin.checked_sub(footer.metadata_length() as u64).ok_or_else(|| broken("is no Parquet file".into()))?;
            fetch(home, buyer, owner, file, &to, &[(start, begin)]).await?;
            to.sync_all().map_err(failed)?;
        }
        self.keep(BTreeSet::new(), true)
    }

    /// Checks whether anybody else has written to the files.
    ///
    /// # Errors
    /// Returns [`NodeError::Changed`] naming the changed file.
    pub fn check_unchanged(&self) -> Result<(), NodeError> {
        let here = self.here()?;
        for (path, stamp) in self.paths().iter().zip(&here.stamps) {
            if Stamp::of(path)? != *stamp {
                let since = "its columns were fetched: run `tidegate hold begin` again";
                return Err(NodeError::Changed { path: path.clone(), since });
            }
        }
        Ok(())
    }

    /// Returns which of the wanted columns are not here.
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub fn lacking(&self, wanted: &[String]) -> Result<Vec<String>, NodeError> {
        let here = self.here()?;
        Ok(wanted.iter().filter(|column| !here.columns.contains(*column)).cloned().collect())
    }

    /// Fetches columns, of every row group.
    ///
    /// # Errors
    /// Returns [`NodeError`], in which case none of the columns counts as here.
    pub async fn fetch(
        &self,
        home: &Path,
        buyer: &Buyer,
        owner: &Address,
        permission: &Request,
        columns: &[String],
    ) -> Result<(), NodeError> {
        buyer.ask(owner, permission, &[]).await?;
        let mut here = self.here()?.columns;
        // A crash in the middle leaves files that were written to, of which only the earlier columns count as here.
        self.keep(here.clone(), false)?;
        let fetched = self.write(home, buyer, owner, columns).await;
        if fetched.is_ok() {
            here.extend(columns.iter().cloned());
        }
        self.keep(here, true)?;
        fetched
    }

    async fn write(&self, home: &Path, buyer: &Buyer, owner: &Address, columns: &[String]) -> Result<(), NodeError> {
        for (file, path) in self.files.iter().zip(self.paths()) {
            let failed = |e| file_error(&path, e);
            let to = File::options().read(true).write(true).open(&path).map_err(failed)?;
            let footer = ParquetMetaDataReader::new().parse_and_finish(&to).map_err(|e| corrupt(&path, e))?;
            let wanted = leaves(footer.file_metadata().schema_descr(), columns);
            let chunks = footer.row_groups().iter().flat_map(|group| wanted.iter().map(|leaf| group.column(*leaf).byte_range()));
            let ranges = rounded(chunks.map(|(start, bytes)| (start, start.saturating_add(bytes))), file.bytes);
            fetch(home, buyer, owner, file, &to, &ranges).await?;
            to.sync_all().map_err(failed)?;
        }
        Ok(())
    }
}

/// Returns the indices of the Parquet leaf columns of these top-level columns.
fn leaves(schema: &SchemaDescriptor, columns: &[String]) -> Vec<usize> {
    (0..schema.num_columns()).filter(|leaf| columns.iter().any(|name| name == schema.get_column_root(*leaf).name())).collect()
}

/// Returns disjoint ranges covering the given ranges, widened to multiples of [`ROUND`] or the file's end.
fn rounded(ranges: impl Iterator<Item = (u64, u64)>, bytes: u64) -> Vec<(u64, u64)> {
    let widened =
        |(start, end): (u64, u64)| (start / ROUND * ROUND, end.checked_next_multiple_of(ROUND).unwrap_or(end).min(bytes));
    let mut all: Vec<_> = ranges.map(widened).filter(|(start, end)| start < end).collect();
    all.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in all {
        match joined.last_mut().filter(|last| start <= last.1) {
            Some(last) => last.1 = last.1.max(end),
            None => joined.push((start, end)),
        }
    }
    joined
}

async fn fetch(
    home: &Path,
    buyer: &Buyer,
    owner: &Address,
    file: &DataFile,
    to: &File,
    ranges: &[(u64, u64)],
) -> Result<(), NodeError> {
    let mut write = |at: u64, bytes: &[u8]| to.write_all_at(bytes, at);
    let (folder, from) = (home.join("fetched"), [owner.clone()]);
    let mut progress = |_| ControlFlow::Continue(());
    blobs::fetch_ranges(buyer.endpoint(), &folder, &from, (file.hash, file.bytes), ranges, &mut write, &mut progress).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_widened_and_joined_and_end_with_the_file() {
        let of = |ranges: &[(u64, u64)], bytes| rounded(ranges.iter().copied(), bytes);
        assert_eq!(of(&[(5, 10), (7, ROUND + 1)], 10 * ROUND), [(0, 2 * ROUND)]);
        assert_eq!(of(&[(3 * ROUND, 3 * ROUND + 1), (4, 5)], 10 * ROUND), [(0, ROUND), (3 * ROUND, 4 * ROUND)]);
        assert_eq!(of(&[(ROUND, 2 * ROUND), (2 * ROUND, 2 * ROUND + 9)], 2 * ROUND + 20), [(ROUND, 2 * ROUND + 20)]);
        assert_eq!(of(&[(9, 10), (u64::MAX - 1, u64::MAX)], 100), [(0, 100)]);
        assert_eq!(of(&[], 100), []);
    }
}
