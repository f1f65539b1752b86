//! Movement of sums between neighbouring datasets.

use dashu::integer::UBig;

/// Worst-case movement of a part between neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// Square of the Euclidean length.
    pub square: UBig,
    /// Sum of all moves.
    pub taxicab: UBig,
}
