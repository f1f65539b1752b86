//! Numbers of some rows → one contribution.

use crate::{
    Scored,
    plan::{Plan, Reduce, Takes},
};

/// In the order of the plan.
pub(crate) fn contribution(plan: &Plan, scored: &Scored, labels: &[f64]) -> Vec<f64> {
    let number = |at: usize| {
        let column = scored.numbers.iter().skip(at).step_by(scored.width.max(1));
        reduce(column.map(|v| f64::from(*v)), plan.reduce)
    };
    let label = || reduce(labels.iter().copied(), plan.reduce);
    let mut all = Vec::with_capacity(plan.numbers());
    for takes in &plan.takes {
        match *takes {
            Takes::Numbers(from, many) => all.extend((from..from + many).map(number)),
            Takes::Labelled(at) => all.extend([number(at), label()]),
            Takes::Class => all.extend([label(), class((0..scored.width).map(number).collect())]),
        }
    }
    all
}

/// One number of many, in their order. NaN where any is, or there are none.
fn reduce(values: impl Iterator<Item = f64>, how: Reduce) -> f64 {
    let (mut count, mut sum, mut most, mut last) = (0u32, 0.0, f64::NEG_INFINITY, f64::NAN);
    for value in values {
        if value.is_nan() {
            return f64::NAN;
        }
        (count, sum, most, last) = (count + 1, sum + value, most.max(value), value);
    }
    match how {
        _ if count == 0 => f64::NAN,
        Reduce::Mean => sum / f64::from(count),
        Reduce::Sum => sum,
        Reduce::Max => most,
        Reduce::Last => last,
    }
}

/// The place of the largest number, the first of equals; of one number, that number. NaN where any is.
fn class(numbers: Vec<f64>) -> f64 {
    if let [one] = numbers.as_slice() {
        return one.round();
    }
    if numbers.iter().any(|n| n.is_nan()) {
        return f64::NAN;
    }
    let largest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    numbers.iter().position(|n| *n == largest).map_or(f64::NAN, |at| at as f64)
}
