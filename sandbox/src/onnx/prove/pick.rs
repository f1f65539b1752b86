//! Operators for picking values by position: a row's own parts, or a row of a table stored in the model.

use super::{
    call::{Call, Clip, Done, axis},
    known::fits,
    memory,
    spot::Spot,
    spots,
    tensor::{Dim, Elem, Flow, Int, Tensor, show},
};

/// Follows Slice: whole rows, or parts of each.
pub(super) fn slice(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let given = call.maybe(0).ok_or("input 0 is missing")?;
    let (starts, ends) = (call.known(1)?.ok_or("its starts are missing")?, call.known(2)?.ok_or("its ends are missing")?);
    let over = call.numbers(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.numbers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), over.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps are not as many".into());
    }
    let over = over.iter().map(|a| axis(*a, given.rank())).collect::<Result<Vec<_>, _>>()?;
    if let (Some(ints), [_]) = (&given.ints, over.as_slice()) {
        let (start, end) = (starts[0].known(), ends[0].known());
        let (start, end) = start.zip(end).ok_or("a list is cut at a number of rows")?;
        let picked = places(ints.len() as i64, start, end, steps[0])?;
        return Ok(Done::known(Tensor::known(given.elem, false, picked.map(|i| ints[i]).collect())));
    }
    let x = call.data(0)?;
    let (mut dims, mut flow) = (x.dims.clone(), x.flow);
    for (i, at) in over.iter().enumerate() {
        if over[..i].contains(at) {
            return Err("an axis is named twice".into());
        }
        let cut = (starts[i].known(), ends[i].known(), steps[i]);
        match (x.dims[*at].known(), cut) {
            (Some(length), (Some(start), Some(end), step)) => {
                let length = i64::try_from(length).map_err(|_| "a tensor is too large")?;
                let picked = places(length, start, end, step)?.count() as u64;
                if picked == 0 {
                    return Err("nothing is left".into());
                }
                dims[*at] = Dim::fixed(picked);
            }
            // All rows: to an end beyond any number of rows, or to their number.
            (None, (Some(0), end, 1))
                if end.is_some_and(|end| end >= i64::from(i32::MAX)) || ends[i].dim() == Some(x.dims[*at]) => {}
            // A single row of all: the first, or the last.
            (None, (Some(0), Some(1), 1)) if x.dims[*at] == Dim::ROWS => (dims[*at], flow) = (Dim::ONE, call.mixes()),
            (None, (Some(-1), Some(end), 1)) if x.dims[*at] == Dim::ROWS && end >= i64::from(i32::MAX) => {
                (dims[*at], flow) = (Dim::ONE, call.mixes());
            }
            _ => return Err("cuts rows: how many are left would depend on how many there are".into()),
        }
    }
    if let Flow::Mixed(at) = flow {
        call.mixed.set(Some(call.mixed.get().map_or(at, |first| first.min(at))));
    }
    Done::one(Tensor::new(x.elem, dims, flow), 1)
}

/// Returns the indices taken by a slice of a list (numpy's rules, as in ONNX).
fn places(length: i64, start: i64, end: i64, step: i64) -> Result<Box<dyn Iterator<Item = usize>>, String> {
    let from_start = |n: i64| if n < 0 { n.saturating_add(length) } else { n };
    Ok(match step {
        0 => return Err("its step is 0".into()),
        1.. => {
            let (start, end) = (from_start(start).clamp(0, length), from_start(end).clamp(0, length));
            Box::new((start..end).step_by(step as usize).map(|i| i as usize))
        }
        _ => {
            let (start, end) = (from_start(start).clamp(-1, length - 1), from_start(end).clamp(-1, length - 1));
            let step = usize::try_from(step.unsigned_abs()).map_err(|_| "its step is too large")?;
            Box::new(((end + 1)..=start).rev().step_by(step).map(|i| i as usize))
        }
    })
}

/// Follows Gather along an axis, at known indices, or at indices from a row in a table shared by all rows.
pub(super) fn gather(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (table, at) = (call.maybe(0).ok_or("input 0 is missing")?, call.maybe(1).ok_or("input 1 is missing")?);
    let over = axis(call.int_or("axis", 0)?, table.rank())?;
    if let (Some(from), Some(places)) = (&table.ints, &at.ints)
        && table.rank() == 1
    {
        let pick = |int: &Int| {
            let place = axis(int.known().ok_or("a place is a number of rows")?, from.len())?;
            Ok::<_, String>(from[place])
        };
        let picked = places.iter().map(pick).collect::<Result<Vec<_>, _>>()?;
        return Ok(Done::known(Tensor::known(table.elem, at.rank() == 0, picked)));
    }
    let (table, placed) = (call.data(0)?, at);
    let mut dims = table.dims[..over].to_vec();
    dims.extend(&placed.dims);
    dims.extend(&table.dims[over + 1..]);
    if let Some(rows) = own_rows(table, over, placed) {
        return Done::one(Tensor::new(table.elem, dims, Flow::Rows(over + rows)), 1);
    }
    let at = call.data(1)?;
    let flow = match (table.axis(), at.axis()) {
        (None, None) => Flow::Public,
        (None, Some(rows)) => Flow::Rows(over + rows),
        // A single row for all.
        (Some(rows), None) if rows == over => call.mixes(),
        (Some(rows), None) => Flow::Rows(if rows > over { rows + at.rank() - 1 } else { rows }),
        (Some(_), Some(_)) => call.mixes(),
    };
    let length = match table.dims[over].known() {
        Some(length) => i64::try_from(length).map_err(|_| "a table is too large")?,
        // At a known index of all rows; if there are fewer, no run succeeds.
        None if at.ints.is_some() => i64::MAX,
        None => return Err("picks rows by what rows say".into()),
    };
    let sound = |ints: &Vec<Int>| ints.iter().all(|int| int.known().is_some_and(|n| (-length..length).contains(&n)));
    let clip = match &at.ints {
        Some(ints) if sound(ints) => None,
        Some(_) => return Err(format!("picks what is not there of axis {over} of {}", show(&table.dims))),
        None => Some(Clip { input: 1, lo: -length, hi: length - 1 }),
    };
    let mut done = Done { clip, ..Done::one(Tensor::new(table.elem, dims, flow), 1)? };
    if at.ints.is_none() {
        done.work.add(memory::find(at, table)?);
    }
    Ok(done)
}

/// Returns the axis of rows of `at` if each row's indices lie in its own part of `table`, which has rows along `over`.
fn own_rows(table: &Tensor, over: usize, at: &Tensor) -> Option<usize> {
    let Dim { times, power: 1 } = table.dims[over] else { return None };
    let (length, rows) = (i64::try_from(times).ok()?, spots::axis(at)?);
    let own = |spot: &Spot| spot.row == length && (0..length).contains(&spot.plus);
    (table.axis() == Some(over) && spots::of(at)?.iter().all(own)).then_some(rows)
}

/// Follows GatherND at known indices, each row's within its own part.
pub(super) fn gather_nd(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    if call.int_or("batch_dims", 0)? != 0 {
        return Err("attribute batch_dims must be 0".into());
    }
    let (table, at) = (call.data(0)?, call.maybe(1).ok_or("input 1 is missing")?);
    let deep = at.rank().checked_sub(1).ok_or("its places must be lists")?;
    let each = at.fixed(deep)? as usize;
    if each == 0 || each > table.rank() {
        return Err(format!("its places have {each} numbers, for {}", show(&table.dims)));
    }
    let places = spots::of(at).ok_or("picks by what rows say, or is told")?;
    for place in places.chunks(each) {
        for (spot, dim) in place.iter().zip(&table.dims) {
            let own = *dim == Dim::ROWS && *spot == Spot::ROW;
            let there = dim.known().and_then(|n| i64::try_from(n).ok()).is_some_and(|n| (-n..n).contains(&spot.plus));
            let told = spot.row == 0 && there;
            if !(own || told) {
                return Err(format!("picks what may not be there, or another row's, of {}", show(&table.dims)));
            }
        }
    }
    let mut dims = at.dims[..deep].to_vec();
    dims.extend(&table.dims[each..]);
    let flow = match (table.flow, spots::axis(at)) {
        (Flow::Public, None) => Flow::Public,
        // Each row's values come from the row of that number: another's would have been refused.
        (Flow::Rows(axis), Some(rows)) if axis < each && table.dims[axis] == Dim::ROWS => Flow::Rows(rows),
        (Flow::Rows(axis), None) if axis >= each => Flow::Rows(deep + axis - each),
        _ => call.mixes(),
    };
    Done::one(Tensor::new(table.elem, dims, flow), 1)
}

/// Follows GatherElements within each row's own values.
pub(super) fn gather_elements(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (x, at) = (call.data(0)?, call.data(1)?);
    let over = axis(call.int_or("axis", 0)?, x.rank())?;
    let length = i64::try_from(x.fixed(over)?).map_err(|_| "a tensor is too large")?;
    let fits = x.rank() == at.rank() && (0..x.rank()).all(|d| d == over || x.dims[d] == at.dims[d]);
    if !fits {
        return Err(format!("places {} do not fit {}", show(&at.dims), show(&x.dims)));
    }
    let flow = match (x.axis(), at.axis()) {
        (None, None) => Flow::Public,
        (a, b) if a == b => x.flow,
        _ => call.mixes(),
    };
    let clip = Some(Clip { input: 1, lo: -length, hi: length - 1 });
    let mut done = Done { clip, ..Done::one(Tensor::new(x.elem, at.dims.clone(), flow), 1)? };
    done.work.add(memory::find(at, x)?);
    Ok(done)
}

/// Follows OneHot: an index becomes a list with a number at its place, or with none if out of range.
pub(super) fn one_hot(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let at = call.data(0)?;
    let depth = call.numbers(1)?.ok_or("its depth is missing")?;
    let [depth] = depth.as_slice() else { return Err("its depth must be one number".into()) };
    let depth = u64::try_from(*depth).ok().filter(|n| *n > 0).ok_or("its depth must be positive")?;
    let values = call.constant(2)?;
    let new = axis(call.int_or("axis", -1)?, at.rank() + 1)?;
    let mut dims = at.dims.clone();
    dims.insert(new, Dim::fixed(depth));
    let flow = match at.axis() {
        Some(rows) => Flow::Rows(if rows >= new { rows + 1 } else { rows }),
        None => at.flow,
    };
    Done::one(Tensor::new(values.elem, dims, flow), 1)
}

/// Follows ArrayFeatureExtractor: columns of each row, or entries of a table chosen by rows.
pub(super) fn columns(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let last = x.rank().checked_sub(1).ok_or("takes no scalars")?;
    let length = x.fixed(last)?;
    // A single list becomes a matrix of one row.
    let mut dims = if x.rank() == 1 { vec![Dim::ONE] } else { x.dims[..last].to_vec() };
    let Some(known) = call.maybe(1).filter(|at| at.ints.is_some()) else {
        let at = call.data(1)?;
        dims.push(super::tensor::count(&at.dims)?);
        let flow = match (x.flow, at.flow) {
            (Flow::Public, Flow::Public) => Flow::Public,
            // Indices of one row come after those of another, and so do the entries.
            (Flow::Public, Flow::Rows(rows)) if super::tensor::count(&at.dims[..rows])? == Dim::ONE => Flow::Rows(dims.len() - 1),
            _ => call.mixes(),
        };
        let clip = Some(Clip { input: 1, lo: 0, hi: i64::try_from(length).map_err(|_| "a table is too large")? - 1 });
        let mut done = Done { clip, ..Done::one(Tensor::new(x.elem, dims, flow), 1)? };
        done.work.add(memory::find(at, x)?);
        return Ok(done);
    };
    let at = call.numbers(1)?.ok_or("its columns are missing")?;
    if at.is_empty() || at.iter().any(|n| !u64::try_from(*n).is_ok_and(|n| n < length)) {
        return Err(format!("picks columns that are not there of {}", show(&x.dims)));
    }
    if x.rank() == 1 && x.flow != Flow::Public {
        return Err(format!("takes matrices, not {}", show(&x.dims)));
    }
    dims.push(super::tensor::count(&known.dims)?);
    Done::one(Tensor::new(x.elem, dims, x.flow), 1)
}

/// Follows Shape: its numbers are known, in numbers of rows.
pub(super) fn shape(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    let rank = x.rank() as i64;
    let (start, end) = (call.int_or("start", 0)?, call.int_or("end", rank)?);
    let ints = places(rank, start, end, 1)?.map(|at| int(x.dims[at])).collect::<Option<Vec<_>>>();
    Ok(Done::known(Tensor::known(Elem::I64, false, ints.ok_or("a tensor is too large")?)))
}

/// Follows Size, as [`shape`].
pub(super) fn size(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.maybe(0).ok_or("input 0 is missing")?;
    let size = int(super::tensor::count(&x.dims)?).ok_or("a tensor is too large")?;
    Ok(Done::known(Tensor::known(Elem::I64, true, vec![size])))
}

fn int(dim: Dim) -> Option<Int> {
    Some(Int { times: i64::try_from(dim.times).ok()?, power: dim.power }).filter(|int| fits(*int, Elem::I64))
}
