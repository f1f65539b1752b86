//! Comparison of two tree heads of the same log: either the later extends the earlier, or the log was forked.

use std::cell::RefCell;

use tlog_tiles::{Hash, Tile, TileHashReader, TileReader, TreeProof, check_tree};

use super::{Fetch, path, read::part_or_whole};
use crate::note::{BadNote, Checkpoint};

/// Relation of a later checkpoint to an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub enum Prefix {
    /// The later checkpoint extends the earlier.
    Holds,
    /// The proof shows that the later checkpoint's first entries hash to this root, which differs from the earlier root: the log
    /// was forked.
    Forked(Hash),
}

/// Checks whether `new` extends `old` by an RFC 6962 consistency proof (section 2.1.2).
///
/// # Errors
/// Returns [`BadNote`] if sizes or proof do not fit. This says nothing about the log, since a proof may come from anybody.
pub fn consistent(old: &Checkpoint, new: &Checkpoint, proof: &TreeProof) -> Result<(), BadNote> {
    let fails = || {
        BadNote(format!("the consistency proof from the checkpoint of {} entries to that of {} is invalid", old.size, new.size))
    };
    if old.size == 0 {
        return if proof.is_empty() { Ok(()) } else { Err(fails()) };
    }
    if old.size > new.size || proof.len() > 64 {
        return Err(fails());
    }
    check_tree(proof, new.size, new.root, old.size, old.root).map_err(|_| fails())
}

/// Checks like [`consistent`], given the root of the first `old.size` entries under `new`.
///
/// With that root, a fork can be told from a proof that does not hold.
///
/// # Errors
/// Returns [`BadNote`] if `prefix` is not the root of `new`'s first entries by this proof.
pub fn compare(old: &Checkpoint, new: &Checkpoint, prefix: Hash, proof: &TreeProof) -> Result<Prefix, BadNote> {
    consistent(&Checkpoint { root: prefix, ..old.clone() }, new, proof)?;
    Ok(if prefix == old.root || old.size == 0 { Prefix::Holds } else { Prefix::Forked(prefix) })
}

/// Computes the root of the first `size` entries of the log under `head`, and its proof, from the log's tiles: every tile is
/// checked against the head.
///
/// # Errors
/// Returns [`BadNote`] if a tile is missing or does not fit.
pub fn prefix(head: &Checkpoint, size: u64, fetch: Fetch<'_>) -> Result<(Hash, TreeProof), BadNote> {
    if size == 0 || size > head.size {
        return Err(BadNote(format!("a log of {} entries has no prefix of {size} entries", head.size)));
    }
    let tiles = Tiles(RefCell::new(fetch));
    let hashes = TileHashReader::new(head.size, head.root, &tiles);
    let failed = |e: tlog_tiles::Error| BadNote(format!("the log's tiles: {e}"));
    let root = tlog_tiles::tree_hash(size, &hashes).map_err(failed)?;
    let proof =
        if size == head.size { TreeProof::new() } else { tlog_tiles::prove_tree(head.size, size, &hashes).map_err(failed)? };
    Ok((root, proof))
}

/// Tiles by their C2SP names.
struct Tiles<'a>(RefCell<Fetch<'a>>);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        path::TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let mut fetch = self.0.borrow_mut();
        let read = |tile: &Tile| {
            let width = u64::from(tile.width());
            let part = path::tile(tile.level(), tile.level_index(), width);
            let read = part_or_whole(&part, &mut **fetch);
            let (_, mut bytes) = read.map_err(|BadNote(e)| tlog_tiles::Error::InvalidInput(e))?;
            bytes.truncate(width as usize * 32);
            if bytes.len() < width as usize * 32 {
                return Err(tlog_tiles::Error::InvalidInput(format!("{part} is truncated")));
            }
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
