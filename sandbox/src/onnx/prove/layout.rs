//! Operators for moving values without changing any: rows are followed to their new place, or are mixed if this is impossible.

use super::{
    call::{Call, Done, axes, axis},
    spots,
    tensor::{Dim, Elem, Flow, Int, KNOWN, Tensor, count, show},
};

/// Follows Reshape to a known shape, in numbers or numbers of rows.
pub(super) fn reshape(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let wanted = call.known(1)?.ok_or("its shape is missing")?;
    let zero_is_zero = call.int_or("allowzero", 0)? != 0;
    let given = call.maybe(0).ok_or("input 0 is missing")?;
    let mut dims = Vec::new();
    let mut open = None;
    for (at, int) in wanted.iter().enumerate() {
        dims.push(match int.known() {
            Some(-1) if open.is_none() => {
                open = Some(at);
                Dim::ONE
            }
            Some(0) if !zero_is_zero => *given.dims.get(at).ok_or("keeps a dimension that is not there")?,
            _ => int.dim().filter(|d| d.times > 0).ok_or("its shape is none")?,
        });
    }
    if let Some(open) = open {
        dims[open] = count(&given.dims)?
            .over(count(&dims)?)
            .ok_or_else(|| format!("{} cannot be brought to {}", show(&given.dims), show(&dims)))?;
    }
    moved(call, dims)
}

/// Follows Flatten to a matrix.
pub(super) fn flatten(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    let given = call.int_or("axis", 1)?;
    let at = if given == x.rank() as i64 { x.rank() } else { axis(given, x.rank())? };
    moved(call, vec![count(&x.dims[..at])?, count(&x.dims[at..])?])
}

/// Follows Squeeze of named axes.
///
/// If all axes of length one were meant, a single row would lose its axis.
pub(super) fn squeeze(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    let Some(listed) = call.list("axes", 1)? else {
        // The only number of a list.
        return match &x.ints {
            Some(ints) if ints.len() == 1 => Ok(Done::known(Tensor::known(x.elem, true, ints.clone()))),
            _ => Err("names no axes".into()),
        };
    };
    let gone = axes(&listed, x.rank())?;
    if gone.iter().any(|at| x.dims[*at] != Dim::ONE) {
        return Err(format!("an axis of {} that it takes away is longer than one", show(&x.dims)));
    }
    moved(call, x.dims.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, d)| *d).collect())
}

/// Follows Unsqueeze.
pub(super) fn unsqueeze(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    let listed = call.list("axes", 1)?.ok_or("names no axes")?;
    let mut dims = x.dims.clone();
    for at in axes(&listed, x.rank() + listed.len())? {
        dims.insert(at, Dim::ONE);
    }
    moved(call, dims)
}

/// Follows the same values in the same order into another shape.
fn moved(call: &Call<'_>, dims: Vec<Dim>) -> Result<Done, String> {
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    if count(&dims)? != count(&x.dims)? {
        return Err(format!("{} cannot be brought to {}", show(&x.dims), show(&dims)));
    }
    if let Some(ints) = x.ints.as_ref().filter(|_| dims.len() <= 1) {
        return Ok(Done::known(Tensor { ints: Some(ints.clone()), dims, ..x.clone() }));
    }
    let x = call.data(0)?;
    let flow = match x.axis() {
        None => x.flow,
        // Row-major: the product of dimensions before the rows' axis must stay the same; then each row's own part keeps its size,
        // too.
        Some(rows) => {
            let before = count(&x.dims[..rows])?;
            let to = dims.iter().position(|d| d.power > 0).filter(|to| count(&dims[..*to]) == Ok(before));
            to.map_or(call.mixes(), Flow::Rows)
        }
    };
    let spots = spots::moved(x, &dims);
    Ok(Done::one(Tensor::new(x.elem, dims, flow), 1)?.with_spots(spots))
}

/// Follows Transpose.
pub(super) fn transpose(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let order = call.ints("perm")?.unwrap_or_else(|| (0..x.rank() as i64).rev().collect());
    if order.len() != x.rank() || axes(&order, x.rank())?.len() != x.rank() {
        return Err("attribute perm is no order of its axes".into());
    }
    let order = order.iter().map(|a| axis(*a, x.rank())).collect::<Result<Vec<_>, _>>()?;
    let dims = order.iter().map(|at| x.dims[*at]).collect();
    let flow = match x.axis() {
        Some(rows) => order.iter().position(|at| *at == rows).map_or(call.mixes(), Flow::Rows),
        None => x.flow,
    };
    Done::one(Tensor::new(x.elem, dims, flow), 1)
}

/// Follows Concat along an axis other than the rows'.
pub(super) fn concat(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let given = call.int("axis")?.ok_or("attribute axis is missing")?;
    let all = (0..call.inputs.len()).map(|i| call.maybe(i).ok_or("an input is missing")).collect::<Result<Vec<_>, _>>()?;
    let first = *all.first().ok_or("has no input")?;
    let length = |t: &&Tensor| t.ints.as_ref().map_or(KNOWN, Vec::len);
    if first.rank() == 1
        && all.iter().map(length).sum::<usize>() <= KNOWN
        && let Some(lists) = all.iter().map(|t| t.ints.as_ref().filter(|_| t.rank() == 1)).collect::<Option<Vec<_>>>()
    {
        return Ok(Done::known(Tensor::known(first.elem, false, lists.into_iter().flatten().copied().collect())));
    }
    let at = axis(given, first.rank())?;
    let mut dims = first.dims.clone();
    dims[at] = Dim { times: 0, power: first.dims[at].power };
    let mut flow = Flow::Public;
    for i in 0..all.len() {
        let x = call.data(i)?;
        let fits = x.rank() == dims.len() && (0..dims.len()).all(|d| d == at || x.dims[d] == dims[d]);
        if !fits || x.dims[at].power != dims[at].power {
            return Err(format!("shapes {} and {} do not fit together", show(&first.dims), show(&x.dims)));
        }
        dims[at].times = dims[at].times.checked_add(x.dims[at].times).ok_or("a tensor is too large")?;
        flow = match (flow, x.axis()) {
            (flow, None) => flow,
            // Another input's rows would follow all rows of the first.
            (_, Some(rows)) if rows == at => call.mixes(),
            (Flow::Public, Some(rows)) => Flow::Rows(rows),
            (Flow::Rows(before), Some(rows)) if before == rows => flow,
            _ => call.mixes(),
        };
    }
    let spots = spots::concat(&all, at, &dims);
    Ok(Done::one(Tensor::new(first.elem, dims, flow), 1)?.with_spots(spots))
}

/// Follows Split along an axis other than the rows'.
pub(super) fn split(call: &Call<'_>) -> Result<Done, String> {
    let pieces = call.outputs(256)?;
    let x = call.data(0)?;
    let at = axis(call.int_or("axis", 0)?, x.rank())?;
    let length = x.fixed(at)?;
    let sizes = match call.list("split", 1)? {
        Some(sizes) => sizes.iter().map(|n| u64::try_from(*n).map_err(|_| "a piece is none")).collect::<Result<Vec<_>, _>>()?,
        None => {
            let each = length.div_ceil(pieces as u64);
            (0..pieces as u64).map(|i| each.min(length.saturating_sub(i * each))).collect()
        }
    };
    if sizes.len() != pieces || sizes.contains(&0) || sizes.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)) != Some(length) {
        return Err(format!("its pieces do not make up axis {at} of {}", show(&x.dims)));
    }
    if call.int("num_outputs")?.is_some_and(|n| n != pieces as i64) {
        return Err("attribute num_outputs is not the number of its outputs".into());
    }
    let piece = |size: &u64| {
        let mut dims = x.dims.clone();
        dims[at] = Dim::fixed(*size);
        Tensor::new(x.elem, dims, x.flow)
    };
    Ok(Done { outputs: sizes.iter().map(piece).collect(), ..Done::one(x.clone(), 1)? })
}

/// Follows Expand to a known shape. Values shared by all rows may be put beside each of them.
pub(super) fn expand(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let wanted = call.known(1)?.ok_or("its shape is missing")?;
    let wanted =
        wanted.iter().map(|int| int.dim().filter(|d| d.times > 0)).collect::<Option<Vec<_>>>().ok_or("its shape is none")?;
    let (dims, flow) = call.broadcast(&[x, &uniform(call, x.elem, wanted)])?;
    let spots = spots::spread(&[x], &dims, |row| row.first().copied());
    Ok(Done::one(Tensor::new(x.elem, dims, flow), 1)?.with_spots(spots))
}

/// Returns a tensor with the same value everywhere, and the same number of values for each row.
pub(super) fn uniform(call: &Call<'_>, elem: Elem, dims: Vec<Dim>) -> Tensor {
    let powers: Vec<usize> = (0..dims.len()).filter(|at| dims[*at].power > 0).collect();
    let flow = match powers.as_slice() {
        [] => Flow::Public,
        [one] if dims[*one].power == 1 => Flow::Rows(*one),
        _ => call.mixes(),
    };
    Tensor::new(elem, dims, flow)
}

/// Follows Tile with known repeats, and a single repeat of the rows' axis.
pub(super) fn tile(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let times = call.known(1)?.ok_or("its repeats are missing")?;
    if x.rank() == 0 || times.len() != x.rank() {
        return Err("names another number of repeats than its input has axes".into());
    }
    let mut dims = Vec::new();
    for (dim, times) in x.dims.iter().zip(times) {
        dims.push(dim.times(times.dim().filter(|d| d.times > 0).ok_or("repeats less than once")?)?);
    }
    let flow = match x.axis() {
        // Copies of all rows follow one another.
        Some(rows) if times[rows] != Int::of(1) => call.mixes(),
        Some(rows) if dims.iter().enumerate().all(|(at, d)| at == rows || d.power == 0) => Flow::Rows(rows),
        Some(_) => call.mixes(),
        None if x.flow == Flow::Public => uniform(call, x.elem, dims.clone()).flow,
        None => x.flow,
    };
    Done::one(Tensor::new(x.elem, dims, flow), 1)
}

/// Follows Pad of axes other than the rows'.
pub(super) fn pad(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    call.public(2)?;
    let mode = call.text("mode")?.unwrap_or("constant");
    if !matches!(mode, "constant" | "reflect" | "edge") {
        return Err("attribute mode is not known".into());
    }
    let over = match call.numbers(3)? {
        Some(listed) => listed.iter().map(|a| axis(*a, x.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let pads = call.numbers(1)?.ok_or("its pads are missing")?;
    if x.rank() == 0 || pads.len() != 2 * over.len() || pads.iter().any(|n| !(0..=1 << 20).contains(n)) {
        return Err("its pads are not two numbers from 0 on for each axis".into());
    }
    let mut dims = x.dims.clone();
    for (i, at) in over.iter().enumerate() {
        let (before, after) = (pads[i] as u64, pads[i + over.len()] as u64);
        if before + after > 0 {
            let length = x.fixed(*at)?;
            // A mirror image is no larger than the original.
            if mode == "reflect" && before.max(after) >= length {
                return Err("mirrors more than there is".into());
            }
            dims[*at] = Dim::fixed(length + before + after);
        }
    }
    Done::one(Tensor::new(x.elem, dims, x.flow), 1)
}

/// Follows DepthToSpace and SpaceToDepth, within each image.
pub(super) fn depth(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    if x.rank() != 4 {
        return Err(format!("takes images, not {}", show(&x.dims)));
    }
    let block = call.int("blocksize")?.filter(|n| (1..=1024).contains(n)).ok_or("attribute blocksize must be 1 to 1024")? as u64;
    let (c, h, w) = (x.fixed(1)?, x.fixed(2)?, x.fixed(3)?);
    let deep = call.node.op_type.as_deref() == Some("DepthToSpace");
    let sizes = if deep {
        c.is_multiple_of(block * block).then(|| [c / (block * block), h * block, w * block])
    } else {
        (h.is_multiple_of(block) && w.is_multiple_of(block)).then(|| [c * block * block, h / block, w / block])
    };
    let mut dims = vec![x.dims[0]];
    dims.extend(sizes.ok_or("attribute blocksize does not divide its input")?.map(Dim::fixed));
    Done::one(Tensor::new(x.elem, dims, super::window::by_first(call, x)), 1)
}

/// Follows Trilu, a triangle of the last two axes, neither the rows'.
pub(super) fn triangle(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    call.public(1)?;
    let x = call.data(0)?;
    let rank = x.rank();
    if rank < 2 {
        return Err(format!("takes matrices, not {}", show(&x.dims)));
    }
    let flow = if x.axis().is_some_and(|rows| rows + 2 >= rank) { call.mixes() } else { x.flow };
    Done::one(Tensor::new(x.elem, x.dims.clone(), flow), 1)
}
