//! One streaming pass: rows of a unit → at most κ groups, chosen by a keyed PRF → clipped integers → sums.

use std::{collections::HashMap, fs::File};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
    row::{RowConverter, SortField},
};
use tidegate_gate::{GroupSums, Keys, Measure, Plan, Sums};
use tidegate_protocol::job::Key;

use super::Query;
use crate::{RunError, units::scan};

/// Runs an admitted query over files ordered by unit. `prf` chooses groups where a unit is in more than κ: never by value.
///
/// # Errors
/// [`RunError`]; the caller then releases noise over nothing.
pub fn run_query(query: &Query, plan: &Plan, files: &[File], prf: &[u8; 32]) -> Result<Sums, RunError> {
    let mut pass = Pass::new(query, plan, prf);
    let mut keys_of = None;
    scan(files, &query.select, |units, columns| {
        let (keys, values) = columns.split_at(query.keys);
        if keys_of.is_none() && !keys.is_empty() {
            let fields = keys.iter().map(|k| SortField::new(k.data_type().clone())).collect();
            keys_of = Some(RowConverter::new(fields)?);
        }
        let key_rows = keys_of.as_ref().map(|c| c.convert_columns(keys)).transpose()?;
        let values = query
            .shape
            .columns
            .iter()
            .zip(values)
            .map(|(column, array)| Value::new(&column.measure, array))
            .collect::<Result<Vec<_>, RunError>>()?;
        for row in 0..units.num_rows() {
            pass.unit(units.row(row).data());
            let key = key_rows.as_ref().map_or(&[][..], |rows| rows.row(row).data());
            let Some(group) = pass.group(key, || keys.iter().map(|k| key_value(k, row)).collect())? else { continue };
            pass.row(group, &values, row);
        }
        Ok(())
    })?;
    pass.end_unit();
    Ok(Sums { groups: pass.sums })
}

/// A column's values as the gate takes them.
enum Value {
    Present(ArrayRef),
    Number(arrow::array::Float64Array),
    Always,
}

impl Value {
    fn new(measure: &Measure, array: &ArrayRef) -> Result<Self, RunError> {
        Ok(match measure {
            Measure::Units => Self::Always,
            Measure::Count => Self::Present(array.clone()),
            _ => Self::Number(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        })
    }

    fn at(&self, row: usize) -> Option<f64> {
        match self {
            Self::Always => Some(1.0),
            Self::Present(array) => array.is_valid(row).then_some(1.0),
            Self::Number(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

struct Group {
    /// Whether it may be counted at all: an undeclared key beside declared ones may not.
    counts: bool,
    /// The unit that was last seen in it, and where its tally lies.
    seen_by: u64,
    slot: usize,
    bytes: Box<[u8]>,
}

struct Pass<'a> {
    plan: &'a Plan,
    prf: &'a [u8; 32],
    kappa: usize,
    declared: Option<std::collections::HashSet<String>>,
    index: HashMap<Box<[u8]>, usize>,
    groups: Vec<Group>,
    sums: Vec<GroupSums>,
    unit: Vec<u8>,
    serial: u64,
    /// The open unit's groups and tallies; tallies are reused.
    open: Vec<usize>,
    tallies: Vec<Vec<i64>>,
}

impl<'a> Pass<'a> {
    fn new(query: &Query, plan: &'a Plan, prf: &'a [u8; 32]) -> Self {
        let declared = matches!(query.shape.keys, Keys::Declared(_))
            .then(|| query.declared.iter().flatten().map(|k| format!("{k:?}")).collect());
        Self {
            plan,
            prf,
            kappa: plan.kappa() as usize,
            declared,
            index: HashMap::new(),
            groups: Vec::new(),
            sums: Vec::new(),
            unit: Vec::new(),
            serial: 0,
            open: Vec::new(),
            tallies: Vec::new(),
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        if self.serial == 0 || self.unit != unit {
            self.end_unit();
            self.serial += 1;
            self.unit.clear();
            self.unit.extend_from_slice(unit);
        }
    }

    /// The group of a key, or `None` where it may not be counted.
    fn group(&mut self, key: &[u8], values: impl FnOnce() -> Result<Vec<Key>, RunError>) -> Result<Option<usize>, RunError> {
        let id = match self.index.get(key) {
            Some(&id) => id,
            None => {
                let values = values()?;
                let counts = self.declared.as_ref().is_none_or(|d| d.contains(&format!("{values:?}")));
                let id = self.groups.len();
                self.groups.push(Group { counts, seen_by: 0, slot: 0, bytes: key.into() });
                self.sums.push(self.plan.group(values));
                self.index.insert(key.into(), id);
                id
            }
        };
        Ok(self.groups[id].counts.then_some(id))
    }

    fn row(&mut self, id: usize, values: &[Value], row: usize) {
        let group = &mut self.groups[id];
        if group.seen_by != self.serial {
            (group.seen_by, group.slot) = (self.serial, self.open.len());
            self.open.push(id);
            if self.tallies.len() < self.open.len() {
                self.tallies.push(vec![0; self.plan.lanes().len()]);
            }
        }
        let tally = &mut self.tallies[group.slot];
        for (column, value) in values.iter().enumerate() {
            self.plan.add_row(tally, column, value.at(row));
        }
    }

    /// Closes the open unit: where it is in more than κ groups, the κ with the smallest PRF of (unit, key) count.
    fn end_unit(&mut self) {
        let mut chosen: Vec<usize> = (0..self.open.len()).collect();
        if chosen.len() > self.kappa {
            chosen.sort_by_cached_key(|&slot| {
                let mut hash = blake3::Hasher::new_keyed(self.prf);
                hash.update(&(self.unit.len() as u64).to_le_bytes());
                hash.update(&self.unit);
                hash.update(&self.groups[self.open[slot]].bytes);
                *hash.finalize().as_bytes()
            });
            for &slot in &chosen[self.kappa..] {
                self.tallies[slot].fill(0);
            }
            chosen.truncate(self.kappa);
        }
        for slot in chosen {
            self.plan.close(&mut self.sums[self.open[slot]], &mut self.tallies[slot]);
        }
        self.open.clear();
    }
}

/// A key's value for people and for JSON.
fn key_value(array: &ArrayRef, row: usize) -> Result<Key, RunError> {
    if array.is_null(row) {
        return Ok(Key::Null);
    }
    let one = array.slice(row, 1);
    let kind = one.data_type();
    Ok(if kind.is_integer() {
        Key::Int(cast(&one, &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
    } else if kind.is_floating() {
        // JSON has no NaN: it is shown as NULL, and is a group of its own.
        let value = cast(&one, &DataType::Float64)?.as_primitive::<Float64Type>().value(0);
        if value.is_finite() { Key::Float(value) } else { Key::Text(value.to_string()) }
    } else if *kind == DataType::Boolean {
        Key::Bool(one.as_boolean().value(0))
    } else {
        Key::Text(cast(&one, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
    })
}
