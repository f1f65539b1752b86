//! BLAKE3 of a file, by all processors: one part is hashed while the next is read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::mpsc::sync_channel,
};

use tidegate_protocol::ContentHash;

/// Bytes that are read at a time: enough for all processors to have a part of it.
const PART: usize = 8 << 20;
/// Parts that are read ahead.
const AHEAD: usize = 2;

/// Hash and size of the file at `path`; `progress` is told the bytes that are hashed.
///
/// # Errors
/// What opening or reading it fails with.
pub fn hash(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, u64)> {
    let mut file = File::open(path)?;
    let (send, parts) = sync_channel::<io::Result<Vec<u8>>>(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let mut part = Vec::with_capacity(PART);
                let read = (&mut file).take(PART as u64).read_to_end(&mut part);
                let is_last = !matches!(read, Ok(bytes) if bytes > 0);
                if read.as_ref().is_ok_and(|bytes| *bytes == 0) || send.send(read.map(|_| part)).is_err() || is_last {
                    return;
                }
            }
        });
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        for part in parts {
            let part = part?;
            hasher.update_rayon(&part);
            bytes += part.len() as u64;
            progress(bytes);
        }
        Ok((ContentHash(*hasher.finalize().as_bytes()), bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_file_s_hash_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 1024, PART - 1, PART, PART + 1, 5 * PART / 2] {
            let (path, bytes) = (dir.path().join("file"), vec![size as u8; size]);
            std::fs::write(&path, &bytes).unwrap();
            let mut told = 0;
            assert_eq!(hash(&path, &mut |done| told = done).unwrap(), (ContentHash::of(&bytes), size as u64));
            assert_eq!(told, size as u64);
        }
        assert!(hash(&dir.path().join("none"), &mut |_| {}).is_err());
        assert!(hash(dir.path(), &mut |_| {}).is_err(), "a folder");
    }
}
