//! The subset of iroh-blobs' protocol used here: which requests are understood, and how the answer to a request for many is read.

use bao_tree::io::{BaoContentItem, sync::DecodeResponseIter};
use iroh_blobs::protocol::{ChunkRanges, GetManyRequest, GetRequest};
use tidegate_protocol::ContentHash;

pub use super::ranges::RANGES;
use super::{ranges::ByteRange, tree};
use crate::error::{NetError, peer};

/// Request types (`iroh_blobs::protocol::RequestType`), the first byte of each request.
pub(super) const GET: u8 = 0;
pub(super) const GET_MANY: u8 = 9;
/// Maximum size in bytes of a request for many.
pub(super) const REQUEST: usize = 4 << 10;
/// Number of bytes of a BLAKE3 chunk, the unit of ranges.
const CHUNK: u64 = 1024;
/// Number of bytes of a file's size, with which the data sent for a file begins.
pub(super) const SIZE: usize = 8;

/// Returns whether this request type asks for files: all other types of the protocol are refused unread.
pub(super) fn is_get(kind: u8) -> bool {
    [GET, GET_MANY].contains(&kind)
}

/// Parses a request into parts of files.
///
/// Returns `None` if it is not understood, asks for nothing of a file that it names, or for too much.
pub fn asked(kind: u8, request: &[u8]) -> Option<Vec<(ContentHash, ChunkRanges)>> {
    let wanted: Vec<_> = match kind {
        GET => {
            let GetRequest { hash, ranges } = postcard::from_bytes(request).ok()?;
            // Of the file itself, not of files whose hashes may be in it.
            let (0, chunks) = ranges.as_single()? else { return None };
            vec![(ContentHash(*hash.as_bytes()), chunks.clone())]
        }
        GET_MANY => {
            let GetManyRequest { hashes, ranges } = postcard::from_bytes(request).ok()?;
            let each = hashes.into_iter().zip(ranges.iter_infinite());
            each.map(|(hash, chunks)| (ContentHash(*hash.as_bytes()), chunks.clone())).collect()
        }
        _ => return None,
    };
    // The last range of a file may have no end.
    let ranges: usize = wanted.iter().map(|(_, chunks)| chunks.boundaries().len().div_ceil(2)).sum();
    let full = wanted.iter().all(|(_, chunks)| !chunks.is_empty());
    (full && ranges <= RANGES).then_some(wanted)
}

/// Converts chunk ranges to byte ranges.
pub fn byte_ranges(chunks: &ChunkRanges) -> Vec<ByteRange> {
    let bytes: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.0.saturating_mul(CHUNK)).collect();
    bytes.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect()
}

/// Returns the number of bytes sent for a whole file of `bytes` bytes.
pub(super) fn sent(bytes: u64) -> u64 {
    SIZE as u64 + bytes + tree::of(bytes).outboard_size()
}

/// Takes a whole file of `bytes` bytes from an answer.
///
/// # Errors
/// Returns [`NetError::Peer`] if it is another file, or incomplete.
pub fn unpacked(hash: &ContentHash, bytes: u64, answer: &mut &[u8]) -> Result<Vec<u8>, NetError> {
    let (size, rest) = answer.split_first_chunk().ok_or_else(|| NetError::Peer("it ends early".into()))?;
    let size = u64::from_le_bytes(*size);
    if size != bytes {
        return Err(NetError::Peer(format!("it states a file size of {size} bytes, not {bytes}")));
    }
    *answer = rest;
    // Allocates no more than has been received.
    let mut data = Vec::with_capacity(rest.len().min(usize::try_from(bytes).unwrap_or(usize::MAX)));
    for item in DecodeResponseIter::new(hash.0.into(), tree::of(bytes), answer, &ChunkRanges::all()) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(peer)? {
            data.extend_from_slice(&leaf.data);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use iroh_blobs::protocol::{ChunkRangesExt as _, ChunkRangesSeq, ObserveRequest, Request};

    use super::*;

    fn of(request: Request) -> Option<Vec<(ContentHash, ChunkRanges)>> {
        let bytes = postcard::to_allocvec(&request).unwrap();
        asked(bytes[0], &bytes[1..])
    }

    #[test]
    fn requests_are_understood_as_iroh_blobs_writes_them() {
        let hash = |byte: u8| iroh_blobs::Hash::from_bytes([byte; 32]);
        let part = ChunkRanges::bytes(2048..4096);
        assert_eq!(of(GetRequest::blob_ranges(hash(7), part.clone()).into()), Some(vec![(ContentHash([7; 32]), part.clone())]));
        let many = GetManyRequest { hashes: vec![hash(7), hash(8)], ranges: ChunkRangesSeq::all() };
        let all = ChunkRanges::all();
        assert_eq!(of(many.into()), Some(vec![(ContentHash([7; 32]), all.clone()), (ContentHash([8; 32]), all)]));
        let each = GetManyRequest::builder().hash(hash(7), part.clone()).hash(hash(8), ChunkRanges::all()).build();
        assert_eq!(of(each.into()).unwrap()[0], (ContentHash([7; 32]), part));
        // Files whose hashes are in one; one of no part; what is no request for files.
        assert_eq!(of(GetRequest::all(hash(7)).into()), None);
        assert_eq!(of(GetRequest::blob_ranges(hash(7), ChunkRanges::empty()).into()), None);
        assert_eq!(of(GetManyRequest { hashes: vec![hash(7); RANGES + 1], ranges: ChunkRangesSeq::all() }.into()), None);
        // As many files as may be asked for, some by two parts of which the second has no end.
        let two = ChunkRanges::bytes(..1024) | ChunkRanges::bytes(4096..);
        let some = |files: u8| {
            let each = (0..files).fold(GetManyRequest::builder(), |all, file| all.hash(hash(file), two.clone()));
            of(each.build().into()).map(|wanted| wanted.len())
        };
        assert_eq!((some(RANGES as u8 / 2), some(RANGES as u8 / 2 + 1)), (Some(RANGES / 2), None));
        assert_eq!(of(Request::Observe(ObserveRequest::new(hash(7)))), None);
    }
}
