//! Ranges of a file, in bytes and in chunks.

use std::collections::VecDeque;

use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt as _};

/// Byte range of a file, the end excluded; without an end up to the file's end.
pub type ByteRange = (u64, Option<u64>);

/// Maximum number of separate ranges of a request, and of files.
pub const RANGES: usize = 64;
/// Maximum number of separate ranges of a part: half of what a peer takes in one request.
const OF_A_PART: usize = 32;

/// Lists ranges of chunks, each from its first chunk to just after its last.
pub(super) fn runs(ranges: &ChunkRanges) -> Vec<(u64, u64)> {
    ranges.boundaries().chunks(2).map(|pair| (pair[0].0, pair.get(1).map_or(u64::MAX, |end| end.0))).collect()
}

/// Cuts ranges into parts of at most `most` chunks, none with more separate ranges than a peer accepts.
pub(super) fn cut(ranges: &ChunkRanges, most: u64) -> VecDeque<ChunkRanges> {
    let (mut parts, mut part, mut size, mut count) = (VecDeque::new(), ChunkRanges::empty(), 0, 0);
    for (from, to) in runs(ranges) {
        let mut at = from;
        while at < to {
            let end = to.min(at.saturating_add(most - size));
            part |= ChunkRanges::chunks(at..end);
            (size, count, at) = (size + end - at, count + 1, end);
            if size == most || count == OF_A_PART {
                parts.push_back(std::mem::take(&mut part));
                (size, count) = (0, 0);
            }
        }
    }
    if count > 0 {
        parts.push_back(part);
    }
    parts
}
