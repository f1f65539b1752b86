//! Decompression of files, with a limit on the unpacked size.

use std::{
    io::{BufReader, Error, Read},
    path::Path,
};

use crate::dataset::{DataError, broken, unreadable};

/// Largest ratio of unpacked to packed bytes. A file may unpack to [`ALWAYS`] bytes at any ratio; beyond both it is refused as a
/// bomb.
const TIMES: u64 = 200;
/// Number of unpacked bytes allowed for any packed file.
pub(super) const ALWAYS: u64 = 1 << 30;
/// Memory limit of the xz decoder, in KiB.
const XZ_MEMORY: u32 = 256 << 10;

/// A file's bytes, unpacked if necessary.
pub(crate) struct Unpacked {
    pub(crate) bytes: Box<dyn Read + Send>,
    /// Name of the compression format; `None` for a plain file.
    pub(crate) by: Option<&'static str>,
}

/// Opens a plain file, or a file packed by gzip, zstd, bzip2 or xz.
pub(crate) fn unpacked(path: &Path) -> Result<Unpacked, DataError> {
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let size = file.metadata().map_err(|e| unreadable(path, e))?.len();
    let head = begin(&file, 6).map_err(|e| broken(path, e))?;
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let bytes = BufReader::with_capacity(1 << 16, file);
    let (bytes, by): (Box<dyn Read + Send>, _) = match head.as_slice() {
        [0x1f, 0x8b, ..] => (Box::new(flate2::bufread::MultiGzDecoder::new(bytes)), "gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            (Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(|e| broken(path, e))?), "zstd")
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => (Box::new(bzip2::bufread::MultiBzDecoder::new(bytes)), "bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => (Box::new(lzma_rust2::XzReader::new_mem_limit(bytes, true, XZ_MEMORY)), "xz"),
        _ => return Ok(Unpacked { bytes: Box::new(bytes), by: None }),
    };
    Ok(Unpacked { bytes: Box::new(Bounded { from: bytes, left: size.saturating_mul(TIMES).max(ALWAYS) }), by: Some(by) })
}

/// Reads the first bytes, or all if there are fewer.
pub(super) fn begin(from: impl Read, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// Returns the error for exceeding the limit.
pub(super) fn too_much() -> Error {
    Error::other(format!(
        "decompresses to more than {TIMES} times its size and more than {} GiB, and may be made to fill disks. If that is intended, decompress the file first",
        ALWAYS >> 30
    ))
}

/// Unpacked bytes, up to a limit.
struct Bounded<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_much)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_unpacked_than_a_file_may_come_to() {
        let read = |bytes, left| std::io::copy(&mut Bounded { from: std::io::repeat(7).take(bytes), left }, &mut std::io::sink());
        assert_eq!(read(1 << 20, 1 << 20).unwrap(), 1 << 20);
        let said = read((1 << 20) + 1, 1 << 20).unwrap_err().to_string();
        assert!(said.contains("200 times") && said.contains("1 GiB"), "{said}");
    }
}
