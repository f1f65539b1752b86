//! The log's tree over redb, and its C2SP tlog-tiles form on disk (<https://c2sp.org/tlog-tiles>).

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use tidegate_protocol::{PeerId, limits};
use tlog_tiles::{Hash, HashReader, Tile};

use crate::note::{self, BadNote, Checkpoint};

/// C2SP tiles hold 2^8 hashes.
const TILE_HEIGHT: u8 = 8;
/// Entries in a full bundle.
const BUNDLE: u64 = 1 << TILE_HEIGHT;

/// `n` as C2SP writes tile numbers: groups of three digits, all but the last with an `x`.
fn number(mut n: u64) -> String {
    let mut text = format!("{:03}", n % 1000);
    while n >= 1000 {
        n /= 1000;
        text = format!("x{:03}/{text}", n % 1000);
    }
    text
}

fn tile_path(level: &str, n: u64, width: u64) -> String {
    let partial = if width < BUNDLE { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", number(n))
}

/// Whether `path` is one a log can have: `checkpoint` or a tile path of digits. Nothing else is ever opened.
pub fn is_log_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("tile/") else { return path == "checkpoint" };
    path.len() <= 128
        && rest.split('/').all(|part| {
            part == "entries"
                || (!part.is_empty()
                    && part.trim_start_matches('x').trim_end_matches(".p").bytes().all(|b| b.is_ascii_digit())
                    && part.bytes().any(|b| b.is_ascii_digit()))
        })
}

/// Writes `bytes` so that a reader sees the old file or the new one, and the new one outlives a power cut.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Writes the tiles and bundles of entries `from..to`, then the checkpoint.
pub(crate) fn export<R: HashReader>(
    folder: &Path,
    from: u64,
    to: u64,
    hashes: &R,
    entry: impl Fn(u64) -> std::io::Result<Vec<u8>>,
    checkpoint: &str,
) -> std::io::Result<()> {
    let failed = |e: tlog_tiles::Error| std::io::Error::other(e.to_string());
    for tile in Tile::new_tiles(TILE_HEIGHT, from, to) {
        let path = tile_path(&tile.level().to_string(), tile.level_index(), u64::from(tile.width()));
        write_durably(&folder.join(path), &tile.read_data(hashes).map_err(failed)?)?;
    }
    for bundle in from / BUNDLE..to.div_ceil(BUNDLE) {
        let end = to.min((bundle + 1) * BUNDLE);
        let mut bytes = Vec::new();
        for index in bundle * BUNDLE..end {
            let entry = entry(index)?;
            let length = u16::try_from(entry.len()).map_err(std::io::Error::other)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        write_durably(&folder.join(tile_path("entries", bundle, end - bundle * BUNDLE)), &bytes)?;
    }
    write_durably(&folder.join("checkpoint"), checkpoint.as_bytes())
}

/// A log read from a folder or a peer, verified: every entry hashed, the root compared with a signed checkpoint.
#[derive(Debug)]
pub struct VerifiedLog {
    /// The signed tree head.
    pub checkpoint: Checkpoint,
    /// All entries, in order.
    pub entries: Vec<Vec<u8>>,
}

/// Reads and verifies a whole log. `fetch` gives the bytes at a tlog-tiles path.
///
/// # Errors
/// [`BadNote`] naming the file or entry that is wrong.
pub fn read(owner: &PeerId, mut fetch: impl FnMut(&str) -> Result<Vec<u8>, BadNote>) -> Result<VerifiedLog, BadNote> {
    let note = String::from_utf8(fetch("checkpoint")?).map_err(|_| BadNote("the checkpoint is not UTF-8".into()))?;
    let checkpoint = note::open_checkpoint(&note, owner)?;
    let (mut entries, mut tree) = (Vec::new(), MemoryTree::default());
    for bundle in 0..checkpoint.size.div_ceil(BUNDLE) {
        let width = BUNDLE.min(checkpoint.size - bundle * BUNDLE);
        let path = tile_path("entries", bundle, width);
        let bytes = fetch(&path)?;
        let mut rest = bytes.as_slice();
        for _ in 0..width {
            let cut = || BadNote(format!("{path}: entry {} is cut short", entries.len()));
            let (length, tail) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)?;
            rest = tail;
            tree.push(entry).map_err(|e| BadNote(e.to_string()))?;
            entries.push(entry.to_vec());
        }
        if !rest.is_empty() {
            return Err(BadNote(format!("{path}: {} bytes after the last entry", rest.len())));
        }
    }
    let root = tlog_tiles::tree_hash(checkpoint.size, &tree).map_err(|e| BadNote(e.to_string()))?;
    if root != checkpoint.root {
        return Err(BadNote("the entries do not hash to the checkpoint's root: an entry was altered".into()));
    }
    Ok(VerifiedLog { checkpoint, entries })
}

/// A [`fetch`](read) from a folder.
pub fn from_folder(folder: PathBuf) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> {
    move |path| {
        if !is_log_path(path) {
            return Err(BadNote(format!("{path:?} is no log path")));
        }
        let limit = BUNDLE as usize * (limits::ENTRY_BYTES + 2);
        let file = folder.join(path);
        match std::fs::metadata(&file) {
            Ok(m) if m.len() as usize > limit => Err(BadNote(format!("{path}: longer than a bundle can be"))),
            Ok(_) => std::fs::read(&file).map_err(|e| BadNote(format!("{path}: {e}"))),
            Err(e) => Err(BadNote(format!("{path}: {e}"))),
        }
    }
}

/// Stored hashes of a tree in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryTree {
    hashes: HashMap<u64, Hash>,
    size: u64,
}

impl MemoryTree {
    fn push(&mut self, entry: &[u8]) -> Result<(), tlog_tiles::Error> {
        let start = tlog_tiles::stored_hash_index(0, self.size);
        for (i, hash) in tlog_tiles::stored_hashes(self.size, entry, self)?.into_iter().enumerate() {
            self.hashes.insert(start + i as u64, hash);
        }
        self.size += 1;
        Ok(())
    }
}

impl HashReader for MemoryTree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        indexes
            .iter()
            .map(|i| self.hashes.get(i).copied().ok_or_else(|| tlog_tiles::Error::InvalidInput(format!("no hash {i}"))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_numbers_are_c2sp_s() {
        assert_eq!(number(0), "000");
        assert_eq!(number(1_234_067), "x001/x234/067");
        assert_eq!(tile_path("entries", 1000, 256), "tile/entries/x001/000");
        assert_eq!(tile_path("0", 3, 7), "tile/0/003.p/7");
    }

    #[test]
    fn only_log_paths_are_opened() {
        for good in ["checkpoint", "tile/0/000", "tile/entries/x001/000.p/7"] {
            assert!(is_log_path(good), "{good}");
        }
        for bad in ["", "key", "tile/../key", "tile//0", "/checkpoint", "tile/0/000/../../../key", "tile/x/000"] {
            assert!(!is_log_path(bad), "{bad}");
        }
    }
}
