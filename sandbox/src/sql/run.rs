//! A query over the dataset's files: batches → encoded keys and values on the grid → one [`Pass`] a thread → sums.

use std::{collections::HashSet, fs::File};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
    row::{RowConverter, SortField},
};
use tidegate_gate::{Keys, Measure, Plan, Step, Sums};
use tidegate_protocol::job::Key;

use super::{Query, pass::Pass};
use crate::{
    RunError,
    units::{Runs, Scan},
};

/// Runs an admitted query over files ordered by unit. `prf` chooses groups where a unit is in more than κ: never by value.
///
/// # Errors
/// [`RunError`]; the caller then releases noise over nothing.
pub fn run_query(query: &Query, plan: &Plan, files: &[File], prf: &[u8; 32]) -> Result<Sums, RunError> {
    let scan = Scan::open(files, &query.select)?;
    run_over(scan.ways(), &scan, query, plan, prf)
}

/// [`run_query`] over at most `ways` threads. The sums do not depend on their number.
fn run_over(ways: usize, scan: &Scan<'_>, query: &Query, plan: &Plan, prf: &[u8; 32]) -> Result<Sums, RunError> {
    let declared = matches!(query.shape.keys, Keys::Declared(_))
        .then(|| query.declared.iter().flatten().map(|k| format!("{k:?}")).collect::<HashSet<_>>());
    let start = || Thread { pass: Pass::new(plan, prf), encode: None, steps: vec![Vec::new(); query.shape.columns.len()] };
    let threads = scan.run_split(ways, start, |thread, runs, columns| {
        let (keys, values) = columns.split_at(query.keys);
        thread.batch(query, plan, declared.as_ref(), runs, keys, values)
    })?;
    let passes = threads.into_iter().map(|mut thread| {
        thread.pass.end_unit();
        thread.pass
    });
    let all = passes.reduce(|mut all, next| {
        all.merge(next);
        all
    });
    Ok(all.map(Pass::into_sums).unwrap_or_default())
}

struct Thread<'a> {
    pass: Pass<'a>,
    encode: Option<RowConverter>,
    /// The batch's values on the grid, column by column.
    steps: Vec<Vec<Step>>,
}

impl Thread<'_> {
    fn batch(
        &mut self,
        query: &Query,
        plan: &Plan,
        declared: Option<&HashSet<String>>,
        runs: &Runs,
        keys: &[ArrayRef],
        values: &[ArrayRef],
    ) -> Result<(), RunError> {
        if self.encode.is_none() && !keys.is_empty() {
            let fields = keys.iter().map(|k| SortField::new(k.data_type().clone())).collect();
            self.encode = Some(RowConverter::new(fields)?);
        }
        let key_rows = self.encode.as_ref().map(|c| c.convert_columns(keys)).transpose()?;
        for (column, (steps, array)) in self.steps.iter_mut().zip(values).enumerate() {
            steps.clear();
            on_grid(plan, column, &query.shape.columns[column].measure, array, steps)?;
        }
        let pass = &mut self.pass;
        for (unit, rows) in runs.units.iter().zip(&runs.rows) {
            pass.unit(unit.data());
            for row in rows.clone() {
                let key = key_rows.as_ref().map_or(&[][..], |rows| rows.row(row).data());
                let describe = || {
                    let values = keys.iter().map(|k| key_value(k, row)).collect::<Result<Vec<_>, RunError>>()?;
                    let counts = declared.is_none_or(|d| d.contains(&format!("{values:?}")));
                    Ok::<_, RunError>((values, counts))
                };
                if let Some(group) = pass.group(key, describe)? {
                    pass.row(group, self.steps.iter().map(|steps| steps[row]));
                }
            }
        }
        Ok(())
    }
}

/// A column's values as the gate takes them.
fn on_grid(plan: &Plan, column: usize, measure: &Measure, array: &ArrayRef, into: &mut Vec<Step>) -> Result<(), RunError> {
    let rows = array.len();
    match measure {
        Measure::Units => into.resize(rows, plan.step(column, Some(1.0))),
        Measure::Count => into.extend((0..rows).map(|i| plan.step(column, array.is_valid(i).then_some(1.0)))),
        _ => {
            let array = cast(array, &DataType::Float64)?;
            let array = array.as_primitive::<Float64Type>();
            match array.nulls() {
                None => into.extend(array.values().iter().map(|v| plan.step(column, Some(*v)))),
                Some(_) => into.extend(array.iter().map(|v| plan.step(column, v))),
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
    use tidegate_gate::{Plan, Sums};
    use tidegate_protocol::policy::PolicyFile;

    use super::*;
    use crate::sql::admit_query;

    const POLICY: &str = r#"
        unit = { column = "person", max_units = 1000, max_rows = 3, max_groups = 2 }
        budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
        jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "600s", tick = "1s" }
        access = { compute = "granted", replicate = "nobody" }
        columns = { spend = { lo = 0, hi = 1000 }, cell = {} }
    "#;

    /// A file of row groups of `group` rows; units are as given, `None` is NULL.
    fn file(units: &[Option<i64>], group: usize) -> File {
        let n = units.len() as i64;
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("person", Arc::new(Int64Array::from(units.to_vec())) as ArrayRef, true),
            ("cell", Arc::new((0..n).map(|i| Some(format!("c{}", i * 7 % 5))).collect::<StringArray>()) as ArrayRef, true),
            ("spend", Arc::new((0..n).map(|i| i * 37 % 1009).collect::<Int64Array>()) as ArrayRef, true),
        ])
        .unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    fn sums(ways: usize, sql: &str, files: &[File]) -> Result<Sums, RunError> {
        let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
        let schema = crate::units::schema(&files[0]).unwrap();
        let query = admit_query(sql, None, &schema, &policy).unwrap();
        let plan = Plan::new(query.shape.clone()).unwrap();
        let mut sums = run_over(ways, &Scan::open(files, &query.select)?, &query, &plan, &[7; 32])?;
        sums.groups.sort_by_key(|g| format!("{:?}", g.key));
        Ok(sums)
    }

    const SQL: &str = "SELECT cell, COUNT(*) AS n, SUM(spend) AS s, AVG(spend) AS m FROM dataset WHERE spend > 90 GROUP BY cell";

    /// Units that lie across row groups, across several, across files, and NULL units: whatever the split, one sum.
    #[test]
    fn the_number_of_threads_does_not_change_the_sums() {
        let uneven: Vec<_> = (0..400i64).map(|i| (i % 11 != 3).then_some(i / 9)).collect();
        let long: Vec<_> = (0..300i64)
            .map(|i| {
                Some(if i < 40 {
                    0
                } else if i < 250 {
                    1
                } else {
                    i
                })
            })
            .collect();
        let missing: Vec<_> = (0..200i64).map(|i| (i < 90).then_some(i / 4)).collect();
        for units in [&uneven, &long, &missing] {
            for group in [16, 17, 64] {
                let whole = [file(units, group)];
                let (a, b) = units.split_at(units.len() / 3);
                let alone = sums(1, SQL, &whole).unwrap();
                assert!(alone.groups.iter().any(|g| g.units > 3), "something is counted");
                for ways in 2..9 {
                    assert!(sums(ways, SQL, &whole).unwrap() == alone, "{ways} threads, row groups of {group}");
                }
                // Rows are numbered anew in each file, so only the number of threads may differ here.
                let two = [file(a, group), file(b, group)];
                assert!(sums(5, SQL, &two).unwrap() == sums(1, SQL, &two).unwrap(), "two files, row groups of {group}");
            }
        }
    }

    /// A unit that comes back later would be counted twice: refused, whichever threads saw its two places.
    #[test]
    fn units_out_of_order_are_refused_however_the_work_is_split() {
        let ordered: Vec<_> = (0..320i64).map(|i| Some(i / 5)).collect();
        for (from, to) in [(0, 200), (319, 3), (100, 300), (64, 128), (160, 0), (319, 160)] {
            let mut units = ordered.clone();
            units[to] = ordered[from];
            let file = [file(&units, 32)];
            for ways in 1..9 {
                let out = sums(ways, "SELECT COUNT(*) AS n FROM dataset", &file);
                assert!(matches!(out, Err(RunError::Unordered)), "row {from} at {to}, {ways} threads");
            }
        }
    }
}
