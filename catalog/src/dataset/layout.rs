//! What publication learns of the files: types and order, no values.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use tidegate_protocol::{
    manifest::{ColumnType, Layout, ROW_TABLE},
    policy::Policy,
};

use super::{DataError, TableFiles, bounded, broken, cluster::cluster, open};

/// What publication learnt of the files: types and layout, no values.
#[derive(Debug)]
pub struct Profile {
    /// The unit column and the policy's columns.
    pub schema: Vec<ColumnType>,
    /// How rows lie in `compute`.
    pub layout: Layout,
    /// The Parquet files that jobs read, ordered by unit.
    pub compute: Vec<PathBuf>,
}

/// What [`profile`] is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the rows and their order.
    Checking,
    /// Writing a copy ordered by unit.
    Ordering,
}

/// Reads the tables' files once, checks them against `policy`, and where they are not Parquet of one table ordered by unit, with pages and texts no larger than
/// jobs read, writes one that is into `derived`.
///
/// Rows without a unit are kept in the published files and never counted. `progress` is told the rows done in each phase.
///
/// # Errors
/// [`DataError`].
pub fn profile(
    tables: &[TableFiles],
    policy: &Policy,
    derived: &Path,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<Profile, DataError> {
    let files: Vec<&PathBuf> = tables.iter().flat_map(|t| &t.files).collect();
    let visible = schema(tables, policy)?;
    // Of several tables there is always a copy.
    let (mut order, mut rows) = (OrderCheck::default(), 0);
    let mut as_published = policy.tables.is_empty() && files.iter().all(|f| f.extension().is_some_and(|e| e == "parquet"));
    for table in tables {
        let schema = open(&table.files[0])?.schema();
        for file in &table.files {
            as_published = as_published && bounded::pages(file, &visible)?;
            let reader = open(file)?;
            if reader.schema().fields() != schema.fields() {
                return Err(broken(file, "its columns differ from the first file's"));
            }
            if !as_published {
                // The copy reads all of them.
                continue;
            }
            let mut of_file = 0;
            for batch in reader {
                let batch = batch.map_err(|e| broken(file, e))?;
                let unit = unit_column(&batch, policy)?;
                bounded::named(&unit, of_file).map_err(|e| broken(file, e))?;
                order.see(&unit).map_err(|e| broken(file, e))?;
                of_file += batch.num_rows() as u64;
                rows += batch.num_rows() as u64;
                rows_within_bound(rows, policy)?;
                progress(Phase::Checking, rows);
                let seen = |field: &Arc<Field>| batch.column_by_name(field.name());
                as_published = order.ordered && visible.fields().iter().filter_map(seen).all(|column| bounded::short(column));
                if !as_published {
                    break;
                }
            }
        }
    }
    let columns = |schema: &SchemaRef| {
        let column = |f: &Arc<Field>| ColumnType { name: f.name().clone(), arrow: f.data_type().to_string() };
        schema.fields().iter().map(column).collect()
    };
    if as_published {
        within_bound(order.units, policy)?;
        let compute = files.into_iter().cloned().collect();
        return Ok(Profile { schema: columns(&visible), layout: Layout::AsPublished, compute });
    }
    // Units are counted as they are written, in order: before, one may have been seen twice.
    let mut order = OrderCheck::default();
    cluster(tables, &visible, policy, derived, &mut |batch, rows| {
        progress(Phase::Ordering, rows);
        rows_within_bound(rows, policy)?;
        order.see(&unit_column(batch, policy)?).map_err(|e| broken(derived, e))
    })?;
    within_bound(order.units, policy).inspect_err(|_| {
        let _ = std::fs::remove_file(derived);
    })?;
    Ok(Profile { schema: columns(&visible), layout: Layout::Clustered, compute: vec![derived.to_owned()] })
}

/// The public bound must hold: the share of fuel and of blocks that a unit gets is made from it.
fn within_bound(units: u64, policy: &Policy) -> Result<(), DataError> {
    if units == 0 {
        return Err(DataError::Column { column: policy.unit.column.clone(), problem: "no row has a unit".into() });
    }
    if units > policy.unit.max_units {
        let problem = format!("names more units than unit.max_units = {} allows. Raise the bound", policy.unit.max_units);
        return Err(DataError::Column { column: policy.unit.column.clone(), problem });
    }
    Ok(())
}

/// As [`within_bound`], of rows: what a query may take is made from it.
fn rows_within_bound(rows: u64, policy: &Policy) -> Result<(), DataError> {
    match policy.sql.rows {
        Some(most) if rows > most => {
            let problem = format!("has more rows than sql.rows = {most} allows. Raise the bound");
            Err(DataError::Column { column: policy.unit.column.clone(), problem })
        }
        _ => Ok(()),
    }
}

/// Whether arrays of this type can name a unit.
fn can_be_unit(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary)
}

/// The columns that jobs read: the unit's, of several tables which one a row is of, and the policy's in its order. Reads the files' own schemas.
///
/// # Errors
/// [`DataError::Column`] for what the policy names and the files do not have, or not so.
pub fn schema(tables: &[TableFiles], policy: &Policy) -> Result<SchemaRef, DataError> {
    let mut schemas = Vec::with_capacity(tables.len());
    for table in tables {
        let first = table.files.first().ok_or_else(|| DataError::Record("no files".into()))?;
        schemas.push((table.table.as_deref(), open(first)?.schema()));
    }
    let found = |of: Option<&str>, bare: &str, name: &str| {
        let schema = schemas.iter().find(|(table, _)| *table == of);
        schema
            .and_then(|(_, schema)| schema.column_with_name(bare))
            .map(|(_, f)| f.clone().with_name(name))
            .ok_or_else(|| DataError::Column { column: name.to_owned(), problem: "is in the policy but not in the files".into() })
    };
    let name = &policy.unit.column;
    let wrong = |problem: String| DataError::Column { column: name.clone(), problem };
    let mut units = Vec::with_capacity(schemas.len());
    for (table, _) in &schemas {
        units.push(
            found(*table, name, name).map_err(|e| table.map_or(e, |t| wrong(format!("is not in the files of table {t}"))))?,
        );
    }
    let unit = units.first().ok_or_else(|| DataError::Record("no files".into()))?;
    if !can_be_unit(unit.data_type()) {
        return Err(wrong(format!("has type {}: a unit is named by an integer or text", unit.data_type())));
    }
    if let Some((other, (table, _))) = units.iter().zip(&schemas).find(|(u, _)| u.data_type() != unit.data_type()) {
        let (table, first) = (table.unwrap_or_default(), schemas[0].0.unwrap_or_default());
        return Err(wrong(format!(
            "has type {} in {table} and {} in {first}: make them one",
            other.data_type(),
            unit.data_type()
        )));
    }
    let mut visible = vec![unit.clone()];
    if !policy.tables.is_empty() {
        visible.push(Field::new(ROW_TABLE, DataType::Int8, false));
    }
    for (name, rule) in &policy.columns {
        let (table, bare) = match name.split_once('.') {
            Some((table, bare)) if !policy.tables.is_empty() => (Some(table), bare),
            _ => (None, name.as_str()),
        };
        let field = found(table, bare, name)?;
        if rule.bounds().is_some() && !(field.data_type().is_numeric() || *field.data_type() == DataType::Boolean) {
            return Err(DataError::Column { column: name.clone(), problem: "has bounds but is not numeric".into() });
        }
        bounded::can_be_cut(&field).map_err(|problem| DataError::Column { column: name.clone(), problem })?;
        // Rows of other tables have none.
        visible.push(if table.is_some() { field.with_nullable(true) } else { field });
    }
    Ok(Arc::new(Schema::new(visible)))
}

pub(super) fn unit_column(batch: &RecordBatch, policy: &Policy) -> Result<Arc<dyn Array>, DataError> {
    batch
        .column_by_name(&policy.unit.column)
        .cloned()
        .ok_or_else(|| DataError::Column { column: policy.unit.column.clone(), problem: "is missing".into() })
}

/// Sees a stream of unit columns and says whether equal units are neighbours in ascending order. NULL units are passed over.
#[derive(Default)]
pub struct OrderCheck {
    converter: Option<RowConverter>,
    last: Vec<u8>,
    units: u64,
    ordered: bool,
}

impl OrderCheck {
    /// Sees the next rows.
    ///
    /// # Errors
    /// [`ArrowError`] for a type that cannot be compared.
    pub fn see(&mut self, unit: &dyn Array) -> Result<(), ArrowError> {
        if self.converter.is_none() {
            self.converter = Some(RowConverter::new(vec![SortField::new(unit.data_type().clone())])?);
            self.ordered = true;
        }
        let Some(converter) = &mut self.converter else { return Ok(()) };
        let rows = converter.convert_columns(&[arrow::array::make_array(unit.to_data())])?;
        for (i, row) in rows.iter().enumerate() {
            if unit.is_null(i) {
                continue;
            }
            let row = row.as_ref();
            if self.units == 0 || row != self.last.as_slice() {
                self.ordered &= self.units == 0 || row > self.last.as_slice();
                self.units += 1;
                self.last.clear();
                self.last.extend_from_slice(row);
            }
        }
        Ok(())
    }
}
