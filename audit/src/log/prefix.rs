//! Two tree heads of one log held against each other: one goes on from the other, or the log was forked.

use std::cell::RefCell;

use tlog_tiles::{Hash, Tile, TileHashReader, TileReader, TreeProof, check_tree};

use super::{Fetch, path, read::part_or_whole};
use crate::note::{BadNote, Checkpoint};

/// How a later checkpoint stands to an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub enum Prefix {
    /// The later one goes on from the earlier.
    Holds,
    /// The later one's first entries hash to this root, by the proof, which is another than the earlier one's: the log was forked.
    Forked(Hash),
}

/// Checks that `new` goes on from `old` by an RFC 6962 consistency proof (section 2.1.2).
///
/// # Errors
/// [`BadNote`] where sizes or proof do not fit: which says nothing of the log, since a proof may come from anybody.
pub fn consistent(old: &Checkpoint, new: &Checkpoint, proof: &TreeProof) -> Result<(), BadNote> {
    let fails =
        || BadNote(format!("the proof does not lead from the checkpoint of {} entries to that of {}", old.size, new.size));
    if old.size == 0 {
        return if proof.is_empty() { Ok(()) } else { Err(fails()) };
    }
    if old.size > new.size || proof.len() > 64 {
        return Err(fails());
    }
    check_tree(proof, new.size, new.root, old.size, old.root).map_err(|_| fails())
}

/// As [`consistent`], where it is known what the first `old.size` entries under `new` hash to: then a fork can be told from a proof that does not hold.
///
/// # Errors
/// [`BadNote`] where `prefix` is not the root of `new`'s first entries by this proof.
pub fn compare(old: &Checkpoint, new: &Checkpoint, prefix: Hash, proof: &TreeProof) -> Result<Prefix, BadNote> {
    consistent(&Checkpoint { root: prefix, ..old.clone() }, new, proof)?;
    Ok(if prefix == old.root || old.size == 0 { Prefix::Holds } else { Prefix::Forked(prefix) })
}

/// What the first `size` entries of the log under `head` hash to, and the proof of it, from the log's tiles: every tile is held against the head.
///
/// # Errors
/// [`BadNote`] where a tile is missing or does not fit.
pub fn prefix(head: &Checkpoint, size: u64, fetch: Fetch<'_>) -> Result<(Hash, TreeProof), BadNote> {
    if size == 0 || size > head.size {
        return Err(BadNote(format!("a log of {} entries has no first {size}", head.size)));
    }
    let tiles = Tiles(RefCell::new(fetch));
    let hashes = TileHashReader::new(head.size, head.root, &tiles);
    let failed = |e: tlog_tiles::Error| BadNote(format!("the log's tiles: {e}"));
    let root = tlog_tiles::tree_hash(size, &hashes).map_err(failed)?;
    let proof =
        if size == head.size { TreeProof::new() } else { tlog_tiles::prove_tree(head.size, size, &hashes).map_err(failed)? };
    Ok((root, proof))
}

/// Tiles by C2SP's names.
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
                return Err(tlog_tiles::Error::InvalidInput(format!("{part} is cut short")));
            }
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
