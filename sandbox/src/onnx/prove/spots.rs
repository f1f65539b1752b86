//! Integers known except for the number of a row, by which exporters pick each row's own part of a tensor.
//!
//! `Range` counts the rows of a run, and arithmetic turns this into indices: row 3's mask is at `3 · length` of all masks, or at
//! `[3, …]`. Such indices are followed exactly, so that values picked by them are known to be the row's own.

use super::{
    spot::Spot,
    tensor::{Dim, Int, Tensor, count},
};

/// Maximum count of numbers followed per row of a tensor.
const SPOTS: u64 = super::tensor::KNOWN as u64;

/// Returns the only axis along which rows are counted, or `None` if there is none.
///
/// An error means several axes, or several places per row.
fn rows(dims: &[Dim]) -> Result<Option<usize>, ()> {
    let mut axes = (0..dims.len()).filter(|at| dims[*at].power > 0);
    match (axes.next(), axes.next()) {
        (None, _) => Ok(None),
        (Some(axis), None) if dims[axis] == Dim::ROWS => Ok(Some(axis)),
        _ => Err(()),
    }
}

/// Returns the axis of rows of a tensor with known numbers, or `None` without such an axis.
pub(super) fn axis(of: &Tensor) -> Option<usize> {
    rows(&of.dims).ok().flatten()
}

/// Returns how many numbers a row has.
fn many(dims: &[Dim]) -> Option<u64> {
    rows(dims).ok()?;
    count(dims).ok().map(|all| all.times).filter(|all| *all <= SPOTS)
}

/// Returns the known numbers of a tensor in their order, without the axis of rows.
pub(super) fn of(tensor: &Tensor) -> Option<Vec<Spot>> {
    if let Some(spots) = &tensor.spots {
        return Some(spots.clone());
    }
    let ints: Option<Vec<i64>> = tensor.ints.as_ref()?.iter().map(|int: &Int| int.known()).collect();
    ints?.into_iter().map(|plus| Spot { row: 0, plus }.fits()).collect()
}

/// Returns the same numbers, in the same order, for another shape: the product of dimensions before the axis of rows must be the
/// same.
pub(super) fn moved(from: &Tensor, to: &[Dim]) -> Option<Vec<Spot>> {
    let before = |dims: &[Dim]| rows(dims).ok().map(|axis| axis.map(|axis| count(&dims[..axis])));
    (before(&from.dims)? == before(to)?).then(|| of(from))?
}

/// Applies `op` to tensors broadcast to `dims`.
pub(super) fn spread(from: &[&Tensor], dims: &[Dim], op: impl Fn(&[Spot]) -> Option<Spot>) -> Option<Vec<Spot>> {
    let all = from.iter().map(|tensor| of(tensor)).collect::<Option<Vec<_>>>()?;
    (0..many(dims)?)
        .map(|number| {
            let values: Option<Vec<Spot>> =
                from.iter().zip(&all).map(|(tensor, spots)| spots.get(place(&tensor.dims, dims, number)).copied()).collect();
            op(&values?)
        })
        .collect()
}

/// Returns the index, within a tensor of shape `dims`, of the value used at index `number` of the larger shape `of`.
fn place(dims: &[Dim], of: &[Dim], number: u64) -> usize {
    let (mut rest, mut at, mut step) = (number, 0, 1);
    for (back, dim) in of.iter().rev().enumerate() {
        // The axis of rows is left out, as if its length were one.
        let length = if dim.power > 0 { 1 } else { dim.times.max(1) };
        let index = rest % length;
        rest /= length;
        if let Some(own) = dims.len().checked_sub(back + 1).map(|at| dims[at]).filter(|own| own.power == 0 && own.times > 1) {
            at += index * step;
            step *= own.times;
        }
    }
    at as usize
}

/// Concatenates along an axis other than the rows'.
pub(super) fn concat(all: &[&Tensor], along: usize, dims: &[Dim]) -> Option<Vec<Spot>> {
    many(dims)?;
    if rows(dims).ok()? == Some(along) {
        return None;
    }
    let lists = all.iter().map(|tensor| of(tensor)).collect::<Option<Vec<_>>>()?;
    let after = |tensor: &Tensor| count(&tensor.dims[along..]).ok().map(|n| n.times as usize).filter(|n| *n > 0);
    let sizes = all.iter().map(|tensor| after(tensor)).collect::<Option<Vec<_>>>()?;
    let mut chunks: Vec<_> = lists.iter().zip(sizes).map(|(list, size)| list.chunks(size)).collect();
    let mut made = Vec::new();
    while let Some(piece) = chunks.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        piece.into_iter().for_each(|piece| made.extend_from_slice(piece));
    }
    Some(made)
}
