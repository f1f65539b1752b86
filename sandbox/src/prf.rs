//! A keyed function of a unit alone: who sees what it says of some learns nothing of the others.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// SipHash-2-4 (Aumasson and Bernstein 2012), quick on what is short.
#[derive(Debug, Clone)]
pub(crate) struct Prf(SipHasher24);

impl Prf {
    /// For one use of the key, named by `what`.
    pub(crate) fn new(key: &[u8; 32], what: &str) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::keyed_hash(key, what.as_bytes()).as_bytes()[..16]);
        Self(SipHasher24::new_with_key(&half))
    }

    /// A number for `unit` and `also`, below `of`: 64 bits against at most 2^20, so the bias is below 2^-44.
    pub(crate) fn below(&self, of: u32, unit: &[u8], also: u32) -> u32 {
        let mut hasher = self.0;
        hasher.write(unit);
        hasher.write(&also.to_le_bytes());
        (hasher.finish() % u64::from(of.max(1))) as u32
    }
}
