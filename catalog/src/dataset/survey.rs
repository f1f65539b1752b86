//! Survey of how much of a dataset a policy's bounds let count: exact numbers, for its owner alone.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::{DataType, Int8Type},
};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use serde::Serialize;
use tidegate_protocol::{manifest::ROW_TABLE, policy::Policy};

use super::{Bounded, DataError, beyond, broken, open, unit::unit_column};

/// Maximum number of values of a column considered for grouping.
const MOST_GROUPS: usize = 1000;
/// Shares of units for which other bounds are suggested.
const SHARES: [f64; 3] = [0.9, 0.99, 1.0];

/// Rows of a table counted under `unit.max_rows` and `unit.max_groups`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// Name of the table, if the dataset has several.
    pub table: Option<String>,
    /// Number of units with a row.
    pub units: u64,
    /// Number of rows with a unit.
    pub rows: u64,
    /// Number of rows without a unit, which count for nobody.
    pub without_unit: u64,
    /// Rows per unit, against `unit.max_rows`.
    pub max_rows: Bound,
    /// Groups per unit, against `unit.max_groups`: for each column usable for grouping.
    pub max_groups: Vec<Grouped>,
    /// Values against their bounds: for each column with bounds.
    pub bounds: Vec<Bounded>,
}

/// A column to group by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grouped {
    /// Name of the column.
    pub column: String,
    /// Number of its values, NULL included.
    pub groups: usize,
    /// Values per unit, against `unit.max_groups`.
    pub bound: Bound,
}

/// Effect of a bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// Value in the policy.
    pub allows: u64,
    /// Number of units with more.
    pub units_over: u64,
    /// Share of counted rows; for groups the expected share, since the counted groups are chosen at random.
    pub rows_counted: f64,
    /// Effects of larger bounds, in ascending order.
    pub others: Vec<Setting>,
}

/// Another value of a bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Value of the bound.
    pub allows: u64,
    /// Share of the rows counted with this value.
    pub rows_counted: f64,
    /// Factor by which noise at the same price would be wider: in proportion to `max_rows`, and to the square root of
    /// `max_groups` (Gaussian noise).
    pub noise: f64,
}

/// Reads `files`, which are ordered by unit, and reports how much `policy` lets count, for each of its tables.
///
/// `dropped` are the numbers of rows without a unit missing from each table. `progress` is told the rows done.
///
/// # Errors
/// Returns [`DataError`] if a file cannot be read.
pub fn survey(
    files: &[PathBuf],
    policy: &Policy,
    dropped: &[u64],
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Survey>, DataError> {
    let state = RandomState::with_seed(0);
    let mut tables: Vec<Table> = (0..policy.tables.len().max(1))
        .map(|at| Table { without_unit: dropped.get(at).copied().unwrap_or_default(), ..Table::default() })
        .collect();
    let bounded = policy.columns.iter().filter_map(|(name, rule)| Some((name.clone(), beyond::Values::of(rule.bounds()?))));
    let mut bounded: Vec<_> = bounded.collect();
    let mut rows = 0;
    for file in files {
        for batch in open(file)? {
            let batch = batch.map_err(|e| broken(file, e))?;
            let hashes = |array: &dyn Array| {
                let mut hashes = vec![0; array.len()];
                create_hashes([array], &state, &mut hashes).map(|_| ()).map_err(|e| broken(file, e))?;
                Ok::<_, DataError>(hashes)
            };
            let unit = unit_column(&batch, policy)?;
            let units = hashes(unit.as_ref())?;
            let tables_of_rows = batch.column_by_name(ROW_TABLE).and_then(|column| column.as_primitive_opt::<Int8Type>());
            let keys = keys(&batch, policy);
            let of_keys = keys.iter().map(|(_, column)| hashes(column.as_ref())).collect::<Result<Vec<_>, _>>()?;
            for (row, unit_hash) in units.iter().enumerate() {
                let at = tables_of_rows.map_or(0, |column| usize::try_from(column.value(row)).unwrap_or_default());
                let Some(table) = tables.get_mut(at) else { continue };
                if unit.is_null(row) {
                    table.without_unit += 1;
                    continue;
                }
                table.turn_to(*unit_hash);
                table.of_unit += 1;
                for ((name, _), hashes) in keys.iter().zip(&of_keys) {
                    table.keys.entry(name.clone()).or_default().see(hashes[row]);
                }
            }
            for (name, values) in &mut bounded {
                let Some(numbers) = batch.column_by_name(name).and_then(|column| beyond::numbers(column)) else { continue };
                let of_units = numbers.iter().enumerate().filter(|(row, _)| unit.is_valid(*row));
                of_units.filter_map(|(_, value)| value).for_each(|value| values.see(value));
            }
            rows += batch.num_rows() as u64;
            progress(rows);
        }
    }
    let named = tables.into_iter().enumerate().map(|(at, table)| table.ended(policy, policy.tables.get(at)));
    let mut surveys: Vec<_> = named.collect();
    for (name, values) in bounded {
        let own = |survey: &&mut Survey| survey.table.as_ref().is_none_or(|table| is_of(&name, table));
        if let Some(survey) = surveys.iter_mut().find(own) {
            survey.bounds.push(values.ended(name));
        }
    }
    Ok(surveys)
}

/// Returns the columns usable for grouping, with their names in the policy.
fn keys(batch: &RecordBatch, policy: &Policy) -> Vec<(String, std::sync::Arc<dyn Array>)> {
    let named = policy.columns.keys().filter(|name| **name != policy.unit.column);
    let held = named.filter_map(|name| Some((name.clone(), batch.column_by_name(name)?.clone())));
    held.filter(|(_, column)| can_be_key(column.data_type())).collect()
}

/// Returns whether a column belongs to a table, by its name in the policy.
fn is_of(name: &str, table: &str) -> bool {
    name.split_once('.').is_some_and(|(of, _)| of == table)
}

fn can_be_key(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => can_be_key(value),
        other => !other.is_floating() && !other.is_nested(),
    }
}

/// Statistics of a table, as far as read.
#[derive(Default)]
struct Table {
    unit: Option<u64>,
    without_unit: u64,
    /// Rows of the current unit.
    of_unit: u64,
    rows: Spread,
    keys: BTreeMap<String, Key>,
}

/// Statistics of a column for grouping, as far as read.
#[derive(Default)]
struct Key {
    all: HashSet<u64>,
    of_unit: HashSet<u64>,
    groups: Spread,
}

impl Key {
    fn see(&mut self, value: u64) {
        if self.all.len() <= MOST_GROUPS {
            self.all.insert(value);
            self.of_unit.insert(value);
        }
    }
}

impl Table {
    fn turn_to(&mut self, unit: u64) {
        if self.unit != Some(unit) {
            self.close();
            self.unit = Some(unit);
        }
    }

    fn close(&mut self) {
        if self.of_unit == 0 {
            return;
        }
        self.rows.add(self.of_unit, self.of_unit);
        for key in self.keys.values_mut() {
            key.groups.add(key.of_unit.len() as u64, self.of_unit);
            key.of_unit.clear();
        }
        self.of_unit = 0;
    }

    fn ended(mut self, policy: &Policy, table: Option<&String>) -> Survey {
        self.close();
        let (most_rows, most_groups) = (u64::from(policy.unit.max_rows), u64::from(policy.unit.max_groups));
        let own = |name: &String| table.is_none_or(|table| is_of(name, table));
        let grouped = self.keys.into_iter().filter(|(name, key)| own(name) && (2..=MOST_GROUPS).contains(&key.all.len()));
        let chosen = |allows: u64, groups: u64| (allows as f64 / groups as f64).min(1.0);
        Survey {
            table: table.cloned(),
            units: self.rows.units(),
            rows: self.rows.rows(),
            without_unit: self.without_unit,
            max_rows: self.rows.bound(most_rows, chosen, |more| more),
            max_groups: grouped
                .map(|(column, key)| Grouped {
                    groups: key.all.len(),
                    bound: key.groups.bound(most_groups, chosen, f64::sqrt),
                    column,
                })
                .collect(),
            bounds: vec![],
        }
    }
}

/// Distribution of an amount per unit: for each amount the number of units, and of their rows.
#[derive(Default)]
struct Spread(BTreeMap<u64, (u64, u64)>);

impl Spread {
    fn add(&mut self, amount: u64, rows: u64) {
        let (units, of_them) = self.0.entry(amount).or_default();
        *units += 1;
        *of_them += rows;
    }

    fn units(&self) -> u64 {
        self.0.values().map(|(units, _)| units).sum()
    }

    fn rows(&self) -> u64 {
        self.0.values().map(|(_, rows)| rows).sum()
    }

    /// Returns the least amount not exceeded by the given share of units.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = share * self.units() as f64;
        let mut seen = 0;
        let at = self.0.iter().find(|(_, (units, _))| {
            seen += units;
            seen as f64 >= wanted
        });
        at.or(self.0.last_key_value()).map_or(0, |(amount, _)| *amount)
    }

    /// Computes the effect of a bound.
    ///
    /// `counted` returns the share of a unit's rows that counts, given the allowed and the actual amount; `noise` returns the
    /// factor by which noise is wider, given the factor by which more is allowed.
    fn bound(&self, allows: u64, counted: impl Fn(u64, u64) -> f64, noise: impl Fn(f64) -> f64) -> Bound {
        let rows_counted = |allows: u64| {
            let counted: f64 = self.0.iter().map(|(has, (_, rows))| *rows as f64 * counted(allows, *has)).sum();
            counted / self.rows().max(1) as f64
        };
        let mut others: Vec<u64> = SHARES.iter().map(|share| self.quantile(*share)).filter(|other| *other > allows).collect();
        others.dedup();
        let setting = |other: u64| Setting {
            allows: other,
            rows_counted: rows_counted(other),
            noise: noise(other as f64 / allows.max(1) as f64),
        };
        Bound {
            allows,
            units_over: self.0.range(allows + 1..).map(|(_, (units, _))| units).sum(),
            rows_counted: rows_counted(allows),
            others: others.into_iter().map(setting).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::policy::PolicyFile;

    use super::*;

    const POLICY: &str = r#"
        unit = { column = "person", max_units = 1000, max_rows = 5, max_groups = 2 }
        budget = { delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }
        jobs = { kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }
        access = { compute = "granted", replicate = "nobody" }
        columns = { spend = { lo = 0, hi = 1 }, city = {}, note = {}, kind = {} }
    "#;

    /// Ninety people of two rows, ten of forty: of the ten's rows one in eight counts.
    #[test]
    fn what_the_bounds_let_count_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.csv");
        let mut text = String::from("person,spend,city,note,kind\n");
        for person in 0..100 {
            for row in 0..if person < 90 { 2 } else { 40 } {
                text += &format!("{person},0.5,{},{person} {row} {},x\n", row % 4, "n".repeat(row));
            }
        }
        text += ",0.5,9,,y\n";
        std::fs::write(&file, text).unwrap();
        let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
        let mut done = 0;
        let all = survey(&[file], &policy, &[3], &mut |rows| done = rows).unwrap();
        assert_eq!((done, all.len()), (581, 1));
        let survey = &all[0];
        assert_eq!((survey.units, survey.rows, survey.max_rows.units_over), (100, 580, 10));
        assert_eq!(survey.without_unit, 3 + 1, "those that the copy lacks, and those that are there");
        assert!((survey.max_rows.rows_counted - (180.0 + 50.0) / 580.0).abs() < 1e-9);
        let other = Setting { allows: 40, rows_counted: 1.0, noise: 8.0 };
        assert_eq!(survey.max_rows.others, [other]);
        let [spend] = survey.bounds.as_slice() else { panic!("{:?}", survey.bounds) };
        assert_eq!((spend.column.as_str(), spend.values, spend.below, spend.above, spend.most), ("spend", 580, 0.0, 0.0, None));
        // Every row is a note of its own, but there are fewer than a thousand; of kinds there is one among rows that have a unit.
        let columns: Vec<_> = survey.max_groups.iter().map(|g| (g.column.as_str(), g.groups)).collect();
        assert_eq!(columns, [("city", 4), ("note", 580)]);
        let city = &survey.max_groups[0].bound;
        assert_eq!(city.units_over, 10);
        assert!((city.rows_counted - (180.0 + 200.0) / 580.0).abs() < 1e-9);
        assert_eq!(city.others, [Setting { allows: 4, rows_counted: 1.0, noise: 2f64.sqrt() }]);
    }
}
