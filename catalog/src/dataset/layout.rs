//! What publication learns of the files: types and order, no values.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use tidegate_protocol::{
    manifest::{ColumnType, Layout},
    policy::Policy,
};

use super::{DataError, broken, cluster::cluster, open};

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

/// Reads `files` once, checks them against `policy`, and where they are not Parquet ordered by unit writes one that is into `derived`.
///
/// Rows without a unit are kept in the published files and never counted. `progress` is told the rows done in each phase.
///
/// # Errors
/// [`DataError`].
pub fn profile(
    files: &[PathBuf],
    policy: &Policy,
    derived: &Path,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<Profile, DataError> {
    let first = files.first().ok_or_else(|| DataError::Record("no files".into()))?;
    let schema = open(first)?.schema();
    let visible = visible_columns(&schema, policy)?;
    let parquet = files.iter().all(|f| f.extension().is_some_and(|e| e == "parquet"));
    let (mut order, mut rows) = (OrderCheck::default(), 0);
    for file in files {
        let reader = open(file)?;
        if reader.schema().fields() != schema.fields() {
            return Err(broken(file, "its columns differ from the first file's"));
        }
        for batch in reader {
            let batch = batch.map_err(|e| broken(file, e))?;
            order.see(&unit_column(&batch, policy)?).map_err(|e| broken(file, e))?;
            rows += batch.num_rows() as u64;
            progress(Phase::Checking, rows);
            if !order.ordered {
                // The copy reads all of them.
                break;
            }
        }
    }
    if parquet && order.ordered {
        within_bound(order.units, policy)?;
        return Ok(Profile { schema: visible, layout: Layout::AsPublished, compute: files.to_vec() });
    }
    // Units are counted as they are written, in order: before, one may have been seen twice.
    let mut order = OrderCheck::default();
    cluster(files, &schema, policy, derived, &mut |batch, rows| {
        progress(Phase::Ordering, rows);
        order.see(&unit_column(batch, policy)?).map_err(|e| broken(derived, e))
    })?;
    within_bound(order.units, policy).inspect_err(|_| {
        let _ = std::fs::remove_file(derived);
    })?;
    Ok(Profile { schema: visible, layout: Layout::Clustered, compute: vec![derived.to_owned()] })
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

/// Whether arrays of this type can name a unit.
fn can_be_unit(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary)
}

fn visible_columns(schema: &SchemaRef, policy: &Policy) -> Result<Vec<ColumnType>, DataError> {
    let column = |name: &str| {
        schema
            .column_with_name(name)
            .map(|(_, f)| f)
            .ok_or_else(|| DataError::Column { column: name.to_owned(), problem: "is in the policy but not in the files".into() })
    };
    let unit = column(&policy.unit.column)?;
    if !can_be_unit(unit.data_type()) {
        return Err(DataError::Column {
            column: unit.name().clone(),
            problem: format!("has type {}: a unit is named by an integer or text", unit.data_type()),
        });
    }
    let mut visible = vec![ColumnType { name: unit.name().clone(), arrow: unit.data_type().to_string() }];
    for (name, rule) in &policy.columns {
        let field = column(name)?;
        if rule.bounds().is_some() && !(field.data_type().is_numeric() || *field.data_type() == DataType::Boolean) {
            return Err(DataError::Column { column: name.clone(), problem: "has bounds but is not numeric".into() });
        }
        visible.push(ColumnType { name: name.clone(), arrow: field.data_type().to_string() });
    }
    Ok(visible)
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
