//! Products: rows stay apart if multiplied by constants, or within a row.

use super::{
    call::{Call, Done},
    tensor::{Dim, Elem, Flow, Tensor, Work, count, show},
};

/// Follows MatMul: numpy's product of the last two dimensions, over the dimensions before them.
pub(super) fn matmul(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (a, b) = (call.data(0)?, call.data(1)?);
    product(call, a, b, a.elem)
}

/// Follows MatMulInteger, with zero points shared by all rows.
pub(super) fn matmul_integer(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (a, b) = (call.data(0)?, call.data(1)?);
    zero_point(call, 2, true)?;
    zero_point(call, 3, false)?;
    product(call, a, b, Elem::I32)
}

/// Follows QLinearMatMul.
pub(super) fn qlinear_matmul(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (a, b) = (call.data(0)?, call.data(3)?);
    for (i, scalar) in [(1, true), (2, true), (4, false), (5, false), (6, true), (7, true)] {
        zero_point(call, i, scalar)?;
    }
    let to = call.constant(7)?.elem;
    product(call, a, b, to)
}

/// Checks a scale or zero point: constant, with a single number or a number per column.
pub(super) fn zero_point(call: &Call<'_>, i: usize, scalar: bool) -> Result<(), String> {
    if let Some(given) = call.public(i)?
        && (given.rank() > 1 || (scalar && count(&given.dims)? != Dim::ONE))
    {
        return Err(format!("input {i} must be one number{}", if scalar { "" } else { ", or one a column" }));
    }
    Ok(())
}

fn product(call: &Call<'_>, a: &Tensor, b: &Tensor, to: Elem) -> Result<Done, String> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err("takes no scalars".into());
    }
    // A vector is a matrix of one row on the left, of one column on the right.
    let full = |t: &Tensor, at: usize| {
        let mut t = t.clone();
        if t.rank() == 1 {
            t.dims.insert(at, Dim::ONE);
            t.flow = match t.flow {
                Flow::Rows(axis) => Flow::Rows(if at == 0 { axis + 1 } else { axis }),
                other => other,
            };
        }
        t
    };
    let (left, right) = (full(a, 0), full(b, 1));
    let (m, k) = (left.dims[left.rank() - 2], left.dims[left.rank() - 1]);
    let (k2, n) = (right.dims[right.rank() - 2], right.dims[right.rank() - 1]);
    if k != k2 {
        return Err(format!("shapes {} and {} do not fit together", show(&a.dims), show(&b.dims)));
    }
    let over = |t: &Tensor| {
        let rank = t.rank() - 2;
        let flow = match t.flow {
            Flow::Rows(axis) if axis < rank => Flow::Rows(axis),
            _ => Flow::Public,
        };
        Tensor::new(t.elem, t.dims[..rank].to_vec(), flow)
    };
    let (before, before_flow) = call.broadcast(&[&over(&left), &over(&right)])?;
    let rank = before.len() + 2;
    // Position of the rows' axis in the output, counted from the left; nothing if it is summed over.
    let place = |t: &Tensor, kept: usize| t.axis().map(|axis| rank - t.rank() + axis).filter(|axis| *axis != kept);
    let flow = match (left.axis(), right.axis()) {
        (None, None) => Flow::Public,
        (Some(_), None) => place(&left, rank - 1).map_or(call.mixes(), Flow::Rows),
        (None, Some(_)) => place(&right, rank - 2).map_or(call.mixes(), Flow::Rows),
        // Each row has its own matrices.
        (Some(l), Some(r)) if l < left.rank() - 2 && r < right.rank() - 2 => before_flow,
        _ => call.mixes(),
    };
    let mut dims = before;
    dims.extend([m, n]);
    let work = Work::of(count(&dims)?.times(k)?, 2);
    let (mut dims, mut flow) = (dims, flow);
    // The dimension added to a vector is removed again.
    for (vector, back) in [(b.rank() == 1, 1), (a.rank() == 1, 2)] {
        if vector {
            let at = dims.len() - if back == 2 && b.rank() == 1 { 1 } else { back };
            dims.remove(at);
            flow = match flow {
                Flow::Rows(axis) if axis > at => Flow::Rows(axis - 1),
                Flow::Rows(axis) if axis == at => call.mixes(),
                other => other,
            };
        }
    }
    Ok(Done { outputs: vec![Tensor::new(to, dims, flow)], work, ..Done::default() })
}

/// Follows Gemm: A·B + C, with A or B optionally transposed.
pub(super) fn gemm(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let turned = |t: &Tensor, name: &str| -> Result<Tensor, String> {
        if t.rank() != 2 {
            return Err(format!("takes matrices, not {}", show(&t.dims)));
        }
        let mut t = t.clone();
        if call.int_or(name, 0)? != 0 {
            t.dims.reverse();
            t.flow = if let Flow::Rows(axis) = t.flow { Flow::Rows(1 - axis) } else { t.flow };
        }
        Ok(t)
    };
    let (a, b) = (turned(call.data(0)?, "transA")?, turned(call.data(1)?, "transB")?);
    let mut done = product(call, &a, &b, a.elem)?;
    if call.maybe(2).is_some() {
        let c = call.data(2)?;
        let output = done.outputs.remove(0);
        let (dims, flow) = call.broadcast(&[&output, c])?;
        if dims != output.dims {
            return Err(format!("its third input {} does not fit {}", show(&c.dims), show(&output.dims)));
        }
        done.outputs.push(Tensor { flow, ..output });
    }
    Ok(done)
}
