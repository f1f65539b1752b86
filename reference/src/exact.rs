//! Floats as exact fractions.

use dashu::rational::RBig;

/// Converts a finite float to an exact fraction.
///
/// # Panics
/// Panics on NaN and infinities.
#[expect(clippy::expect_used, reason = "a reference says at once what it was not made for")]
pub fn exact(value: f64) -> RBig {
    RBig::try_from(value).expect("finite")
}
