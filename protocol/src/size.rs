//! Sizes of encrypted files, as mirrors see them where somebody may copy the files: padded by a secret part and rounded up to a
//! public step.
//!
//! Such a size still follows from the rows. Files that nobody may copy are padded to the bound that their owner states
//! ([`crate::policy::FileRules`]).

/// Minimum padded size of an encrypted file, in bytes: a chunk of age.
pub const SEALED: u64 = 64 << 10;

/// Number of steps between a power of two and the next.
const STEPS: u64 = 8;

/// Rounds `bytes` up to the next step: `least`, or a power of two of `least` plus the smallest sufficient number of eighths.
fn step(bytes: u64, least: u64) -> u64 {
    if bytes <= least {
        return least;
    }
    // The greatest power of two below `bytes`; `least` is a power of two too.
    let power = 1 << (bytes - 1).ilog2();
    bytes.checked_next_multiple_of((power / STEPS).max(1)).unwrap_or(u64::MAX)
}

/// Returns a size to show instead of `bytes`.
///
/// It is no less than `bytes`, and at most about a quarter more, or `least` (a power of two) and an eighth of that.
///
/// Before rounding up to a step, it adds up to an eighth of the size, as `secret` says, which is drawn uniformly from all 64-bit
/// numbers. So there is no size at which one more byte is seen for certain. `d` more bytes are seen with a probability of no more
/// than about 20·d/max(`bytes`, `least`).
pub fn public(bytes: u64, least: u64, secret: u64) -> u64 {
    let most = bytes.max(least) / STEPS;
    let added = (u128::from(secret) * u128::from(most)) >> 64;
    step(bytes.saturating_add(added as u64), least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least sizes, in bytes.
    const LEAST: [u64; 2] = [SEALED, 1 << 20];

    fn is_public(bytes: u64, least: u64) -> bool {
        step(bytes, least) == bytes
    }

    /// Secrets spread evenly.
    fn secrets() -> impl Iterator<Item = u64> {
        (0..=4096).map(|i| i * (u64::MAX / 4096))
    }

    #[test]
    fn a_public_size_is_a_step_no_less_and_not_much_more() {
        for least in LEAST {
            for bytes in (0..63).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1, 3 << (bit / 2), (1 << bit) / 7 * 8])
            {
                for secret in [0, 1, u64::MAX / 3, u64::MAX] {
                    let seen = public(bytes, least, secret);
                    assert!(seen >= bytes && is_public(seen, least), "{bytes} {seen}");
                    assert!(u128::from(seen) <= u128::from(bytes.max(least)) * 81 / 64 + 1, "{bytes} {seen}");
                }
            }
            assert!(!is_public(least - 1, least) && !is_public(least + 1, least) && is_public(least + least / 8, least));
        }
    }

    /// Of whatever size a file is, with a person's rows in it and without it is seen to be of another size for few secrets.
    #[test]
    fn no_size_lies_at_a_step_for_certain() {
        for least in LEAST {
            let steps = (0..20).flat_map(|bit| (8..16).map(move |eighths| (least << bit) / 8 * eighths));
            for bytes in steps.flat_map(|at| [at - 700, at - 1, at, at + 1, at * 9 / 8]) {
                let more = 500;
                let told =
                    secrets().filter(|secret| public(bytes, least, *secret) != public(bytes + more, least, *secret)).count();
                let bound = 20.0 * more as f64 / bytes.max(least) as f64;
                assert!(told as f64 / 4097.0 <= bound + 2.0 / 4097.0, "{bytes}: {told} of 4097, bound {bound}");
            }
        }
    }
}
