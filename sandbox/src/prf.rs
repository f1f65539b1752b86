//! A keyed function of a unit alone: who sees what it says of some learns nothing of the others.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// Longest message in bytes that is hashed at one go.
const SHORT: usize = 64;

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
        let mut whole = [0; SHORT];
        let number = match whole.get_mut(..unit.len() + 4) {
            // The same, with nothing kept between.
            Some(whole) => {
                whole[..unit.len()].copy_from_slice(unit);
                whole[unit.len()..].copy_from_slice(&also.to_le_bytes());
                self.0.hash(whole)
            }
            None => {
                let mut hasher = self.0;
                hasher.write(unit);
                hasher.write(&also.to_le_bytes());
                hasher.finish()
            }
        };
        let of = u64::from(of.max(1));
        (if of.is_power_of_two() { number & (of - 1) } else { number % of }) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a unit is called, and however it is hashed: numbers that do not move when this is written otherwise, and lie evenly.
    #[test]
    fn a_number_is_of_the_key_and_the_unit_alone() {
        let prf = Prf::new(&[7; 32], "a test");
        let one_by_one = |of: u32, unit: &[u8], also: u32| {
            let mut hasher = prf.0;
            unit.iter().chain(&also.to_le_bytes()).for_each(|byte| hasher.write(&[*byte]));
            (hasher.finish() % u64::from(of)) as u32
        };
        for length in [0, 1, 8, 59, 60, 61, 64, 200] {
            let unit: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for (of, also) in [(1, 0), (2, 1), (1000, 7), (1024, 7), (1 << 20, u32::MAX)] {
                assert_eq!(prf.below(of, &unit, also), one_by_one(of, &unit, also), "{length} {of} {also}");
            }
        }
        let mut seen = [0; 16];
        (0..16_000u32).for_each(|unit| seen[prf.below(16, &unit.to_le_bytes(), 0) as usize] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }
}
