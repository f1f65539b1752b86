//! SQL over a log's entries, for auditors: a table with a row per entry.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Builder, RecordBatch, StringBuilder, UInt64Builder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError,
    prelude::{SQLOptions, SessionContext},
};
use serde_json::Value;

use crate::{
    log::{Fetch, scan},
    note::{BadNote, Verifier},
    open_entry,
};

/// Name of the table.
pub const TABLE: &str = "receipts";
/// Number of rows per batch.
const BATCH: usize = 4096;

/// Error of a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The log does not verify.
    #[error(transparent)]
    Log(#[from] BadNote),
    /// The query failed.
    #[error("{0}")]
    Sql(#[from] DataFusionError),
    /// Arrow failed.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Column: its name, and the places of its value in a predicate (RFC 6901). The first existing place counts.
type Column = (&'static str, &'static [&'static str]);

const TEXTS: [Column; 19] = [
    ("entry", &["/entry"]),
    ("job", &["/job", "/facts/job"]),
    ("buyer", &["/buyer", "/facts/buyer"]),
    ("peer", &["/peer", "/holder", "/auditor", "/lease/holder"]),
    ("dataset", &["/dataset", "/facts/dataset", "/manifest"]),
    ("population", &["/ledger/population", "/facts/ledger/population", "/population", "/lease/population"]),
    ("policy", &["/policy", "/facts/policy"]),
    ("kind", &["/kind", "/facts/kind"]),
    ("program", &["/program", "/facts/program"]),
    ("grant", &["/grant_ids/0", "/facts/grant_ids/0"]),
    ("lease", &["/lease", "/facts/lease"]),
    ("mode", &["/mode"]),
    ("outcome", &["/outcome"]),
    ("noise", &["/mechanism/noise", "/facts/mechanism/noise"]),
    ("adjacency", &["/mechanism/adjacency", "/facts/mechanism/adjacency"]),
    ("engine", &["/engine", "/facts/engine"]),
    ("time", &["/slot_start", "/facts/slot_start", "/time"]),
    ("slot_end", &["/slot_end", "/facts/slot_end"]),
    ("expires", &["/scope/expires"]),
];
/// Charges, from intents alone, so that a sum over all entries counts each charge once. Divided to give ρ, ε and δ.
const CHARGES: [(&str, &str, f64); 4] = [
    ("rho", "/ledger/cost/rho_micro", 1e6),
    ("epsilon", "/ledger/cost/epsilon_micro", 1e6),
    ("delta", "/ledger/cost/delta_femto", 1e15),
    ("exact_results", "/ledger/cost/reviewed", 1.0),
];
const NUMBERS: [Column; 2] = [("sequence", &["/ledger/sequence"]), ("intent", &["/intent"])];

fn schema() -> SchemaRef {
    let index = [Field::new("index", DataType::UInt64, false)];
    let texts = TEXTS.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true));
    let charges = CHARGES.iter().map(|(name, ..)| Field::new(*name, DataType::Float64, true));
    let numbers = NUMBERS.iter().map(|(name, _)| Field::new(*name, DataType::UInt64, true));
    let whole = [Field::new("statement", DataType::Utf8, false)];
    Arc::new(Schema::new(index.into_iter().chain(texts).chain(charges).chain(numbers).chain(whole).collect::<Vec<_>>()))
}

/// Rows waiting for their batch.
struct Rows {
    index: UInt64Builder,
    texts: Vec<StringBuilder>,
    charges: Vec<Float64Builder>,
    numbers: Vec<UInt64Builder>,
    statement: StringBuilder,
    rows: usize,
}

impl Rows {
    fn new() -> Self {
        Self {
            index: UInt64Builder::new(),
            texts: TEXTS.iter().map(|_| StringBuilder::new()).collect(),
            charges: CHARGES.iter().map(|_| Float64Builder::new()).collect(),
            numbers: NUMBERS.iter().map(|_| UInt64Builder::new()).collect(),
            statement: StringBuilder::new(),
            rows: 0,
        }
    }

    fn push(&mut self, index: u64, statement: &Value) {
        let predicate = &statement["predicate"];
        let first = |paths: &[&str]| paths.iter().find_map(|path| predicate.pointer(path));
        self.index.append_value(index);
        for (builder, (_, paths)) in self.texts.iter_mut().zip(TEXTS) {
            builder.append_option(first(paths).and_then(Value::as_str));
        }
        for (builder, (_, path, unit)) in self.charges.iter_mut().zip(CHARGES) {
            let charged =
                predicate.pointer("/ledger/cost").map(|_| predicate.pointer(path).and_then(Value::as_f64).unwrap_or(0.0) / unit);
            builder.append_option(charged);
        }
        for (builder, (_, paths)) in self.numbers.iter_mut().zip(NUMBERS) {
            builder.append_option(first(paths).and_then(Value::as_u64));
        }
        self.statement.append_value(statement.to_string());
        self.rows += 1;
    }

    fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.index.finish())];
        columns.extend(self.texts.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        columns.extend(self.charges.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        columns.extend(self.numbers.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        columns.push(Arc::new(self.statement.finish()));
        RecordBatch::try_new(schema(), columns)
    }
}

/// Builds the table of a log after verifying every entry and the root.
///
/// # Errors
/// Returns [`QueryError`] if the log does not verify or a batch cannot be built.
pub fn table(log: &Verifier, fetch: Fetch<'_>) -> Result<Vec<RecordBatch>, QueryError> {
    let (mut rows, mut batches) = (Rows::new(), Vec::new());
    let failed = |e: &dyn std::fmt::Display| BadNote(e.to_string());
    scan(log, fetch, |index, entry| {
        let statement = open_entry(entry, &log.key).map_err(|(rule, what)| BadNote(format!("entry {index}: {rule}: {what}")))?;
        rows.push(index, &serde_json::to_value(statement).map_err(|e| failed(&e))?);
        if rows.rows == BATCH {
            batches.push(rows.finish().map_err(|e| failed(&e))?);
        }
        Ok(())
    })?;
    batches.push(rows.finish()?);
    Ok(batches)
}

/// Answers `query` over the table [`TABLE`] of these batches.
///
/// # Errors
/// Returns [`QueryError::Sql`], also for anything but a query.
pub async fn sql(batches: Vec<RecordBatch>, query: &str) -> Result<Vec<RecordBatch>, QueryError> {
    over(TABLE, schema(), batches, query).await
}

/// Answers `query` over a table of this name.
///
/// # Errors
/// Returns [`QueryError::Sql`], also for anything but a query.
pub async fn over(name: &str, schema: SchemaRef, batches: Vec<RecordBatch>, query: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let context = SessionContext::new();
    let table = datafusion::datasource::MemTable::try_new(schema, vec![batches])?;
    context.register_table(name, Arc::new(table))?;
    let queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let answer = context.sql_with_options(query, queries).await?;
    let schema: SchemaRef = Arc::new(answer.schema().as_arrow().clone());
    let mut found = answer.collect().await?;
    if found.is_empty() {
        found.push(RecordBatch::new_empty(schema));
    }
    Ok(found)
}
