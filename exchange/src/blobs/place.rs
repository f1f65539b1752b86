//! Atomic creation of files at their places.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// Creates a folder accessible only to this user.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(path)
}

/// Builds an incomplete file, with the permissions of any new file.
pub(super) fn part() -> tempfile::Builder<'static, 'static> {
    let mut part = tempfile::Builder::new();
    part.prefix(".part-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    part
}

/// Writes a small file to `target` atomically, replacing any earlier file.
pub(super) fn appear(target: &Path, data: &[u8]) -> io::Result<()> {
    let folder = target.parent().unwrap_or(target);
    // An unnamed file, where the system has these, is less work for the folder, and leaves nothing behind if interrupted.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).map(File::from) {
        (&file).write_all(data)?;
        let here = format!("/proc/self/fd/{}", file.as_raw_fd());
        if rustix::fs::linkat(CWD, here, CWD, target, AtFlags::SYMLINK_FOLLOW).is_ok() {
            return Ok(());
        }
    }
    let mut part = part().tempfile_in(folder)?;
    part.write_all(data)?;
    part.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_small_file_is_there_whole_over_an_older_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        std::fs::write(dir.path().join("beside"), b"").unwrap();
        for data in [&b"first"[..], b"another", b""] {
            appear(&target, data).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), data);
            let mode = |name: &str| dir.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode("file"), mode("beside"));
        }
        assert!(appear(&dir.path().join("no folder/file"), b"data").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
