//! Elementwise operators, whose values depend only on values at the same place: rows stay apart.

use super::{
    call::{Call, Done},
    known,
    spot::Spot,
    spots,
    tensor::{Elem, Int, Tensor},
};

/// Operations counted for a transcendental function.
const CURVE: u64 = 8;

/// Follows an operator with an input and an output of the same type.
pub(super) fn each(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    Done::one(Tensor { ints: None, spots: None, ..x.clone() }, 1)
}

/// Acts as [`each`], for slower functions.
pub(super) fn curve(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    Done::one(Tensor { ints: None, spots: None, ..x.clone() }, CURVE)
}

/// Acts as [`curve`], for functions that the runtime computes for several values of 64 bits at a time.
///
/// A large one sends its neighbours through other code, whose last bit differs. The neighbours are other rows.
pub(super) fn wave(call: &Call<'_>) -> Result<Done, String> {
    if call.data(0)?.elem == Elem::F64 {
        return Err("is of doubles, whose last bit follows from their neighbours in the runtime".into());
    }
    curve(call)
}

/// Follows Identity; known values stay known.
pub(super) fn identity(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    match call.maybe(0) {
        Some(known) if known.ints.is_some() => Ok(Done::known(known.clone())),
        known => Ok(each(call)?.with_spots(known.and_then(spots::of))),
    }
}

/// Follows an operator with a truth value for each value of its input.
pub(super) fn question(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    Done::one(Tensor::new(Elem::Bool, x.dims.clone(), x.flow), 1)
}

pub(super) fn cast(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let to = call.elem("to")?.ok_or("attribute to is missing")?;
    if let Some(x) = call.maybe(0)
        && let (Some(ints), Elem::I64 | Elem::I32 | Elem::Bool) = (&x.ints, to)
    {
        let whole = |int: &Int| known::fits(*int, to) && (to != Elem::Bool || matches!(int.known(), Some(0 | 1)));
        if ints.iter().all(whole) {
            return Ok(Done::known(Tensor { elem: to, ..x.clone() }));
        }
    }
    let x = call.data(0)?;
    let same = (x.elem == Elem::I64 || x.elem == Elem::I32) && to == Elem::I64;
    Ok(Done::one(Tensor::new(to, x.dims.clone(), x.flow), 1)?.with_spots(spots::of(x).filter(|_| same || x.elem == to)))
}

/// Follows Clip, whose bounds are scalars, the same for all rows.
pub(super) fn clip(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    for bound in [call.public(1)?, call.public(2)?].into_iter().flatten() {
        if bound.rank() != 0 {
            return Err("bounds must be scalars".into());
        }
    }
    Done::one(Tensor { ints: None, spots: None, ..x.clone() }, 1)
}

/// Follows Dropout, which does nothing except for random draws in training.
pub(super) fn dropout(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(2)?;
    call.public(1)?;
    if call.numbers(2)?.is_some_and(|training| training != [0]) {
        return Err("is in training mode: it draws lots".into());
    }
    let x = call.data(0)?;
    let mut done = Done::one(Tensor { ints: None, spots: None, ..x.clone() }, 1)?;
    done.outputs.push(Tensor::new(Elem::Bool, x.dims.clone(), x.flow));
    Ok(done)
}

pub(super) fn add(call: &Call<'_>) -> Result<Done, String> {
    placed(call, two(call, Some(known::add))?, Spot::add)
}

pub(super) fn sub(call: &Call<'_>) -> Result<Done, String> {
    placed(call, two(call, Some(known::sub))?, Spot::sub)
}

pub(super) fn mul(call: &Call<'_>) -> Result<Done, String> {
    placed(call, two(call, Some(known::mul))?, Spot::mul)
}

/// Keeps values known except for the number of a row.
fn placed(call: &Call<'_>, done: Done, op: fn(Spot, Spot) -> Option<Spot>) -> Result<Done, String> {
    let spots = done.outputs.first().filter(|made| made.ints.is_none() && made.elem == Elem::I64).and_then(|made| {
        let both = [call.maybe(0)?, call.maybe(1)?];
        spots::spread(&both, &made.dims, |row| op(*row.first()?, *row.get(1)?))
    });
    Ok(done.with_spots(spots))
}

type Of2<T> = fn(Int, Int) -> Option<T>;

fn two(call: &Call<'_>, on_known: Option<Of2<Int>>) -> Result<Done, String> {
    call.outputs(1)?;
    if let Some(done) = on_known.and_then(|op| known::binary(call, op)) {
        return Ok(done);
    }
    let (a, b) = (call.data(0)?, call.data(1)?);
    let (dims, flow) = call.broadcast(&[a, b])?;
    Done::one(Tensor::new(a.elem, dims, flow), 1)
}

/// Follows Div and Mod.
///
/// A processor stops a program that divides an integer by zero, or the smallest integer by −1: the value of one row would end the
/// run of all.
pub(super) fn divide(call: &Call<'_>) -> Result<Done, String> {
    if call.node.op_type.as_deref() == Some("Div")
        && let Some(done) = known::binary(call, known::div)
    {
        return Ok(done);
    }
    let b = call.data(1)?;
    let sound = |ints: &Vec<Int>| ints.iter().all(|int| !matches!(int.known(), Some(0 | -1) | None));
    if b.elem.is_integer() && !b.ints.as_ref().is_some_and(sound) {
        return Err("divides whole numbers by what is not known to be sound".into());
    }
    // The time for a remainder of floats depends on how far apart the exponents are: one row's value would show in everybody's
    // time.
    if !b.elem.is_integer() && call.node.op_type.as_deref() == Some("Mod") {
        return Err("takes whole numbers alone, since a remainder of floats takes as long as a value makes it; write a - b * Floor(a / b)".into());
    }
    two(call, None)
}

/// Follows Pow.
pub(super) fn power(call: &Call<'_>) -> Result<Done, String> {
    let mut done = two(call, None)?;
    let output = done.outputs.remove(0);
    done = Done::one(output, CURVE)?;
    Ok(done)
}

/// Follows PRelu, whose slope is broadcast to the shape of the input, never the other way round.
pub(super) fn slope(call: &Call<'_>) -> Result<Done, String> {
    let done = two(call, None)?;
    if done.outputs.first().is_some_and(|o| Some(&o.dims) != call.maybe(0).map(|x| &x.dims)) {
        return Err("its slope is larger than its input".into());
    }
    Ok(done)
}

pub(super) fn equal(call: &Call<'_>) -> Result<Done, String> {
    truth(call, Some(known::equal))
}

pub(super) fn less(call: &Call<'_>) -> Result<Done, String> {
    truth(call, Some(known::less))
}

pub(super) fn less_or_equal(call: &Call<'_>) -> Result<Done, String> {
    truth(call, Some(known::less_or_equal))
}

pub(super) fn greater(call: &Call<'_>) -> Result<Done, String> {
    truth(call, Some(known::greater))
}

pub(super) fn greater_or_equal(call: &Call<'_>) -> Result<Done, String> {
    truth(call, Some(known::greater_or_equal))
}

/// Follows And, Or and Xor.
pub(super) fn logic(call: &Call<'_>) -> Result<Done, String> {
    truth(call, None)
}

fn truth(call: &Call<'_>, on_known: Option<Of2<bool>>) -> Result<Done, String> {
    call.outputs(1)?;
    if let Some(done) = on_known.and_then(|op| known::compare(call, op)) {
        return Ok(done);
    }
    let (a, b) = (call.data(0)?, call.data(1)?);
    let (dims, flow) = call.broadcast(&[a, b])?;
    Done::one(Tensor::new(Elem::Bool, dims, flow), 1)
}

/// Follows Max, Min, Mean and Sum, with any number of inputs.
pub(super) fn several(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let inputs = (0..call.inputs.len()).map(|i| call.data(i)).collect::<Result<Vec<_>, _>>()?;
    let first = inputs.first().ok_or("has no input")?;
    let (dims, flow) = call.broadcast(&inputs)?;
    Done::one(Tensor::new(first.elem, dims, flow), inputs.len() as u64)
}

/// Follows Where.
pub(super) fn choose(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    if let Some(done) = known::choose(call) {
        return Ok(done);
    }
    let (c, a, b) = (call.data(0)?, call.data(1)?, call.data(2)?);
    let (dims, flow) = call.broadcast(&[c, a, b])?;
    Done::one(Tensor::new(a.elem, dims, flow), 1)
}
