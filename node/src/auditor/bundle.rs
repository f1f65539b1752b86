//! Auditor's input: a folder, or a tar archive of such a folder, which is read in place and never unpacked.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::File,
    io::{self, BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use tar::EntryType;
use tidegate_audit::{
    log::{
        is_log_path, path,
        read::{FILE_BYTES, part_or_whole},
    },
    note::{BadNote, open_checkpoint, vkey},
};
use tidegate_files::{open_given, read_given};
use tidegate_ledger::from_folder;
use tidegate_protocol::{PeerId, limits};

use crate::{NodeError, file_error};

/// Maximum number of files of an archive looked at: a log of 2^33 entries has no more.
const FILES: usize = 1 << 26;

/// Maximum length in bytes of a file beside the log: a result, which came in a frame.
const BESIDE_BYTES: u64 = limits::FRAME_BYTES as u64;

/// Position and length of the bytes of each file of an archive.
type Places = BTreeMap<String, (u64, u64)>;

/// Block size of an archive in bytes: a header takes a block, files fill some.
const BLOCK: u64 = 512;

/// Maximum number of bytes looked at behind an archive's last file: packers fill up a record.
const REST: u64 = 1 << 20;

/// Returns whether the bytes of a file between `from` and `to` are all zero.
fn is_empty(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Returns the files of an archive, and whatever else the archive has.
///
/// Only headers, 512 bytes each, and the padding of blocks are read. Headers that would be read whole before their file is known
/// (GNU's long names, pax records) are not accepted, whatever length they claim.
fn places(file: &File) -> io::Result<(Places, Vec<String>)> {
    let (mut files, mut again) = (Places::new(), Vec::new());
    let (mut end, length) = (0, file.metadata()?.len());
    let mut archive = tar::Archive::new(file.try_clone()?);
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        let last = entry.raw_file_position().saturating_add(entry.size());
        end = last.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Directory if entry.size() == 0 => continue,
            EntryType::Directory => {
                again.push(format!("{}: data in a folder's entry", String::from_utf8_lossy(&entry.path_bytes())));
                continue;
            }
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader => {
                return Err(io::Error::other(
                    "it has long names or pax records, which bundles do not use: write it with `tar --format=ustar`",
                ));
            }
            other => {
                let kind = other.as_byte().escape_ascii().to_string();
                return Err(io::Error::other(format!("it has an entry that is neither a file nor a folder (type {kind})")));
            }
        }
        let place = (entry.raw_file_position(), entry.size());
        let named = entry.path_bytes();
        if last <= length && !is_empty(file, last, end.min(length))? {
            again.push(format!("{}: the padding of its last block", String::from_utf8_lossy(&named)));
        }
        let Ok(name) = std::str::from_utf8(&named) else {
            again.push(String::from_utf8_lossy(&named).into_owned());
            continue;
        };
        // The first entry of a name counts, as whoever packed the archive saw it.
        let name = name.trim_start_matches("./").to_owned();
        match files.entry(name) {
            Entry::Occupied(there) => again.push(format!("{}, which occurs twice", there.key())),
            Entry::Vacant(none) => drop(none.insert(place)),
        }
        if files.len() + again.len() > FILES {
            return Err(io::Error::other("it has too many files"));
        }
    }
    if length > end && (length - end > REST || !is_empty(file, end, length)?) {
        again.push("the data after the archive's last file".into());
    }
    Ok((files, again))
}

/// Function to read the bytes at a path of the log.
pub(super) type Files<'a> = Box<dyn FnMut(&str) -> Result<Vec<u8>, BadNote> + 'a>;

/// A folder as left by the demo and `tidegate run --out`, or an archive of such a folder.
pub(super) enum Given {
    Folder(PathBuf),
    Archive {
        file: File,
        name: PathBuf,
        /// Position and length of each file's bytes.
        files: Places,
        /// Files whose name occurred before or is not text, and bytes that belong to no file: nobody sees them.
        again: Vec<String>,
    },
}

impl Given {
    /// Opens a folder or an archive.
    pub(super) fn open(path: &Path) -> Result<Self, NodeError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let failed = |source: io::Error| NodeError::Corrupt {
            path: path.to_owned(),
            fix: ". A bundle is a tar archive: `tidegate log bundle`",
            source: source.into(),
        };
        let file = open_given(path).map_err(|e| file_error(path, e))?;
        let (files, again) = places(&file).map_err(failed)?;
        if files.is_empty() {
            return Err(failed(io::Error::other("it has no file")));
        }
        Ok(Self::Archive { file, name: path.to_owned(), files, again })
    }

    /// Returns the names of the files in a subfolder, in order; none if the subfolder does not exist.
    ///
    /// Names that are not text are left out.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, NodeError> {
        let mut names: Vec<String> = match self {
            Self::Folder(root) => {
                let path = root.join(folder);
                let failed = |e| file_error(&path, e);
                let entries = match std::fs::read_dir(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
                    entries => entries.map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?,
                };
                entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Self::Archive { files, .. } => {
                let start = format!("{folder}/");
                let within = files.range(start.clone()..).map_while(|(name, _)| name.strip_prefix(&start));
                within.filter(|name| !name.contains('/')).map(Into::into).collect()
            }
        };
        names.sort();
        Ok(names)
    }

    /// Returns the names of everything other than folders, in order.
    pub(super) fn all(&self) -> Vec<String> {
        match self {
            Self::Archive { files, again, .. } => files.keys().cloned().chain(again.iter().cloned()).collect(),
            Self::Folder(root) => files_of(root).into_iter().collect(),
        }
    }

    /// Returns whether there is a log.
    pub(super) fn has_log(&self) -> bool {
        match self {
            Self::Folder(root) => root.join("log").exists(),
            Self::Archive { files, .. } => files.keys().any(|name| name.starts_with("log/")),
        }
    }

    /// Reads a file.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, NodeError> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                read_given(&path, BESIDE_BYTES).map_err(|e| file_error(&path, e))
            }
            Self::Archive { name: archive, .. } => {
                let read = self.read_at(name, BESIDE_BYTES);
                read.map_err(|e| file_error(archive, io::Error::new(e.kind(), format!("{name}: {e}"))))
            }
        }
    }

    fn read_at(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let Self::Archive { file, files, .. } = self else { return Err(io::Error::other("not an archive")) };
        let (start, length) = *files.get(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it does not exist"))?;
        if length > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is too long"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Returns the function to read the log.
    pub(super) fn log(&self) -> Files<'_> {
        match self {
            Self::Folder(root) => Box::new(from_folder(root.join("log"))),
            Self::Archive { .. } => Box::new(move |path| {
                if !is_log_path(path) {
                    return Err(BadNote(format!("{path:?} is not a path of the log")));
                }
                self.read_at(&format!("log/{path}"), FILE_BYTES as u64).map_err(|why| BadNote(format!("{path}: {why}")))
            }),
        }
    }
}

/// Returns the names of everything other than folders in a folder and its subfolders.
///
/// Links are not followed. A folder that cannot be read is named too, with the reason.
pub fn files_of(root: &Path) -> BTreeSet<String> {
    let (mut names, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        let shown = |name: &Path| name.to_string_lossy().into_owned();
        let entries = std::fs::read_dir(root.join(&folder)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.unwrap_or_else(|e| {
            names.insert(format!("{}/ (a folder that cannot be read: {e})", shown(&folder)));
            vec![]
        });
        for entry in entries {
            let path = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                _ => drop(names.insert(shown(&path))),
            }
        }
    }
    names
}

/// Writes the log in `folder`, as far as its checkpoint, as a single file for auditors.
///
/// A node may go on writing meanwhile.
///
/// # Errors
/// Returns [`NodeError::Io`], also if the folder lacks a file: `tidegate log fsck` says more.
pub fn write(owner: &PeerId, folder: &Path, target: &Path) -> Result<(), NodeError> {
    let failed = |e: io::Error| file_error(target, e);
    let beside = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(beside).map_err(failed)?;
    let mut archive = tar::Builder::new(BufWriter::new(&mut file));
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).map_err(failed)
    };
    let mut fetch = from_folder(folder.to_owned());
    let checkpoint = fetch("checkpoint")?;
    let size = open_checkpoint(&String::from_utf8_lossy(&checkpoint), owner)?.size;
    put("owner.vkey", vkey(owner).as_bytes())?;
    put("log/checkpoint", &checkpoint)?;
    for part in path::tiles(size).chain(path::bundles(size)) {
        let (name, bytes) = part_or_whole(&part, &mut fetch)?;
        put(&format!("log/{name}"), &bytes)?;
    }
    archive.into_inner().and_then(|mut rest| rest.flush()).map_err(failed)?;
    file.persist(target).map(|_| ()).map_err(|e| failed(e.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn given(parts: &[Vec<u8>], length: Option<u64>) -> Result<Given, NodeError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), parts.concat()).unwrap();
        if let Some(length) = length {
            file.as_file().set_len(length).unwrap();
        }
        Given::open(file.path())
    }

    fn block(bytes: &[u8]) -> Vec<u8> {
        let mut block = bytes.to_vec();
        block.resize(bytes.len().next_multiple_of(512), 0);
        block
    }

    /// Most memory that this process has had, in KiB.
    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    #[test]
    fn files_are_found_where_they_lie() {
        let file = [header(EntryType::Regular, "./owner.vkey", 3), block(b"key")].concat();
        let folder = header(EntryType::Directory, "log", 0);
        let other = [header(EntryType::Regular, "owner.vkey", 5), block(b"other")].concat();
        let given = given(&[folder, file, other, vec![0; 1024]], None).unwrap();
        assert_eq!(given.read("owner.vkey").unwrap(), b"key");
        assert!(given.read("log").is_err());
    }

    /// What a header claims is neither read nor made room for: 6 GiB of names cost nothing, whichever kind of header has them.
    #[test]
    fn headers_that_no_bundle_needs_are_refused_before_they_are_read() {
        const HUGE: u64 = 6 << 30;
        let before = peak();
        for kind in [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
            EntryType::GNUSparse,
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Fifo,
            EntryType::Char,
            EntryType::Block,
            EntryType::Continuous,
            EntryType::new(b'V'),
        ] {
            let after = [header(EntryType::Regular, "owner.vkey", 3), block(b"key")].concat();
            for size in [10, HUGE] {
                let start = [header(kind, "x", size), block(b"0123456789")];
                let said = given(&[&start[..], std::slice::from_ref(&after)].concat(), (size == HUGE).then_some(HUGE + 4096));
                let said = said.err().unwrap_or_else(|| panic!("{kind:?} was taken")).to_string();
                assert!(said.contains("bundles do not use") || said.contains("neither a file nor a folder"), "{kind:?}: {said}");
            }
        }
        // A file as large as that is skipped, and not read where a small one is wanted.
        let large = given(&[header(EntryType::Regular, "owner.vkey", HUGE)], Some(HUGE + 4096)).unwrap();
        assert!(large.read("owner.vkey").unwrap_err().to_string().contains("too long"));
        let grown = peak() - before;
        assert!(grown < 64 << 10, "{grown} KiB");
    }

    /// What belongs to no file is named: bytes that fill up blocks, and those behind the end.
    #[test]
    fn nothing_hides_between_files_or_behind_them() {
        let file = || header(EntryType::Regular, "owner.vkey", 3);
        let named = |parts: &[Vec<u8>], length| given(parts, length).unwrap().all();
        assert_eq!(named(&[file(), block(b"key"), vec![0; 10240]], None), ["owner.vkey"]);
        let folder = |size| header(EntryType::Directory, "log", size);
        assert_eq!(named(&[file(), block(b"key"), folder(0), vec![0; 1024]], None), ["owner.vkey"]);
        let names = named(&[file(), block(b"key"), folder(512), block(b"evil"), vec![0; 1024]], None);
        assert!(names.len() == 2 && names[1].contains("a folder's entry"), "{names:?}");
        let mut filled = block(b"key");
        filled[500] = 7;
        let names = named(&[file(), filled, vec![0; 1024]], None);
        assert!(names.len() == 2 && names[1].contains("owner.vkey: the padding"), "{names:?}");
        for (behind, length) in [(block(b"evil"), None), (vec![0; 512], Some(6 << 30))] {
            let names = named(&[file(), block(b"key"), vec![0; 1024], behind], length);
            assert!(names.len() == 2 && names[1].contains("after the archive's last file"), "{names:?}");
        }
    }

    /// Folders and files whose names are no text are walked too, and a folder that cannot be read is named.
    #[test]
    fn everything_in_a_folder_is_named() {
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"extra\xff"));
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("hidden.bin"), b"x").unwrap();
        std::fs::write(dir.path().join("receipts"), b"no folder").unwrap();
        let names = files_of(dir.path());
        assert_eq!(names.len(), 2);
        assert!(names.iter().any(|name| name.ends_with("/hidden.bin")), "{names:?}");
        assert!(Given::open(dir.path()).unwrap().list("receipts").is_err(), "it is no folder");
        assert!(Given::open(dir.path()).unwrap().list("results").unwrap().is_empty());
        let gone = files_of(&dir.path().join("gone"));
        assert!(gone.iter().any(|name| name.contains("cannot be read")), "{gone:?}");
    }

    #[test]
    fn a_pipe_in_a_folder_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("owner.vkey")).status().unwrap();
        assert!(made.success());
        let given = Given::open(dir.path()).unwrap();
        assert!(given.read("owner.vkey").unwrap_err().to_string().contains("not a regular file"));
        assert!(Given::open(&dir.path().join("owner.vkey")).is_err(), "an archive that is a pipe");
    }
}
