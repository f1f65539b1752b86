//! Numbers of the rows of a unit or block → its contribution → the gate.

use tidegate_gate::{GroupSums, Plan};
use tidegate_protocol::job::{Output, RowReduce};

use super::{Model, admit::Takes};
use crate::RunError;

/// Number of contributions passed to the gate together.
const TOGETHER: usize = 4096;

/// Collector of contributions for the gate.
pub(super) struct Closer<'a> {
    model: &'a Model,
    plan: &'a Plan,
    defaults: Vec<f64>,
    /// For each number of the contribution vector, its values for some units or blocks.
    waiting: Vec<Vec<f64>>,
    group: GroupSums,
}

impl<'a> Closer<'a> {
    pub(super) fn new(model: &'a Model, plan: &'a Plan) -> Self {
        let defaults = Output::defaults(&model.outputs);
        let waiting = vec![Vec::with_capacity(TOGETHER); defaults.len()];
        Self { model, plan, defaults, waiting, group: plan.group(vec![]) }
    }

    /// Closes a unit or block, given the numbers of its rows, row by row, and their labels.
    ///
    /// Without rows, or with missing numbers, it contributes the fallback value.
    pub(super) fn close(&mut self, numbers: &[f32], labels: &[f64]) -> Result<(), RunError> {
        let width = self.model.spec.numbers as usize;
        // A single row is its own reduction.
        if let ([Takes::Numbers(from, 1)], true) = (self.model.takes.as_slice(), numbers.len() == width) {
            self.waiting[0].push(f64::from(numbers[*from]));
            return if self.waiting[0].len() >= TOGETHER { self.flush() } else { Ok(()) };
        }
        let number = |at: usize| reduce(numbers.iter().skip(at).step_by(width).map(|v| f64::from(*v)), self.model.reduce);
        let mut columns = self.waiting.iter_mut();
        let mut push = |value: f64| {
            if let Some(column) = columns.next() {
                column.push(value);
            }
        };
        let label = || reduce(labels.iter().copied(), self.model.reduce);
        for takes in &self.model.takes {
            match *takes {
                Takes::Numbers(from, many) => (from..from + many).for_each(|at| push(number(at))),
                Takes::Labelled(at) => {
                    push(number(at));
                    push(label());
                }
                Takes::Class => {
                    push(label());
                    push(class((0..width).map(number)));
                }
            }
        }
        if self.waiting.first().is_some_and(|column| column.len() >= TOGETHER) { self.flush() } else { Ok(()) }
    }

    /// Closes a unit or block with the fallback value.
    pub(super) fn fail(&mut self) -> Result<(), RunError> {
        self.close(&[], &[])
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let columns: Vec<&[f64]> = self.waiting.iter().map(Vec::as_slice).collect();
        self.plan.close_vectors(&mut self.group, &columns, &self.defaults)?;
        self.waiting.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<GroupSums, RunError> {
        self.flush()?;
        Ok(self.group)
    }
}

/// Returns the index of the largest number, the first of equals; a single number is rounded instead.
///
/// NaN if any number is NaN.
fn class(numbers: impl Iterator<Item = f64>) -> f64 {
    let numbers: Vec<f64> = numbers.collect();
    match numbers.as_slice() {
        [one] => one.round(),
        many if many.iter().any(|n| n.is_nan()) => f64::NAN,
        many => {
            let largest = many.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            many.iter().position(|n| *n == largest).map_or(f64::NAN, |at| at as f64)
        }
    }
}

/// Reduces numbers, in their order, to a single number. NaN if any number is NaN, or there are none.
fn reduce(values: impl Iterator<Item = f64> + Clone, how: RowReduce) -> f64 {
    let (mut count, mut sum, mut most, mut last) = (0u32, 0.0, f64::NEG_INFINITY, f64::NAN);
    for value in values {
        if value.is_nan() {
            return f64::NAN;
        }
        (count, sum, most, last) = (count + 1, sum + value, most.max(value), value);
    }
    match how {
        _ if count == 0 => f64::NAN,
        RowReduce::Mean => sum / f64::from(count),
        RowReduce::Sum => sum,
        RowReduce::Max => most,
        RowReduce::Last => last,
    }
}
