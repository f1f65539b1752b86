//! Private files of a party, which nobody else may read, and files from others, which are read as the expected kind of file or
//! not at all.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Mode of every private folder.
pub const FOLDER_MODE: u32 = 0o700;
/// Mode of every private file.
pub const FILE_MODE: u32 = 0o600;

/// Creates a folder and its missing parents, which nobody else may look into.
///
/// # Errors
/// Returns the error of creating it.
pub fn create_folder(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Opens a private file for reading and writing. A missing file is created, and an existing file is not truncated.
///
/// # Errors
/// Returns the error of opening it.
pub fn open_kept(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Creates an empty private file, replacing any existing file.
///
/// # Errors
/// Returns the error of creating it.
pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

/// Writes a private file, replacing any existing file.
///
/// # Errors
/// Returns the error of writing it.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create(path)?.write_all(bytes.as_ref())
}

/// Writes a private file atomically: a reader sees the old file or the new file, and the new file survives a power cut.
///
/// # Errors
/// Returns the error of writing it; the old file is kept then.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let written = create(&temporary).and_then(|mut file| {
        file.write_all(bytes.as_ref())?;
        file.sync_all()
    });
    let placed = written.and_then(|()| std::fs::rename(&temporary, path));
    placed.inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
    File::open(folder)?.sync_all()
}

/// Opens a regular file from someone else. A pipe, a device or a socket in its place is refused, and not waited for.
///
/// # Errors
/// Returns the error of opening it, and [`io::ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open_given(path: &Path) -> io::Result<File> {
    // Opening a pipe for reading waits for a writer, which may never come.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    Ok(file)
}

/// Reads a file from someone else, of at most `most` bytes, as [`open_given`]. Memory grows with the bytes read, not with the
/// claimed size.
///
/// # Errors
/// Returns the errors of [`open_given`], and [`io::ErrorKind::FileTooLarge`] for a longer file.
pub fn read_given(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_given(path)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// Reads a text, otherwise as [`read_given`].
///
/// # Errors
/// Returns the errors of [`read_given`], and [`io::ErrorKind::InvalidData`] if the file is not UTF-8.
pub fn read_given_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_given(path, most)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What waits here for ever would be seen as a test that does not end.
    #[test]
    fn what_is_no_regular_file_or_too_long_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for name in ["pipe", "link", "socket", "folder"] {
            assert!(open_given(&at(name)).is_err() && read_given(&at(name), 10).is_err(), "{name}");
        }
        assert!(read_given(Path::new("/dev/zero"), 1 << 20).is_err());
        // A hole takes no place on the disk: what is claimed is not read.
        let long = File::create(at("long")).unwrap();
        long.set_len(1 << 40).unwrap();
        assert_eq!(read_given(&at("long"), 100).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(at("short"), b"0123456789").unwrap();
        assert_eq!(read_given(&at("short"), 10).unwrap(), b"0123456789");
        assert!(read_given(&at("short"), 9).is_err());
        assert_eq!(read_given_text(&at("short"), 10).unwrap(), "0123456789");
    }

    #[test]
    fn what_is_kept_is_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_folder(at("a/b")).unwrap();
        write(at("a/b/written"), "x").unwrap();
        drop(open_kept(at("a/b/opened")).unwrap());
        drop(create(at("a/b/made")).unwrap());
        let mode = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(["a", "a/b"].map(mode), [0o700; 2]);
        assert_eq!(["a/b/written", "a/b/opened", "a/b/made"].map(mode), [0o600; 3]);
    }
}
