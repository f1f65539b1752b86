//! Content-defined chunking of files (FastCDC; Xia et al., USENIX ATC 2016, section 4).
//!
//! It shows that two versions have most pieces in common, wherever these lie.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use fastcdc::v2020::StreamCDC;
use tidegate_protocol::{ContentHash, frame::Piece, limits};

/// Smallest, usual and largest size of a piece in bytes.
const SIZES: (u32, u32, u32) = (64 << 10, 256 << 10, 1 << 20);

/// Cuts the input into pieces, in order; `None` if there are too many.
///
/// # Errors
/// Returns the error of reading.
pub fn pieces(from: impl Read) -> io::Result<Option<Vec<Piece>>> {
    let mut found = Vec::new();
    for piece in StreamCDC::new(from, SIZES.0 as _, SIZES.1 as _, SIZES.2 as _) {
        let piece = piece.map_err(io::Error::other)?;
        if found.len() == limits::PIECES {
            return Ok(None);
        }
        found.push(Piece { bytes: piece.length as u32, hash: ContentHash::of(&piece.data) });
    }
    Ok(Some(found))
}

/// Sources of a new version's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Apart {
    /// Parts found in the old version: offset there, offset in the new version, length.
    pub here: Vec<(u64, u64, u64)>,
    /// Parts not found, as byte ranges of the new version.
    pub lacking: Vec<(u64, u64)>,
}

impl Apart {
    /// Returns the number of missing bytes.
    pub fn bytes(&self) -> u64 {
        self.lacking.iter().map(|(from, to)| to - from).sum()
    }
}

/// Determines the parts of `old` from which a file with the pieces `new`, of `bytes` bytes in all, can be made, and the missing
/// parts.
///
/// # Errors
/// Fails if the pieces are not those of a file of that size.
pub fn apart(old: &[Piece], new: &[Piece], bytes: u64) -> Result<Apart, &'static str> {
    let mut places = HashMap::new();
    let mut at = 0;
    for piece in old {
        places.entry((piece.hash, piece.bytes)).or_insert(at);
        at += u64::from(piece.bytes);
    }
    let (mut apart, mut at) = (Apart::default(), 0_u64);
    for piece in new {
        let end = at + u64::from(piece.bytes);
        match places.get(&(piece.hash, piece.bytes)) {
            Some(from) => apart.here.push((*from, at, piece.bytes.into())),
            None => match apart.lacking.last_mut().filter(|last| last.1 == at) {
                Some(last) => last.1 = end,
                None => apart.lacking.push((at, end)),
            },
        }
        at = end;
    }
    if at == bytes { Ok(apart) } else { Err("the pieces do not match this file") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: u64, count: usize) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        let mut bytes = vec![0; count];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cut(bytes: &[u8]) -> Vec<Piece> {
        pieces(bytes).unwrap().unwrap()
    }

    #[test]
    fn what_did_not_change_is_found_wherever_it_lies() {
        let old = bytes(1, 20 << 20);
        // Something at the beginning and in the middle, a part gone, something at the end.
        let new = [&bytes(2, 100)[..], &old[..5 << 20], &bytes(3, 9), &old[5 << 20..12 << 20], &old[13 << 20..], &bytes(4, 1000)]
            .concat();
        let apart = apart(&cut(&old), &cut(&new), new.len() as u64).unwrap();
        assert!(apart.bytes() < 6 << 20, "{} bytes are lacking", apart.bytes());
        let mut made = vec![0; new.len()];
        for (from, to, count) in &apart.here {
            let (from, to, count) = (*from as usize, *to as usize, *count as usize);
            made[to..to + count].copy_from_slice(&old[from..from + count]);
        }
        for (from, to) in &apart.lacking {
            made[*from as usize..*to as usize].copy_from_slice(&new[*from as usize..*to as usize]);
        }
        assert!(made == new);
    }

    #[test]
    fn pieces_cover_a_file_and_others_are_refused() {
        for count in [0, 1, 1 << 16, 3 << 20] {
            let bytes = bytes(5, count);
            let pieces = cut(&bytes);
            assert_eq!(pieces.iter().map(|piece| u64::from(piece.bytes)).sum::<u64>(), count as u64);
            assert_eq!(apart(&pieces, &pieces, count as u64).unwrap().bytes(), 0);
            assert_eq!(apart(&[], &pieces, count as u64).unwrap().bytes(), count as u64);
            assert!(apart(&pieces, &pieces, count as u64 + 1).is_err());
        }
    }
}
