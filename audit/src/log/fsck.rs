//! Full check of a log's files: entries, tiles of hashes at every level, the checkpoint, and any other files beside them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;
use tlog_tiles::{Hash, node_hash, record_hash};

use super::{Fetch, Frontier, Reader, path, read::part_or_whole};
use crate::note::{BadNote, Verifier};

/// Result of a full check.
#[derive(Debug, Default, Serialize)]
pub struct Fsck {
    /// Entries under the checkpoint.
    pub entries: u64,
    /// Number of compared tiles of hashes.
    pub tiles: u64,
    /// Problems found; empty if the log is intact.
    pub findings: Vec<String>,
    /// Files not covered by the checkpoint.
    pub not_looked_at: Vec<String>,
}

/// Tile being filled, at each level.
#[derive(Default)]
struct Level {
    n: u64,
    hashes: Vec<Hash>,
}

/// Reads the whole log and compares each tile with the entries.
///
/// # Errors
/// Returns [`BadNote`] if there is no checkpoint of `log` to go by.
pub fn fsck(log: &Verifier, fetch: Fetch<'_>) -> Result<Fsck, BadNote> {
    fsck_of(log, BTreeSet::new(), fetch)
}

/// Checks like [`fsck`] a folder with these files, including files a log of this size could do without, such as parts replaced by
/// a full tile.
///
/// # Errors
/// As for [`fsck`].
pub fn fsck_of(log: &Verifier, files: BTreeSet<String>, fetch: Fetch<'_>) -> Result<Fsck, BadNote> {
    let reader = Reader::open(log, fetch)?;
    let (size, mut levels) = (reader.checkpoint.size, vec![Level::default()]);
    // Files are fetched between bundles: never two at a time.
    let fetch = RefCell::new(fetch);
    let look = RefCell::new(Looking { files, fetch: &fetch, report: Fsck { entries: size, ..Fsck::default() } });
    let mut compare = |height: u8, n: u64, hashes: &[Hash]| {
        let parts: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
        let mut look = look.borrow_mut();
        look.report.tiles += 1;
        look.hold(|width| path::tile(height, n, width), &parts, true);
    };
    let read =
        reader.each(&mut Frontier::default(), &BTreeMap::new(), &mut |path| (fetch.borrow_mut())(path), |start, entries, _| {
            for entry in entries {
                push(&mut levels, 0, record_hash(entry), &mut compare);
            }
            let framed: Vec<Vec<u8>> = entries.iter().map(|entry| framed(entry)).collect();
            let parts: Vec<&[u8]> = framed.iter().map(Vec::as_slice).collect();
            look.borrow_mut().hold(|width| path::bundle(start / path::WIDTH, width), &parts, false);
            Ok(())
        });
    for (height, level) in (0u8..).zip(&levels).filter(|(_, level)| !level.hashes.is_empty()) {
        compare(height, level.n, &level.hashes);
    }
    let Looking { mut files, mut report, .. } = look.into_inner();
    files.remove("checkpoint");
    report.not_looked_at.extend(files);
    if let Err(BadNote(what)) = read {
        report.findings.insert(0, what);
    }
    Ok(report)
}

/// Frames an entry as in a bundle: preceded by two bytes of length.
fn framed(entry: &[u8]) -> Vec<u8> {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], entry].concat()
}

/// State of checking the files, one after another.
struct Looking<'a, 'b> {
    /// Existing files not checked yet.
    files: BTreeSet<String>,
    fetch: &'a RefCell<Fetch<'b>>,
    report: Fsck,
}

impl Looking<'_, '_> {
    /// Compares a tile or bundle made of these parts, and each partial tile with only the first of them, with the stored files.
    ///
    /// With `needed`, the file with all parts must exist; otherwise somebody else has read it.
    fn hold(&mut self, name: impl Fn(u64) -> String, parts: &[&[u8]], needed: bool) {
        let (last, mut expected) = (name(parts.len() as u64), Vec::new());
        for (width, part) in (1u64..).zip(parts) {
            expected.extend_from_slice(part);
            let path = name(width);
            let there = self.files.remove(&path);
            if !(there || needed && path == last) {
                continue;
            }
            let read = if path == last { part_or_whole(&path, &mut **self.fetch.borrow_mut()) } else { self.one(&path) };
            match read {
                Ok((from, bytes)) if bytes == expected || (from != path && bytes.starts_with(&expected)) => {}
                Ok((from, _)) => self.report.findings.push(format!("{from}: does not match the entries")),
                Err(BadNote(what)) => self.report.findings.push(what),
            }
        }
        let whole = name(path::WIDTH);
        if whole != last && self.files.remove(&whole) {
            self.report.not_looked_at.push(format!("{whole}: beyond the checkpoint"));
        }
    }

    fn one(&self, path: &str) -> Result<(String, Vec<u8>), BadNote> {
        Ok((path.to_owned(), (self.fetch.borrow_mut())(path)?))
    }
}

fn push(levels: &mut Vec<Level>, height: usize, hash: Hash, full: &mut impl FnMut(u8, u64, &[Hash])) {
    if levels.len() == height {
        levels.push(Level::default());
    }
    let level = &mut levels[height];
    level.hashes.push(hash);
    if level.hashes.len() as u64 == path::WIDTH {
        let hashes = std::mem::take(&mut level.hashes);
        let root = root_of(&hashes);
        full(height as u8, level.n, &hashes);
        level.n += 1;
        push(levels, height + 1, root, full);
    }
}

/// Computes the root over a full tile.
fn root_of(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    row[0]
}
