//! Requests for files, and peers' answers: only the file with the requested hash is ever accepted.
use std::sync::LazyLock;

use bao_tree::{
    BlockSize, ChunkRanges,
    io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
};
use tidegate_exchange::blobs::wire;
use tidegate_protocol::ContentHash;

/// Files, with the bytes sent for them.
static RIGHT: LazyLock<(Vec<Vec<u8>>, Vec<u8>)> = LazyLock::new(|| {
    let files: Vec<Vec<u8>> = [0_usize, 100, 40_000].map(|size| (0..size).map(|i| (i / 7) as u8).collect()).into();
    let mut sent = vec![];
    for file in &files {
        let outboard = PreOrderMemOutboard::create(file, BlockSize::from_chunk_log(4));
        sent.extend((file.len() as u64).to_le_bytes());
        encode_ranges_validated(&file[..], &outboard, &ChunkRanges::all(), &mut sent).unwrap();
    }
    (files, sent)
});

/// Takes all files from an answer, checking each accepted file; returns their number.
pub fn take(mut answer: &[u8]) -> usize {
    let each = RIGHT.0.iter().map_while(|file| {
        let taken = wire::unpacked(&ContentHash::of(file), file.len() as u64, &mut answer).ok()?;
        assert_eq!(&taken, file);
        Some(taken)
    });
    each.count()
}

/// Returns the bytes sent for the files.
pub fn right() -> &'static [u8] {
    &RIGHT.1
}

/// Runs an input: as a request, as an answer, and as changes to a correct answer.
pub fn run(bytes: &[u8]) {
    if let Some((kind, request)) = bytes.split_first()
        && let Some(wanted) = wire::asked(*kind, request)
    {
        let ranges: Vec<_> = wanted.iter().map(|(_, chunks)| wire::byte_ranges(chunks)).collect();
        assert!(ranges.len() <= wire::RANGES && ranges.iter().map(Vec::len).sum::<usize>() <= wire::RANGES);
        for ranges in ranges {
            assert!(!ranges.is_empty() && ranges.iter().all(|(from, to)| to.is_none_or(|to| *from <= to)));
            assert!(ranges.windows(2).all(|pair| pair[0].1.is_some_and(|end| end <= pair[1].0)));
        }
    }
    take(bytes);
    for size in [0, 1, 16_384, 16_385, 1 << 40, u64::MAX] {
        let hash = ContentHash::of(bytes);
        let answer = [&u64::to_le_bytes(size), bytes].concat();
        if let Ok(data) = wire::unpacked(&hash, size, &mut &answer[..]) {
            assert_eq!((ContentHash::of(&data), data.len() as u64), (hash, size));
        }
    }
    let mut changed = right().to_vec();
    for change in bytes.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % changed.len();
        changed[at] ^= change[3];
    }
    take(&changed);
}
