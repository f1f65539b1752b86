//! Public tables sent with a query, such as the meanings of codes; a join to such a table looks up each row's key.
//!
//! A key may occur once, so a row of the dataset matches at most one row: the join is a function of the row, and adds no rows.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    io::Cursor,
    panic::catch_unwind,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array},
    compute::{cast, concat_batches, kernels::aggregate, take},
    datatypes::{DataType, Float64Type, Schema, SchemaRef},
    ipc::{reader::StreamReader, root_as_message, writer::StreamWriter},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::DataFusionError,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use tidegate_protocol::{Refusal, limits};

use super::{dataset::TABLE, kinds, refuse};

/// Name of the lookup function, which no SQL text can call.
pub(super) const LOOKUP: &str = "public table";
/// Schema metadata key of a table's name.
const NAME: &str = "tidegate.table";

/// Public tables by name.
#[derive(Debug, Clone, Default)]
pub struct Tables(Vec<Table>);

#[derive(Debug, Clone)]
struct Table {
    name: String,
    rows: RecordBatch,
}

impl Tables {
    /// Reads the output of [`Tables::write`]: consecutive Arrow IPC streams, each with its table's name in its metadata.
    ///
    /// # Errors
    /// Returns a [`Refusal`] that names the table.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        // Arrow's reader panics on some invalid types.
        catch_unwind(|| Self::parse(bytes)).unwrap_or_else(|_| Err(bad("", "is no Arrow IPC stream")))
    }

    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let broken = |e: arrow::error::ArrowError| bad("", e);
        check_lengths(bytes)?;
        let mut from = Cursor::new(bytes);
        let mut tables = Self::default();
        while (from.position() as usize) < bytes.len() {
            let mut reader = StreamReader::try_new(&mut from, None).map_err(broken)?;
            let schema = reader.schema();
            let name = schema.metadata().get(NAME).cloned().unwrap_or_default();
            check_plain(&name, &schema)?;
            let batches = reader.by_ref().collect::<Result<Vec<_>, _>>().map_err(broken)?;
            tables.add(&name, &schema, &batches)?;
        }
        Ok(tables)
    }

    /// Adds a table.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for an unfit name, type or size.
    pub fn add(&mut self, name: &str, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Refusal> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let word = !name.is_empty() && name.len() <= limits::NAME_BYTES && name.chars().all(fine);
        if !word || name.starts_with(|c: char| c.is_ascii_digit()) || name == TABLE || self.0.iter().any(|t| t.name == name) {
            return Err(bad(name, "the name is taken, or not a word of small letters"));
        }
        if self.0.len() >= limits::PUBLIC_TABLES || schema.fields().len() > limits::COLUMNS {
            return Err(bad(name, format!("at most {} tables of {} columns", limits::PUBLIC_TABLES, limits::COLUMNS)));
        }
        let rows = concat_batches(schema, batches).map_err(|e| bad(name, e))?;
        if rows.num_rows() > limits::PUBLIC_ROWS {
            return Err(bad(name, format!("more than {} rows", limits::PUBLIC_ROWS)));
        }
        let plain = |(field, column): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
            let column = match column.data_type() {
                DataType::Dictionary(..) | DataType::LargeUtf8 | DataType::Utf8View => cast(column, &DataType::Utf8),
                _ => Ok(column.clone()),
            };
            let column = column.map_err(|e| bad(name, e))?;
            let kind = column.data_type();
            if let Some(texts) = column.as_string_opt::<i32>() {
                if texts.iter().flatten().any(|text| text.len() > limits::TEXT_CHARS) {
                    return Err(bad(name, format!("a text in {} is longer than {} bytes", field.name(), limits::TEXT_CHARS)));
                }
            } else if !(kind.is_numeric() || kind.is_temporal() || matches!(kind, DataType::Boolean | DataType::Null)) {
                return Err(bad(name, format!("column {} of type {} is not supported", field.name(), kinds::kind(kind))));
            }
            Ok((field.name().clone(), column, true))
        };
        let columns = schema.fields().iter().zip(rows.columns()).map(plain).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Err(bad(name, "no columns"));
        }
        let rows = RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| bad(name, e))?;
        self.0.push(Table { name: name.to_owned(), rows });
        Ok(())
    }

    /// Writes the tables as bytes.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if Arrow cannot write them.
    pub fn write(&self) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        for table in &self.0 {
            let named = HashMap::from([(NAME.to_owned(), table.name.clone())]);
            let schema = Arc::new(Schema::new_with_metadata(table.rows.schema().fields().clone(), named));
            let mut write = || {
                let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
                writer.write(&table.rows.clone().with_schema(schema.clone())?)?;
                writer.finish()
            };
            write().map_err(|e| bad(&table.name, e))?;
        }
        Ok(bytes)
    }

    /// Returns the number of rows of table `name`.
    pub(super) fn rows(&self, name: &str) -> usize {
        self.0.iter().find(|t| t.name == name).map_or(0, |t| t.rows.num_rows())
    }

    /// Iterates over the tables' names and schemas.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (&str, SchemaRef)> {
        self.0.iter().map(|table| (table.name.as_str(), table.rows.schema()))
    }

    /// Builds lookups of the columns of table `name` by `on`: (the table's key column, its type when compared, the row's key).
    ///
    /// The last result says whether there is a match at all.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if a key occurs twice.
    pub(super) fn join(&self, name: &str, on: &[(usize, DataType, Expr)]) -> Result<(Vec<Expr>, Expr), Refusal> {
        let table = self.0.iter().find(|t| t.name == name).ok_or_else(|| bad(name, "is not there"))?;
        if let Some((_, kind, _)) = on.iter().find(|(_, kind, _)| kind.is_floating()) {
            return Err(bad(name, format!("a join by {}", kinds::kind(kind))).fix("Join by integers, texts or dates"));
        }
        let keys = on.iter().map(|(i, kind, _)| cast(table.rows.column(*i), kind).map_err(|e| bad(name, e)));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let fields = on.iter().map(|(_, kind, _)| SortField::new(kind.clone())).collect();
        let encode = RowConverter::new(fields).map_err(|e| bad(name, e))?;
        let encoded = encode.convert_columns(&keys).map_err(|e| bad(name, e))?;
        let mut places = HashMap::with_capacity(encoded.num_rows());
        for (i, key) in (0u32..).zip(encoded.iter()) {
            // NULL matches nothing.
            if keys.iter().all(|k| k.is_valid(i as usize)) && places.insert(Box::from(key.data()), i).is_some() {
                let shown = keys.iter().map(|k| arrow::util::display::array_value_to_string(k, i as usize).unwrap_or_default());
                return Err(bad(name, format!("key {} is there twice", shown.collect::<Vec<_>>().join(", ")))
                    .fix("Join by columns that tell the table's rows apart, so that a row of the dataset matches one of them"));
            }
        }
        let kinds = on.iter().map(|(_, kind, _)| kind.clone()).collect();
        let index = Arc::new(Index { encode, kinds, places });
        let arguments: Vec<Expr> = on.iter().map(|(_, _, expr)| expr.clone()).collect();
        let there: ArrayRef = Arc::new(BooleanArray::from(vec![true; table.rows.num_rows()]));
        let look = |values: &ArrayRef| ScalarUDF::new_from_impl(Lookup::new(&index, values)).call(arguments.clone());
        Ok((table.rows.columns().iter().map(look).collect(), look(&there)))
    }
}

/// Checks the lengths of the messages of IPC streams (Arrow columnar format, "Encapsulated message format").
///
/// The reader would allocate whatever length they claim.
fn check_lengths(bytes: &[u8]) -> Result<(), Refusal> {
    let short = || bad("", "an Arrow IPC message is longer than what came");
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, after) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head[..4] != [0xff; 4] {
            return Err(bad("", "is no Arrow IPC stream"));
        }
        rest = after;
        if length > 0 {
            let (message, after) = rest.split_at_checked(length).ok_or_else(short)?;
            let message = root_as_message(message).map_err(|e| bad("", e))?;
            let body = usize::try_from(message.bodyLength()).map_err(|_| short())?;
            if message.header_as_record_batch().is_some_and(|batch| batch.compression().is_some()) {
                return Err(bad("", "is compressed: public tables travel as they are"));
            }
            rest = after.split_at_checked(body).ok_or_else(short)?.1;
        }
    }
    Ok(())
}

/// Refuses columns that could take more memory than the bytes received: [`Tables::write`] wrote each value in its place.
fn check_plain(table: &str, schema: &Schema) -> Result<(), Refusal> {
    let is_plain = |kind: &DataType| {
        kind.is_numeric() || kind.is_temporal() || matches!(kind, DataType::Utf8 | DataType::Boolean | DataType::Null)
    };
    match schema.fields().iter().find(|field| !is_plain(field.data_type())) {
        None => Ok(()),
        Some(field) => {
            let kind = kinds::kind(field.data_type());
            Err(bad(table, format!("column {} came as {kind}: public tables travel as plain columns", field.name())))
        }
    }
}

fn bad(table: &str, problem: impl std::fmt::Display) -> Refusal {
    refuse(problem).at(format!("program.tables.{table}"))
}

/// Positions of a table's rows, by key.
#[derive(Debug)]
struct Index {
    encode: RowConverter,
    kinds: Vec<DataType>,
    places: HashMap<Box<[u8]>, u32>,
}

/// A column of a table, by key.
#[derive(Debug)]
pub(super) struct Lookup {
    signature: Signature,
    index: Arc<Index>,
    values: ArrayRef,
    /// Least and greatest number, as public as the table.
    pub(super) bounds: Option<(f64, f64)>,
}

impl Lookup {
    fn new(index: &Arc<Index>, values: &ArrayRef) -> Self {
        let bounds = || {
            let numbers = cast(values, &DataType::Float64).ok()?;
            let numbers = numbers.as_primitive_opt::<Float64Type>()?;
            Some((aggregate::min(numbers)?, aggregate::max(numbers)?)).filter(|(lo, hi)| lo.is_finite() && hi.is_finite())
        };
        let bounds = match values.data_type() {
            // TRUE is 1.
            DataType::Boolean => Some((0.0, 1.0)),
            kind if kind.is_numeric() => bounds(),
            _ => None,
        };
        let signature = Signature::any(index.kinds.len(), Volatility::Immutable);
        Self { signature, index: index.clone(), values: values.clone(), bounds }
    }
}

// Equal only if they are the very same column.
impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.index, &other.index) && Arc::ptr_eq(&self.values, &other.values)
    }
}
impl Eq for Lookup {}
impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.index).hash(state);
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        LOOKUP
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(self.values.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::error::Result<ColumnarValue> {
        let arguments = args
            .args
            .iter()
            .zip(&self.index.kinds)
            .map(|(a, kind)| Ok(cast(&a.to_array(args.number_rows)?, kind)?))
            .collect::<Result<Vec<ArrayRef>, DataFusionError>>()?;
        let keys = self.index.encode.convert_columns(&arguments)?;
        let found: UInt32Array = keys.iter().map(|key| self.index.places.get(key.data()).copied()).collect();
        Ok(ColumnarValue::Array(take(&self.values, &found, None)?))
    }
}
