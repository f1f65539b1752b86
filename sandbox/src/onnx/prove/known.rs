//! Integers known before any row is read, as exporters compute shapes from shapes.

use super::{
    call::{Call, Done},
    tensor::{Elem, Int, Tensor},
};

/// Applies `op` to two known inputs; returns nothing if they are not known, or the result cannot be represented.
pub(super) fn binary(call: &Call<'_>, op: fn(Int, Int) -> Option<Int>) -> Option<Done> {
    let (a, b) = (call.maybe(0)?, call.maybe(1)?);
    let ints = spread(&[a, b], |row| op(row[0], row[1]).filter(|int| fits(*int, a.elem)))?;
    Some(known(a.elem, &[a, b], ints))
}

/// Returns whether a runtime computing with `elem` gets the same number for any number of rows, without wrapping around,
/// saturating or rounding.
pub(super) fn fits(int: Int, elem: Elem) -> bool {
    let Some(known) = int.known() else {
        return elem == Elem::I64 && int.power <= 2 && int.times.unsigned_abs() <= 1 << 24;
    };
    match elem {
        Elem::I64 => true,
        Elem::I32 => i32::try_from(known).is_ok(),
        Elem::I16 => i16::try_from(known).is_ok(),
        Elem::I8 => i8::try_from(known).is_ok(),
        Elem::U64 => known >= 0,
        Elem::U32 => u32::try_from(known).is_ok(),
        Elem::U16 => u16::try_from(known).is_ok(),
        Elem::U8 => u8::try_from(known).is_ok(),
        Elem::Bool => matches!(known, 0 | 1),
        Elem::F64 => known.unsigned_abs() <= 1 << 53,
        Elem::F32 => known.unsigned_abs() <= 1 << 24,
        Elem::F16 => known.unsigned_abs() <= 1 << 11,
        Elem::Bf16 => known.unsigned_abs() <= 1 << 8,
    }
}

/// Acts as [`binary`], for a comparison.
pub(super) fn compare(call: &Call<'_>, op: fn(Int, Int) -> Option<bool>) -> Option<Done> {
    let (a, b) = (call.maybe(0)?, call.maybe(1)?);
    let ints = spread(&[a, b], |row| op(row[0], row[1]).map(|yes| Int::of(yes.into())))?;
    Some(known(Elem::Bool, &[a, b], ints))
}

/// Applies Where to known inputs.
pub(super) fn choose(call: &Call<'_>) -> Option<Done> {
    let inputs = [call.maybe(0)?, call.maybe(1)?, call.maybe(2)?];
    let ints = spread(&inputs, |row| Some(if row[0].known()? != 0 { row[1] } else { row[2] }))?;
    Some(known(inputs[1].elem, &inputs, ints))
}

fn known(elem: Elem, inputs: &[&Tensor], ints: Vec<Int>) -> Done {
    Done::known(Tensor::known(elem, inputs.iter().all(|t| t.rank() == 0), ints))
}

/// Applies `op` to the values at each index, with a single value used for all.
fn spread(inputs: &[&Tensor], op: impl Fn(&[Int]) -> Option<Int>) -> Option<Vec<Int>> {
    let lists = inputs.iter().map(|t| t.ints.as_deref()).collect::<Option<Vec<_>>>()?;
    let length = lists.iter().map(|list| list.len()).find(|n| *n != 1).unwrap_or(1);
    if lists.iter().any(|list| list.len() != 1 && list.len() != length) {
        return None;
    }
    (0..length)
        .map(|i| op(&lists.iter().map(|list| if list.len() == 1 { list[0] } else { list[i] }).collect::<Vec<_>>()))
        .collect()
}

pub(super) fn add(a: Int, b: Int) -> Option<Int> {
    match (a.known(), b.known()) {
        (Some(0), _) => Some(b),
        (_, Some(0)) => Some(a),
        _ if a.power == b.power => Some(Int { times: a.times.checked_add(b.times)?, power: a.power }),
        _ => None,
    }
}

pub(super) fn sub(a: Int, b: Int) -> Option<Int> {
    add(a, Int { times: b.times.checked_neg()?, power: b.power })
}

pub(super) fn mul(a: Int, b: Int) -> Option<Int> {
    let power = a.power.checked_add(b.power).filter(|p| *p < 4)?;
    Some(Int { times: a.times.checked_mul(b.times)?, power })
}

/// Divides without remainder: rounded quotients of numbers of rows cannot be represented.
pub(super) fn div(a: Int, b: Int) -> Option<Int> {
    if let (Some(a), Some(b)) = (a.known(), b.known()) {
        return a.checked_div(b).map(Int::of);
    }
    let power = a.power.checked_sub(b.power)?;
    let times = a.times.checked_div(b.times)?;
    (times * b.times == a.times).then_some(Int { times, power })
}

/// Returns the sign of a − b, if the same for every positive number of rows.
fn order(a: Int, b: Int) -> Option<std::cmp::Ordering> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if a == b {
        return Some(Equal);
    }
    match (a.known(), b.known()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        // A positive multiple of the number of rows against a number below its factor.
        (None, Some(b)) if a.times > 0 && b < a.times => Some(Greater),
        (Some(a), None) if b.times > 0 && a < b.times => Some(Less),
        _ => None,
    }
}

pub(super) fn equal(a: Int, b: Int) -> Option<bool> {
    order(a, b).map(|o| o.is_eq())
}

pub(super) fn less(a: Int, b: Int) -> Option<bool> {
    order(a, b).map(|o| o.is_lt())
}

pub(super) fn less_or_equal(a: Int, b: Int) -> Option<bool> {
    order(a, b).map(|o| o.is_le())
}

pub(super) fn greater(a: Int, b: Int) -> Option<bool> {
    order(a, b).map(|o| o.is_gt())
}

pub(super) fn greater_or_equal(a: Int, b: Int) -> Option<bool> {
    order(a, b).map(|o| o.is_ge())
}
