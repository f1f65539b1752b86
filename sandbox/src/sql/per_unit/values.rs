//! Aggregates holding a unit's values: distinct counts and percentiles.
//!
//! No more values of a unit are held than a public number, and the work per value does not depend on the value: a fixed-size part
//! of it is sorted, in an order whose time depends on the number of values alone.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
    datatypes::{DataType, Float64Type},
    row::{RowConverter, SortField},
};

use crate::RunError;

/// Maximum bytes of one unit's values, over all aggregates of a subquery, on one thread.
const BYTES: usize = 16 << 20;
/// Bytes by which values are distinguished: longer values are compared by a hash, wrongly once in 2^128.
const TOLD_BY: usize = 16;

/// Returns the maximum number of a unit's values held by each of so many aggregates.
///
/// Distinct counts temporarily hold twice as many values, and a growing vector reserves as much again.
pub(super) fn most(aggregates: usize) -> usize {
    (BYTES / (4 * TOLD_BY * aggregates.max(1))).max(1)
}

/// Values of the current unit, and results of the completed units.
pub(super) enum Held {
    Distinct(Distinct),
    Percentile(Percentile),
}

/// Count of distinct values.
pub(super) struct Distinct {
    encode: RowConverter,
    /// Whether a value's bytes are few enough to serve as its key.
    short: bool,
    most: usize,
    seen: Vec<u128>,
    /// Whether the maximum count of distinct values was reached.
    full: bool,
    done: Vec<i64>,
}

/// Percentile at a fraction from 0 to 1, interpolated between two values.
pub(super) struct Percentile {
    at: f64,
    most: usize,
    values: Vec<f64>,
    done: Vec<Option<f64>>,
}

/// Holder of a unit's values.
trait Holds {
    type Value;
    fn hold(&mut self, value: Self::Value);
    fn finish(&mut self);

    /// Adds values with their units' numbers, which begin at the number of the current unit, 0.
    fn hold_all(&mut self, values: impl Iterator<Item = Option<Self::Value>>, units: &[usize]) {
        let mut at = 0;
        for (value, unit) in values.zip(units) {
            (at..*unit).for_each(|_| self.finish());
            at = *unit;
            if let Some(value) = value {
                self.hold(value);
            }
        }
    }
}

impl Held {
    /// Creates a count of distinct values of a type.
    ///
    /// # Errors
    /// Returns [`RunError`] if values of the type cannot be distinguished.
    pub(super) fn distinct(kind: &DataType, most: usize) -> Result<Self, RunError> {
        let short = *kind == DataType::Boolean || kind.primitive_width().is_some_and(|bytes| bytes <= TOLD_BY);
        let encode = RowConverter::new(vec![SortField::new(kind.clone())])?;
        Ok(Self::Distinct(Distinct { encode, short, most, seen: vec![], full: false, done: vec![] }))
    }

    /// Creates a percentile of floats.
    pub(super) fn percentile(at: f64, most: usize) -> Self {
        Self::Percentile(Percentile { at, most, values: vec![], done: vec![] })
    }

    /// Adds values with their units' numbers; 0 is the unit of the last values, if continued.
    ///
    /// # Errors
    /// Returns [`RunError`] if the values have another type.
    pub(super) fn add(&mut self, values: &ArrayRef, units: &[usize]) -> Result<(), RunError> {
        match self {
            Self::Distinct(distinct) => {
                let keys = distinct.keys(values)?;
                distinct.hold_all(keys.into_iter(), units);
            }
            Self::Percentile(percentile) => {
                let floats = values
                    .as_primitive_opt::<Float64Type>()
                    .ok_or_else(|| RunError::Engine(format!("a percentile of {}", values.data_type())))?;
                // NaN in floats is NULL by now; a NaN that was held would have no order.
                percentile.hold_all(floats.iter().map(|v| v.filter(|v| !v.is_nan())), units);
            }
        }
        Ok(())
    }

    /// Returns the results of the first `units` units.
    pub(super) fn done(&mut self, units: usize) -> ArrayRef {
        match self {
            Self::Distinct(distinct) => {
                (distinct.done.len()..units).for_each(|_| distinct.finish());
                Arc::new(Int64Array::from(std::mem::take(&mut distinct.done)))
            }
            Self::Percentile(percentile) => {
                (percentile.done.len()..units).for_each(|_| percentile.finish());
                Arc::new(Float64Array::from(std::mem::take(&mut percentile.done)))
            }
        }
    }
}

impl Distinct {
    /// Returns the keys by which values are distinguished; `None` for NULL.
    fn keys(&self, values: &ArrayRef) -> Result<Vec<Option<u128>>, RunError> {
        let nulls = values.logical_nulls();
        let rows = self.encode.convert_columns(std::slice::from_ref(values))?;
        let told_by = |bytes: &[u8]| {
            let mut told_by = [0; TOLD_BY];
            match bytes.get(1..).filter(|bytes| self.short && bytes.len() <= TOLD_BY) {
                // The byte before says whether there is a value.
                Some(bytes) => told_by[..bytes.len()].copy_from_slice(bytes),
                None => told_by.copy_from_slice(&blake3::hash(bytes).as_bytes()[..TOLD_BY]),
            }
            u128::from_be_bytes(told_by)
        };
        let key = |(i, row): (usize, arrow::row::Row<'_>)| {
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)).then(|| told_by(row.data()))
        };
        Ok(rows.iter().enumerate().map(key).collect())
    }

    /// Sorts the values and removes duplicates.
    fn settle(&mut self) {
        self.seen.sort_unstable();
        self.seen.dedup();
    }
}

impl Holds for Distinct {
    type Value = u128;

    fn hold(&mut self, value: u128) {
        if self.full {
            return;
        }
        self.seen.push(value);
        // Only once there are twice as many as are counted, so that each value is sorted twice at most.
        if self.seen.len() >= 2 * self.most {
            self.settle();
            self.full = self.seen.len() >= self.most;
        }
    }

    fn finish(&mut self) {
        self.settle();
        self.done.push(self.seen.len().min(self.most) as i64);
        self.seen.clear();
        self.full = false;
    }
}

impl Holds for Percentile {
    type Value = f64;

    fn hold(&mut self, value: f64) {
        if self.values.len() < self.most {
            self.values.push(value);
        }
    }

    fn finish(&mut self) {
        self.done.push(percentile(&mut self.values, self.at));
        self.values.clear();
    }
}

/// Interpolates a percentile: NULL without values, and between infinities of both signs.
fn percentile(values: &mut [f64], at: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = at * last as f64;
    let below = (place as usize).min(last);
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let (low, part) = (*low, place - below as f64);
    let high = above.iter().copied().min_by(f64::total_cmp).filter(|high| part > 0.0 && *high != low);
    let value = high.map_or(low, |high| low * (1.0 - part) + high * part);
    (!value.is_nan()).then_some(value + 0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{BooleanArray, StringArray, new_null_array};

    use super::*;

    /// Results of units whose values come in batches of so many rows.
    fn results(mut held: Held, units: &[ArrayRef], batch: usize) -> ArrayRef {
        let all = units.iter().enumerate().flat_map(|(unit, values)| (0..values.len()).map(move |i| (unit, values.slice(i, 1))));
        let (mut open, mut results): (Option<usize>, Vec<ArrayRef>) = (None, vec![]);
        for rows in all.collect::<Vec<_>>().chunks(batch) {
            let first = open.unwrap_or(rows[0].0);
            let values: Vec<&dyn Array> = rows.iter().map(|(_, value)| value.as_ref()).collect();
            let numbers: Vec<usize> = rows.iter().map(|(unit, _)| unit - first).collect();
            held.add(&arrow::compute::concat(&values).unwrap(), &numbers).unwrap();
            let last = rows[rows.len() - 1].0;
            results.push(held.done(last - first));
            open = Some(last);
        }
        results.push(held.done(1));
        arrow::compute::concat(&results.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
    }

    fn numbers(unit: u64) -> Vec<Option<f64>> {
        let value = |i: u64| {
            let v = (unit * 31 + i * 17) % 41;
            (v % 11 != 3).then_some(v as f64 / 4.0 - 2.0)
        };
        (0..1 + unit * 7 % 30).map(value).collect()
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values_whatever_the_batches() {
        let units: Vec<Vec<Option<f64>>> = (0..40).map(numbers).collect();
        let arrays: Vec<ArrayRef> = units.iter().map(|v| Arc::new(Float64Array::from(v.clone())) as ArrayRef).collect();
        for at in [0.0, 0.25, 0.5, 0.9, 1.0] {
            let right = |unit: &Vec<Option<f64>>| {
                let mut sorted: Vec<f64> = unit.iter().copied().flatten().collect();
                sorted.sort_by(f64::total_cmp);
                let place = at * sorted.len().checked_sub(1)? as f64;
                let (a, b) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
                Some(a + (b - a) * place.fract())
            };
            for batch in [1, 3, 8, 1000] {
                let got = results(Held::percentile(at, 1000), &arrays, batch);
                for (got, unit) in got.as_primitive::<Float64Type>().iter().zip(&units) {
                    let right = right(unit);
                    assert!(
                        got.is_some() == right.is_some() && (got.unwrap_or(0.0) - right.unwrap_or(0.0)).abs() < 1e-12,
                        "{at} {unit:?} {got:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn infinite_values_have_percentiles_where_there_are_any() {
        let (inf, most) = (f64::INFINITY, f64::MAX);
        for (values, right) in [
            (vec![], None),
            (vec![7.0], Some(7.0)),
            (vec![most, most], Some(most)),
            (vec![most, most / 2.0], Some(most * 0.75)),
            (vec![-inf, inf], None),
            (vec![-inf, -inf, 3.0], Some(-inf)),
            (vec![inf, 3.0], Some(inf)),
            (vec![-inf, 3.0], Some(-inf)),
            (vec![-inf, 0.0, inf], Some(0.0)),
        ] {
            assert_eq!(percentile(&mut values.clone(), 0.5), right, "{values:?}");
        }
    }

    #[test]
    fn different_values_are_counted_once_each_whatever_their_type_and_the_batches() {
        let texts = |unit: u64| -> ArrayRef {
            let text = |v: Option<f64>| v.map(|v| if v > 3.0 { format!("{v}{}", "x".repeat(60)) } else { v.to_string() });
            Arc::new(numbers(unit).into_iter().map(text).collect::<StringArray>())
        };
        let of = |kind: &DataType, unit: u64| -> ArrayRef {
            match kind {
                DataType::Utf8 => texts(unit),
                DataType::Boolean => Arc::new(numbers(unit).into_iter().map(|v| v.map(|v| v > 1.0)).collect::<BooleanArray>()),
                DataType::Null => new_null_array(kind, numbers(unit).len()),
                kind => arrow::compute::cast(&Float64Array::from(numbers(unit)), kind).unwrap(),
            }
        };
        for kind in [
            DataType::Float64,
            DataType::Int8,
            DataType::Decimal128(20, 2),
            DataType::Decimal256(50, 2),
            DataType::Boolean,
            DataType::Utf8,
            DataType::Null,
        ] {
            let arrays: Vec<ArrayRef> = (0..40).map(|unit| of(&kind, unit)).collect();
            let text = |array: &ArrayRef, i: usize| arrow::util::display::array_value_to_string(array, i).unwrap();
            let right = |array: &ArrayRef| {
                let nulls = array.logical_nulls();
                let valid = |i: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*i));
                (0..array.len()).filter(valid).map(|i| text(array, i)).collect::<BTreeSet<_>>().len() as i64
            };
            let right: Vec<i64> = arrays.iter().map(right).collect();
            for batch in [1, 3, 8, 1000] {
                let got = results(Held::distinct(&kind, 1000).unwrap(), &arrays, batch);
                assert_eq!(got.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec(), right, "{kind} {batch}");
            }
        }
    }

    /// However many values one unit has, and in whatever order, no more lie in memory than public numbers say; what others have is what it was.
    #[test]
    fn no_more_of_a_unit_is_held_than_a_public_number() {
        let most = 64;
        let of = |values: Vec<i64>| Arc::new(Float64Array::from_iter_values(values.into_iter().map(|v| v as f64))) as ArrayRef;
        for (many, different) in [
            ((0..100_000).collect::<Vec<i64>>(), 64),
            ((0..100_000).rev().collect(), 64),
            ((0..100_000).map(|i| i % 63).collect(), 63),
            ((0..100_000).map(|i| i % 64).collect(), 64),
            ((0..100_000).map(|i| i % 65).collect(), 64),
            (vec![5; 100_000], 1),
        ] {
            let units = [of(vec![1, 2, 2]), of(many), of(vec![9, 8, 7, 7])];
            let mut held = Held::distinct(&DataType::Float64, most).unwrap();
            for from in (0..units[1].len()).step_by(1000) {
                held.add(&units[1].slice(from, 1000), &[0; 1000]).unwrap();
                let Held::Distinct(distinct) = &held else { unreachable!() };
                assert!(distinct.seen.capacity() <= 2 * most, "{}", distinct.seen.capacity());
            }
            let got = results(Held::distinct(&DataType::Float64, most).unwrap(), &units, 1000);
            assert_eq!(got.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec(), [2, different, 3]);
            let mut held = Held::percentile(0.5, most);
            held.add(&units[1], &vec![0; units[1].len()]).unwrap();
            let Held::Percentile(percentile) = &held else { unreachable!() };
            assert!(percentile.values.len() <= most && percentile.values.capacity() <= 2 * most);
            let got = results(Held::percentile(0.5, most), &units, 1000);
            let got = got.as_primitive::<Float64Type>();
            assert_eq!((got.value(0), got.value(2)), (2.0, 7.5));
        }
    }
}
