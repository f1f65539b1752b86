//! Every file of a log looked at: entries, tiles of hashes at every level, the checkpoint.

use std::{cell::RefCell, collections::BTreeMap};

use serde::Serialize;
use tlog_tiles::{Hash, node_hash, record_hash};

use super::{Fetch, Frontier, Reader, path};
use crate::note::{BadNote, Verifier};

/// What was looked at, and what is wrong.
#[derive(Debug, Default, Serialize)]
pub struct Fsck {
    /// Entries under the checkpoint.
    pub entries: u64,
    /// Tiles of hashes that were compared.
    pub tiles: u64,
    /// What is wrong; empty when the log is whole.
    pub findings: Vec<String>,
}

/// A tile that is being filled, at each level.
#[derive(Default)]
struct Level {
    n: u64,
    hashes: Vec<Hash>,
}

/// Reads the whole log and holds each tile against the entries.
///
/// # Errors
/// [`BadNote`] where there is no checkpoint of `log` to go by.
pub fn fsck(log: &Verifier, fetch: Fetch<'_>) -> Result<Fsck, BadNote> {
    let reader = Reader::open(log, fetch)?;
    let mut report = Fsck { entries: reader.checkpoint.size, ..Fsck::default() };
    let mut levels = vec![Level::default()];
    // Tiles are fetched between bundles: never both at a time.
    let fetch = RefCell::new(fetch);
    let mut compare = |path: String, hashes: &[Hash]| {
        report.tiles += 1;
        let expected: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        let read = (fetch.borrow_mut())(&path);
        match read {
            Ok(bytes) if bytes == expected => {}
            Ok(_) => report.findings.push(format!("{path}: does not hold the hashes of the entries")),
            Err(BadNote(what)) => report.findings.push(what),
        }
    };
    let read = reader.each(&mut Frontier::default(), &BTreeMap::new(), &mut |path| (fetch.borrow_mut())(path), |_, entries| {
        for entry in entries {
            push(&mut levels, 0, record_hash(entry), &mut compare);
        }
        Ok(())
    });
    for (height, level) in (0u8..).zip(&levels).filter(|(_, level)| !level.hashes.is_empty()) {
        compare(path::tile(height, level.n, level.hashes.len() as u64), &level.hashes);
    }
    if let Err(BadNote(what)) = read {
        report.findings.insert(0, what);
    }
    Ok(report)
}

fn push(levels: &mut Vec<Level>, height: usize, hash: Hash, full: &mut impl FnMut(String, &[Hash])) {
    if levels.len() == height {
        levels.push(Level::default());
    }
    let level = &mut levels[height];
    level.hashes.push(hash);
    if level.hashes.len() as u64 == path::WIDTH {
        let hashes = std::mem::take(&mut level.hashes);
        let root = root_of(&hashes);
        full(path::tile(height as u8, level.n, path::WIDTH), &hashes);
        level.n += 1;
        push(levels, height + 1, root, full);
    }
}

/// The root over a full tile.
fn root_of(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    row[0]
}
