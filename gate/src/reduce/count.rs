//! Number of units, and number of rows.
//!
//! *Units*: a unit adds 1 to the number of units of a group, however many rows it has: Δ = 1.
//!
//! *Rows*: a unit's rows are counted up to `max_rows`: Δ = `max_rows`.
//!
//! Over blocks both numbers are public, so both are refused.

use tidegate_protocol::result::Cell;

use super::Reduce;
use crate::{
    noised::Noised,
    part::{Frame, Kind, Laid, Part},
};

pub(super) struct Units;
pub(super) struct Count;

fn counter(frame: Frame, most: i64) -> Result<Part, String> {
    if frame.blocks.is_some() { Err("the number of blocks is public".into()) } else { Ok(Part::counter(most)) }
}

impl Reduce for Units {
    fn arity(&self) -> usize {
        0
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        Ok(vec![Part { kind: Kind::Once, ..counter(frame, 1)? }])
    }
    fn lay(&self, rows: usize, _: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        fields[0].present(rows, &[]);
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        noised[0].cells()
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("units", 0.0, 1.0)
    }
}

impl Reduce for Count {
    fn arity(&self) -> usize {
        0
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        Ok(vec![counter(frame, frame.rows)?])
    }
    fn lay(&self, rows: usize, _: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        fields[0].present(rows, &[]);
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        noised[0].cells()
    }
    fn note(&self, frame: Frame) -> (&'static str, f64, f64) {
        ("count", 0.0, frame.rows as f64)
    }
}
