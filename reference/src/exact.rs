//! Floats as exact fractions.

use dashu::rational::RBig;

/// An exact fraction of a finite float.
///
/// # Panics
/// On NaN and infinities.
#[expect(clippy::expect_used, reason = "a reference says at once what it was not made for")]
pub fn exact(value: f64) -> RBig {
    RBig::try_from(value).expect("finite")
}
