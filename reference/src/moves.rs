//! How far sums move between neighbouring datasets.

use dashu::integer::UBig;

/// How far a part moves between neighbours, at worst.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// Square of the Euclidean length.
    pub square: UBig,
    /// All moves added up.
    pub taxicab: UBig,
}
