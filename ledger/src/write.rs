//! Writing tiles and bundles to disk: a reader sees whole files, and a checkpoint only after everything under the checkpoint is
//! durable.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
};

use tlog_tiles::{HashReader, Tile};

use tidegate_audit::log::path::{self, TILE_HEIGHT, WIDTH};

/// Files to write, and the folders to make durable before anything names the files.
struct Files<'a> {
    folder: &'a Path,
    touched: BTreeSet<PathBuf>,
}

impl Files<'_> {
    /// Writes a file under another name and moves the file into place: a reader sees either the old or the new file.
    fn put(&mut self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        let target = self.folder.join(path);
        let folder = put(&target, bytes)?;
        // New folders are entries of their parents.
        for ancestor in folder.ancestors().take_while(|a| a.starts_with(self.folder)) {
            self.touched.insert(ancestor.to_owned());
        }
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        for folder in std::mem::take(&mut self.touched) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// Writes a file whole or not at all. Returns its folder, in which the name is not durable yet.
fn put(target: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let folder = target.parent().unwrap_or(Path::new(".")).to_owned();
    tidegate_files::create_folder(&folder)?;
    let temporary = target.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = tidegate_files::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, target)?;
    Ok(folder)
}

/// Writes `bytes` atomically: a reader sees either the old or the new file, and the new file survives a power cut.
pub(crate) fn durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::File::open(put(path, bytes)?)?.sync_all()
}

/// Removes files not moved into place by a killed process. Nobody may be writing.
pub(crate) fn sweep(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        match entry? {
            kind if kind.is_dir() => sweep(&path)?,
            kind if kind.is_file() && path.extension().is_some_and(|e| e == "tmp") => std::fs::remove_file(&path)?,
            _ => {}
        }
    }
    Ok(())
}

/// Puts a checkpoint into place, durably.
pub(crate) fn checkpoint(folder: &Path, note: &str) -> std::io::Result<()> {
    durably(&folder.join("checkpoint"), note.as_bytes())
}

/// Writes the tiles and bundles of entries `from..to`, then the checkpoint. Parts of full tiles are deleted, as C2SP allows.
pub(crate) fn export<R: HashReader>(
    folder: &Path,
    from: u64,
    to: u64,
    hashes: &R,
    entry: impl Fn(u64) -> std::io::Result<Vec<u8>>,
    note: &str,
) -> std::io::Result<()> {
    let failed = |e: tlog_tiles::Error| std::io::Error::other(e.to_string());
    let mut files = Files { folder, touched: BTreeSet::new() };
    let mut full = Vec::new();
    for tile in Tile::new_tiles(TILE_HEIGHT, from, to) {
        let path = path::tile(tile.level(), tile.level_index(), u64::from(tile.width()));
        files.put(&path, &tile.read_data(hashes).map_err(failed)?)?;
        full.extend(path::whole(&path).is_none().then_some(path));
    }
    for bundle in from / WIDTH..to.div_ceil(WIDTH) {
        let end = to.min((bundle + 1) * WIDTH);
        let mut bytes = Vec::new();
        for index in bundle * WIDTH..end {
            let entry = entry(index)?;
            let length = u16::try_from(entry.len()).map_err(std::io::Error::other)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        let path = path::bundle(bundle, end - bundle * WIDTH);
        files.put(&path, &bytes)?;
        full.extend(path::whole(&path).is_none().then_some(path));
    }
    files.sync()?;
    checkpoint(folder, note)?;
    for path in full {
        match std::fs::remove_dir_all(folder.join(format!("{path}.p"))) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
