//! Column types and row order of the published files, found at publication without releasing any value.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, UInt64Array},
    compute::take,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use tidegate_protocol::{
    limits,
    manifest::{ColumnType, Layout, ROW_TABLE},
    policy::Policy,
};

use super::{
    DataError, People, TableFiles, bounded, broken,
    cluster::cluster,
    lost::Count,
    paths::fit_a_manifest,
    read::{guarded, in_sql},
    table::{self, Table},
    types::common,
    unit::unit_column,
};

/// Types and layout of the published files, without any of their values.
#[derive(Debug)]
pub struct Profile {
    /// The unit column and the policy's columns.
    pub schema: Vec<ColumnType>,
    /// Order of the rows in `compute`.
    pub layout: Layout,
    /// Parquet files for jobs, ordered by unit.
    pub compute: Vec<PathBuf>,
    /// Sketch of the people in the files, for the owner alone.
    pub people: People,
    /// Number of rows of each table missing from the copy because they have no unit: for the owner alone. Empty if jobs read the
    /// published files.
    pub dropped: Vec<u64>,
    /// Notes for the owner: formats of the files, and assumptions about them.
    pub notes: Vec<String>,
}

/// Phase of [`profile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the rows and their order.
    Checking,
    /// Writing a copy ordered by unit.
    Ordering,
}

/// Reads the tables' files, checks them against `policy`, and writes an ordered Parquet copy into `derived` if jobs cannot read
/// the files directly.
///
/// Jobs read Parquet of one table ordered by unit, with the dataset's column types and bounded pages and texts. Mock rows take
/// the types of the real columns (`like`).
///
/// Rows without a unit stay in the published files and are never counted: the owner is told their number. `progress` is told the
/// rows done in each phase.
///
/// # Errors
/// Returns [`DataError`] if a file or column is unsuitable.
pub fn profile(
    tables: &[TableFiles],
    policy: &Policy,
    like: Option<&[ColumnType]>,
    derived: &Path,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<Profile, DataError> {
    let mut notes = Vec::new();
    let mut learnt = table::learn(tables, policy, like.is_some(), &mut |note| notes.push(note))?;
    if let Some(like) = like {
        be_like(&mut learnt, policy, like)?;
    }
    let visible = visible(&learnt, policy)?;
    let files: Vec<PathBuf> = tables.iter().flat_map(|t| t.files.clone()).collect();
    let schema = visible
        .fields()
        .iter()
        .map(|f| ColumnType { name: f.name().clone(), arrow: f.data_type().to_string() })
        .collect::<Vec<_>>();
    let count = Count::new(policy);
    // With several tables there is always a copy.
    if let ([only], true) = (learnt.as_slice(), policy.tables.is_empty())
        && fit_a_manifest(tables)
        && let Some(order) = as_published(only, &visible, policy, &count, progress)?
    {
        within_bound(order.units, policy)?;
        notes.extend(count.words(policy));
        let (people, layout) = (order.people, Layout::AsPublished);
        return Ok(Profile { schema, layout, compute: files, people, dropped: vec![], notes });
    }
    // Rows read until the order was found wrong are read again.
    let count = Count::new(policy);
    // Units are counted in order, as they are written: before sorting, one may have been seen twice.
    let mut order = OrderCheck::default();
    cluster(tables, learnt, &visible, policy, &count, derived, &mut |batch, rows| {
        progress(Phase::Ordering, rows);
        rows_within_bound(rows, policy)?;
        order.see(&unit_column(batch, policy)?).map_err(|e| broken(derived, e))
    })?;
    within_bound(order.units, policy).inspect_err(|_| {
        let _ = std::fs::remove_file(derived);
    })?;
    notes.extend(count.words(policy));
    let (compute, dropped) = (vec![derived.to_owned()], count.without_unit());
    Ok(Profile { schema, layout: Layout::Clustered, compute, people: order.people, dropped, notes })
}

/// Checks the order of a table's units, if jobs can read its files directly; `None` if they cannot.
fn as_published(
    table: &Table,
    visible: &SchemaRef,
    policy: &Policy,
    count: &Count,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<Option<OrderCheck>, DataError> {
    if table.len() > limits::OPENED || !table.is_as_published() {
        return Ok(None);
    }
    let (mut order, mut rows, mut of_units) = (OrderCheck::default(), 0, 0);
    for number in 0..table.len() {
        let file = table.path(number);
        if !guarded(file, || bounded::pages(file, visible))? {
            return Ok(None);
        }
        let mut of_file = 0;
        for batch in table.open(number)? {
            let batch = batch?;
            let unit = unit_column(&batch, policy)?;
            bounded::named(&unit, of_file).map_err(|e| broken(file, e))?;
            order.see(&unit).map_err(|e| broken(file, e))?;
            count.see(None, &unit);
            of_file += batch.num_rows() as u64;
            rows += batch.num_rows() as u64;
            of_units += (batch.num_rows() - unit.null_count()) as u64;
            rows_within_bound(of_units, policy)?;
            progress(Phase::Checking, rows);
            let seen = |field: &Arc<Field>| batch.column_by_name(field.name());
            if !order.ordered || !visible.fields().iter().filter_map(seen).all(|column| bounded::short(column)) {
                return Ok(None);
            }
        }
    }
    Ok(Some(order))
}

/// Converts the columns of mock rows to the types of the real columns, `like`.
///
/// # Errors
/// Returns [`DataError::Column`] naming a column whose values do not fit the real type.
fn be_like(tables: &mut [Table], policy: &Policy, like: &[ColumnType]) -> Result<(), DataError> {
    for table in tables {
        for field in table.schema.clone().fields() {
            let name = match &table.name {
                Some(of) if *field.name() != policy.unit.column => format!("{of}.{}", field.name()),
                _ => field.name().clone(),
            };
            let Some(data) = like.iter().find(|column| column.name == name) else { continue };
            let kind: DataType = data.arrow.parse().map_err(DataError::Type)?;
            if common(field.data_type(), &kind).as_ref() != Some(&kind) {
                let problem = format!(
                    "is {} in these rows and {} in the data: write the same type",
                    in_sql(field.data_type()),
                    in_sql(&kind)
                );
                return Err(DataError::Column { column: name, problem });
            }
            table.retype(field.name(), &kind);
        }
    }
    Ok(())
}

/// Checks the policy's public bound on units: a unit's share of fuel and of blocks follows from this bound.
fn within_bound(units: u64, policy: &Policy) -> Result<(), DataError> {
    if units == 0 {
        return Err(DataError::Column { column: policy.unit.column.clone(), problem: "no row has a privacy unit".into() });
    }
    if units > policy.unit.max_units {
        let problem = format!("has more privacy units than unit.max_units = {} allows. Raise the bound", policy.unit.max_units);
        return Err(DataError::Column { column: policy.unit.column.clone(), problem });
    }
    Ok(())
}

/// Checks the policy's public bound on rows with a unit: a query's worst case follows from this bound.
fn rows_within_bound(rows: u64, policy: &Policy) -> Result<(), DataError> {
    match policy.sql.rows {
        Some(most) if rows > most => {
            let problem = format!("has more rows than sql.rows = {most} allows. Raise the bound");
            Err(DataError::Column { column: policy.unit.column.clone(), problem })
        }
        _ => Ok(()),
    }
}

/// Returns the columns visible to jobs: the unit's, the table of a row if there are several, and the policy's columns in its
/// order.
///
/// Types come from the files' own schemas; files without a schema are read completely.
///
/// # Errors
/// Returns [`DataError::Column`] for a column named by the policy that the files lack or have in an unsuitable form.
pub fn schema(tables: &[TableFiles], policy: &Policy) -> Result<SchemaRef, DataError> {
    visible(&table::learn(tables, policy, false, &mut |_| {})?, policy)
}

fn visible(tables: &[Table], policy: &Policy) -> Result<SchemaRef, DataError> {
    let name = &policy.unit.column;
    let unit = tables.iter().find_map(Table::unit_type).ok_or(DataError::NoFiles)?;
    let mut fields = vec![Field::new(name, unit.clone(), true)];
    if !policy.tables.is_empty() {
        fields.push(Field::new(ROW_TABLE, DataType::Int8, false));
    }
    for name in policy.columns.keys() {
        let found = tables.iter().find_map(|table| {
            let bare = match &table.name {
                Some(of) => name.strip_prefix(of.as_str())?.strip_prefix('.')?,
                None => name,
            };
            table.schema.column_with_name(bare).map(|(_, field)| field)
        });
        let missing = || DataError::Column { column: name.clone(), problem: "is in the policy but not in the files".into() };
        let field = found.ok_or_else(missing)?.clone().with_name(name);
        bounded::can_be_cut(&field).map_err(|problem| DataError::Column { column: name.clone(), problem })?;
        fields.push(field);
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Checker of a stream of unit columns: units must ascend and equal units be adjacent; NULL units are skipped.
#[derive(Default)]
pub struct OrderCheck {
    converter: Option<RowConverter>,
    last: Vec<u8>,
    units: u64,
    ordered: bool,
    people: People,
}

impl OrderCheck {
    /// Adds the next rows.
    ///
    /// # Errors
    /// Returns [`ArrowError`] for a type that cannot be compared.
    pub fn see(&mut self, unit: &dyn Array) -> Result<(), ArrowError> {
        if self.converter.is_none() {
            self.converter = Some(RowConverter::new(vec![SortField::new(unit.data_type().clone())])?);
            self.ordered = true;
        }
        let Some(converter) = &mut self.converter else { return Ok(()) };
        let rows = converter.convert_columns(&[arrow::array::make_array(unit.to_data())])?;
        let mut first = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if unit.is_null(i) {
                continue;
            }
            let row = row.as_ref();
            if self.units == 0 || row != self.last.as_slice() {
                self.ordered &= self.units == 0 || row > self.last.as_slice();
                self.units += 1;
                first.push(i as u64);
                self.last.clear();
                self.last.extend_from_slice(row);
            }
        }
        self.people.see(&take(unit, &UInt64Array::from(first), None)?);
        Ok(())
    }
}
