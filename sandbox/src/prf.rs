//! Keyed functions of a privacy unit alone, whatever other units there are. Values of [`Prf::below`] for some units reveal nothing
//! about the others; [`Prf::place`] spreads units evenly and hides nothing.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// Maximum length, in bytes, of a message hashed in a single call.
const SHORT: usize = 64;

/// 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SipHash-2-4 (Aumasson and Bernstein 2012), which is fast on short messages.
#[derive(Debug, Clone)]
pub(crate) struct Prf {
    hasher: SipHasher24,
    /// Offset of the sequence for spreading whole numbers.
    start: u64,
}

impl Prf {
    /// Derives the function for a use of the key, named by `what`.
    pub(crate) fn new(key: &[u8; 32], what: &str) -> Self {
        let of_use = blake3::keyed_hash(key, what.as_bytes());
        let word = |i: usize| of_use.as_bytes()[8 * i..][..8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self { hasher: SipHasher24::new_with_keys(word(0), word(1)), start: word(2) }
    }

    /// Returns a place below `of` for `unit`.
    ///
    /// Many units spread nearly evenly over the places. Whole numbers are multiplied by the golden ratio (Knuth, TAOCP 3, 6.4:
    /// Fibonacci hashing), which spaces consecutive ones as evenly as possible; any other name is hashed.
    pub(crate) fn place(&self, of: u32, unit: &[u8]) -> u32 {
        let Ok(number) = unit.try_into().map(u64::from_le_bytes) else { return self.below(of, unit, 0) };
        let on_line = number.wrapping_mul(GOLDEN).wrapping_add(self.start);
        ((u128::from(on_line) * u128::from(of)) >> 64) as u32
    }

    /// Returns a number below `of` for `unit` and `also`.
    ///
    /// It reduces 64 bits to at most 2^20, so the bias is below 2^-44.
    pub(crate) fn below(&self, of: u32, unit: &[u8], also: u32) -> u32 {
        let mut whole = [0; SHORT];
        let number = match whole.get_mut(..unit.len() + 4) {
            // Same result, without hasher state in between.
            Some(whole) => {
                whole[..unit.len()].copy_from_slice(unit);
                whole[unit.len()..].copy_from_slice(&also.to_le_bytes());
                self.hasher.hash(whole)
            }
            None => {
                let mut hasher = self.hasher;
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
            let mut hasher = prf.hasher;
            unit.iter().chain(&also.to_le_bytes()).for_each(|byte| hasher.write(&[*byte]));
            (hasher.finish() % u64::from(of)) as u32
        };
        for length in [0, 1, 8, 59, 60, 61, 64, 200] {
            let unit: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for (of, also) in [(1, 0), (2, 1), (1000, 7), (1024, 7), (1 << 20, u32::MAX)] {
                assert_eq!(prf.below(of, &unit, also), one_by_one(of, &unit, also), "{length} {of} {also}");
            }
        }
        // Numbers that follow one another, that are far apart, and names: with several keys.
        for key in 0..20 {
            let prf = Prf::new(&[key; 32], "a test");
            for stride in [1u64, 7, 100, 1000, 1 << 10, 10_000_000, 1 << 40, GOLDEN] {
                let mut seen = [0; 64];
                (0..64_000u64).for_each(|unit| seen[prf.place(64, &unit.wrapping_mul(stride).to_le_bytes()) as usize] += 1);
                assert!(seen.iter().all(|n| *n < 1100), "{key} {stride}: {seen:?}");
            }
            assert_eq!(prf.place(64, b"a name"), prf.below(64, b"a name", 0));
        }
        let mut seen = [0; 16];
        (0..16_000u32).for_each(|unit| seen[prf.below(16, &unit.to_le_bytes(), 0) as usize] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }
}
