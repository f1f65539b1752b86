//! Sending parts of a file: each part is verified against the file's hash before sending, together with the hashes that prove it
//! (bao's encoding).
//!
//! Hashes within a group, which the file's stored tree lacks, come out of the same hashing.

use bao_tree::{
    ChunkRanges,
    io::{
        EncodeError,
        mixed::{EncodedItem, ReadBytesAt, traverse_selected_rec},
        outboard::PreOrderOutboard,
        sync::{Outboard as _, ReadAt, truncate_ranges},
    },
    iter::BaoChunk,
};
use bytes::Bytes;
use iroh_blobs::store::IROH_BLOCK_SIZE;

use super::{
    outgoing::{Item, Outgoing},
    tree,
};

/// Sends `ranges` of `data`, which has this tree: nothing unproven.
///
/// # Errors
/// Returns the error of the file or its tree, after sending the correct parts before it; `None` if nobody takes the data any
/// more.
pub(super) async fn prove(
    data: impl ReadBytesAt,
    outboard: PreOrderOutboard<impl ReadAt>,
    ranges: &ChunkRanges,
    wire: &mut Outgoing,
) -> Result<(), Option<EncodeError>> {
    let (tree, mut expected) = (outboard.tree, vec![outboard.root]);
    wire.size(tree.size());
    for step in tree.ranges_pre_order_chunks_iter_ref(truncate_ranges(ranges, tree.size()), 0) {
        let above = expected.pop();
        match step {
            BaoChunk::Parent { is_root, left, right, node, .. } => {
                let values = outboard.load(node).map_err(|e| Some(e.into()))?;
                let (l, r) = values.ok_or(Some(EncodeError::ParentHashMismatch(node)))?;
                if above.as_ref().map(|hash| hash.as_bytes()) != Some(&tree::parent(l.as_bytes(), r.as_bytes(), is_root)) {
                    return Err(Some(EncodeError::ParentHashMismatch(node)));
                }
                expected.extend(right.then_some(r));
                expected.extend(left.then_some(l));
                wire.send(Item::Pair([*l.as_bytes(), *r.as_bytes()].concat())).await?;
            }
            BaoChunk::Leaf { start_chunk, size, is_root, ranges, .. } => {
                let start = start_chunk.to_bytes();
                let (bytes, mut items) = (data.read_bytes_at(start, size).map_err(|e| Some(e.into()))?, vec![]);
                let is = if ranges.is_all() {
                    whole(start, bytes, is_root, &mut items)
                } else {
                    let (mut some, least) = (vec![], IROH_BLOCK_SIZE.chunk_log().into());
                    let is = traverse_selected_rec(start_chunk, bytes, is_root, ranges, least, true, &mut some);
                    items.extend(some.into_iter().filter_map(item));
                    is.into()
                };
                if above.as_ref().map(|hash| hash.as_bytes()) != Some(&is) {
                    return Err(Some(EncodeError::LeafHashMismatch(start_chunk)));
                }
                for item in items {
                    wire.send(item).await?;
                }
            }
        }
    }
    Ok(())
}

/// Encodes the whole subtree beginning at byte `start`, and returns its hash.
fn whole(start: u64, bytes: Bytes, root: bool, items: &mut Vec<Item>) -> [u8; 32] {
    if bytes.len() as u64 <= tree::SENT {
        let value = tree::value(start, &bytes, root);
        items.push(Item::Data(bytes));
        return value;
    }
    let (at, left) = (items.len(), bytes.len().next_power_of_two() / 2);
    items.push(Item::Pair(vec![]));
    let right = bytes.slice(left..);
    let (l, r) = (whole(start, bytes.slice(..left), false, items), whole(start + left as u64, right, false, items));
    items[at] = Item::Pair([l, r].concat());
    tree::parent(&l, &r, root)
}

fn item(encoded: EncodedItem) -> Option<Item> {
    match encoded {
        EncodedItem::Parent(parent) => Some(Item::Pair([*parent.pair.0.as_bytes(), *parent.pair.1.as_bytes()].concat())),
        EncodedItem::Leaf(leaf) => Some(Item::Data(leaf.data)),
        EncodedItem::Size(_) | EncodedItem::Error(_) | EncodedItem::Done => None,
    }
}

#[cfg(test)]
mod tests {
    use bao_tree::{
        ChunkNum,
        io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
    };
    use tokio::sync::mpsc;

    use super::*;

    fn bytes(size: usize) -> Bytes {
        (0..size).map(|i| (i / 5) as u8).collect()
    }

    /// What is sent by a file's kept tree, which says nothing within groups of [`tree::GROUP`].
    async fn sent(data: &Bytes, root: blake3::Hash, values: Vec<u8>, ranges: &ChunkRanges) -> (Vec<u8>, bool) {
        let (to, mut queue) = mpsc::channel(1 << 10);
        let mut wire = Outgoing::new(to);
        let outboard = PreOrderOutboard { root, tree: tree::kept(data.len() as u64), data: values };
        let right = prove(data.clone(), outboard, ranges, &mut wire).await.is_ok();
        assert!(wire.flush().await.is_ok());
        drop(wire);
        let mut all = vec![];
        while let Some(pieces) = queue.recv().await {
            all.extend(pieces.concat());
        }
        (all, right)
    }

    #[tokio::test]
    async fn what_is_sent_is_bao_s_encoding_in_groups_as_iroh_blobs_has_them() {
        let mut random = 1_u64;
        let mut below = |most: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % most
        };
        for size in [0, 1, 1024, 1025, 16384, 16385, 65536, 65537, 65536 * 3, 65536 * 5 - 1, 65536 * 8 + 40_000, 1_500_000] {
            let data = bytes(size);
            let kept = PreOrderMemOutboard::create(&data, tree::kept(0).block_size());
            let fine = PreOrderMemOutboard::create(&data, IROH_BLOCK_SIZE);
            let chunks = (size as u64).div_ceil(1024) + 3;
            for turn in 0..40 {
                let mut ranges = if turn == 0 { ChunkRanges::all() } else { ChunkRanges::empty() };
                for _ in 0..turn % 4 {
                    let from = below(chunks);
                    ranges |= ChunkRanges::from(ChunkNum(from)..ChunkNum(from + 1 + below(chunks)));
                }
                if turn % 8 == 7 {
                    ranges = ChunkRanges::from(ChunkNum(u64::MAX)..);
                }
                let mut as_bao = (size as u64).to_le_bytes().to_vec();
                encode_ranges_validated(&data[..], &fine, &ranges, &mut as_bao).unwrap();
                let (ours, right) = sent(&data, kept.root, kept.data.clone(), &ranges).await;
                assert!(right && ours == as_bao, "{size} {ranges:?}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_leaves_that_the_hash_does_not_prove() {
        let data = bytes(65536 * 5 - 1);
        let kept = PreOrderMemOutboard::create(&data, tree::kept(0).block_size());
        let (right, _) = sent(&data, kept.root, kept.data.clone(), &ChunkRanges::all()).await;
        for changed in [0, 65535, 65536 * 2 + 20_000, data.len() - 1] {
            let mut other = data.to_vec();
            other[changed] ^= 1;
            for ranges in
                [ChunkRanges::all(), ChunkRanges::from(ChunkNum(changed as u64 / 1024)..ChunkNum(changed as u64 / 1024 + 1))]
            {
                let (went, ok) = sent(&other.clone().into(), kept.root, kept.data.clone(), &ranges).await;
                assert!(!ok);
                // What went before is right.
                if ranges == ChunkRanges::all() {
                    assert!(right.starts_with(&went) && went.len() <= changed + 1000, "{changed}");
                } else {
                    assert!(went.len() < 400, "{changed}");
                }
            }
        }
        for changed in (0..kept.data.len()).step_by(17) {
            let mut values = kept.data.clone();
            values[changed] ^= 1;
            let (went, ok) = sent(&data, kept.root, values, &ChunkRanges::all()).await;
            assert!(!ok && right.starts_with(&went));
        }
        assert!(!sent(&data, kept.root, vec![], &ChunkRanges::all()).await.1, "a tree that is not there");
    }
}
