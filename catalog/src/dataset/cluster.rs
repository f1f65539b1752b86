//! The ordered copy for jobs, made if the published files are not Parquet ordered by unit with bounded pages and texts.
//!
//! It holds the visible columns, sorted once, in bounded memory.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int8Array, RecordBatch, UInt64Array, new_null_array},
    compute::{filter_record_batch, is_not_null},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    catalog::streaming::StreamingTable,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::FairSpillPool, runtime_env::RuntimeEnvBuilder},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
    prelude::{SessionConfig, SessionContext, ident},
};
use futures_lite::{StreamExt as _, stream};
use parquet::{
    arrow::ArrowWriter,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use tidegate_protocol::{manifest::ROW_TABLE, policy::Policy};

use super::{
    DataError, TableFiles, bounded, broken,
    lost::Count,
    read::guarded,
    table::{self, Table},
    unit::unit_column,
    unreadable,
};

/// Maximum number of parallel sorts, each with its share of the memory.
const MOST_THREADS: usize = 4;
/// Metadata key of a hash of the published files, by BLAKE3's key derivation (BLAKE3 paper, section 2.3), which no hash in the
/// manifest reveals.
///
/// A reader who cannot reproduce the published files, because a hidden column is random, cannot test a guess against the copy's
/// hash either.
const SOURCE: &str = "tidegate.source";
const CONTEXT: &str = "tidegate 2026-11-27 the published files that an ordered copy is of";
/// Column with a row's number in the published files, which keeps a unit's rows in file order.
const ROW: &str = "\u{0}row";

/// Callback for each written batch, with the number of rows written so far.
type Each<'a> = &'a mut dyn FnMut(&RecordBatch, u64) -> Result<(), DataError>;

/// Memory for all sorts together.
struct Means {
    /// Number of bytes for all threads together; further rows are spilled to files beside the copy.
    memory: usize,
    /// Number of bytes reserved by each thread for merging spilled rows.
    merge_memory: usize,
    threads: usize,
}

/// Writes a Parquet file with the visible columns of rows with a unit, ordered by unit, rows of a unit in file order.
///
/// All rows are counted in `count`.
pub(super) fn cluster(
    tables: &[TableFiles],
    learnt: Vec<Table>,
    kept: &SchemaRef,
    policy: &Policy,
    count: &Count,
    target: &Path,
    each: Each<'_>,
) -> Result<(), DataError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let means = Means { memory: 512 << 20, merge_memory: 16 << 20, threads };
    let rows = Rows { tables: Arc::new(learnt), policy: policy.clone(), schema: numbered(kept), count: count.clone() };
    cluster_within(&means, tables, rows, kept, target, each)
}

fn cluster_within(
    means: &Means,
    tables: &[TableFiles],
    rows: Rows,
    kept: &SchemaRef,
    target: &Path,
    each: Each<'_>,
) -> Result<(), DataError> {
    let (numbered, unit) = (rows.schema.clone(), rows.policy.unit.column.clone());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![source(tables)?])).build();
    let folder = target.parent().unwrap_or(Path::new("."));
    let temporary = target.with_extension("tmp");
    let Means { memory, merge_memory, threads } = *means;
    let sort = async {
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
            .with_temp_file_path(folder)
            .with_max_temp_directory_size(u64::MAX)
            .build_arc()?;
        let config = SessionConfig::new().with_target_partitions(threads).with_sort_spill_reservation_bytes(merge_memory);
        let context = SessionContext::new_with_config_rt(config, environment);
        context.register_table("rows", Arc::new(StreamingTable::try_new(numbered, vec![Arc::new(rows)])?))?;
        let order = vec![ident(unit.as_str()).sort(true, false), ident(ROW).sort(true, false)];
        let mut sorted = context.table("rows").await?.sort(order)?.execute_stream().await?;
        let mut file = tidegate_files::create(&temporary)?;
        let mut writer = ArrowWriter::try_new(&mut file, Arc::new(Schema::new(kept.fields().clone())), Some(properties))?;
        let columns: Vec<usize> = (0..kept.fields().len()).collect();
        let mut rows = 0;
        while let Some(batch) = sorted.next().await {
            let batch = batch?.project(&columns)?;
            writer.write(&batch)?;
            rows += batch.num_rows() as u64;
            each(&batch, rows).map_err(|e| DataFusionError::External(Box::new(e)))?;
        }
        writer.close()?;
        file.sync_all()?;
        if !bounded::pages(&temporary, kept).map_err(|e| DataFusionError::External(Box::new(e)))? {
            return Err(DataFusionError::Execution("its copy has pages larger than the limit of jobs".into()));
        }
        std::fs::rename(&temporary, target)?;
        Ok::<_, DataFusionError>(())
    };
    tidegate_files::create_folder(folder).map_err(|e| unreadable(folder, e))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().map_err(|e| unreadable(target, e))?;
    guarded(target, || runtime.block_on(sort).map_err(|e| said(target, e))).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Extracts the error behind an engine's error: if a file's rows are at fault, the message of the file's reader.
fn said(target: &Path, e: DataFusionError) -> DataError {
    match e {
        DataFusionError::External(own) => match own.downcast::<DataError>() {
            Ok(own) => *own,
            Err(other) => broken(target, other),
        },
        other => broken(target, other),
    }
}

fn source(tables: &[TableFiles]) -> Result<KeyValue, DataError> {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for path in tables.iter().flat_map(|table| &table.files) {
        let file = File::open(path).map_err(|e| unreadable(path, e))?;
        let bytes = file.metadata().map_err(|e| unreadable(path, e))?.len();
        hasher.update(&bytes.to_le_bytes()).update_reader(file).map_err(|e| unreadable(path, e))?;
    }
    Ok(KeyValue::new(SOURCE.to_owned(), hasher.finalize().to_hex().to_string()))
}

/// Returns the columns of the copy, plus the row number.
fn numbered(kept: &SchemaRef) -> SchemaRef {
    let fields = kept.fields().iter().map(|f| f.as_ref().clone());
    Arc::new(Schema::new(fields.chain([Field::new(ROW, DataType::UInt64, false)]).collect::<Vec<_>>()))
}

/// Rows of the published files with a unit, numbered, as a DataFusion stream.
#[derive(Debug)]
struct Rows {
    tables: Arc<Vec<Table>>,
    policy: Policy,
    schema: SchemaRef,
    /// Counter of all rows, with a unit or without.
    count: Count,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let files = self.tables.iter().enumerate().flat_map(|(table, of)| (0..of.len()).map(move |file| (table, file)));
        let batches = Batches {
            files: files.collect::<Vec<_>>().into_iter(),
            tables: self.tables.clone(),
            reader: None,
            policy: self.policy.clone(),
            schema: self.schema.clone(),
            count: self.count.clone(),
            next: 0,
            of_file: 0,
        };
        let batches = batches.map(|b| b.map_err(|e| DataFusionError::External(Box::new(e))));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(batches)))
    }
}

struct Batches {
    /// Table and number of each file.
    files: std::vec::IntoIter<(usize, usize)>,
    tables: Arc<Vec<Table>>,
    /// File being read, with its table's position in the policy if there are several tables.
    reader: Option<(PathBuf, Option<usize>, table::rows::Rows)>,
    policy: Policy,
    schema: SchemaRef,
    count: Count,
    next: u64,
    /// Number of rows read from the current file.
    of_file: u64,
}

impl Batches {
    fn number(&mut self, file: &Path, table: Option<usize>, batch: &RecordBatch) -> Result<RecordBatch, DataError> {
        let unit = unit_column(batch, &self.policy)?;
        bounded::named(&unit, self.of_file).map_err(|e| broken(file, e))?;
        self.count.see(table, &unit);
        let kept = is_not_null(unit.as_ref()).and_then(|with_unit| filter_record_batch(batch, &with_unit));
        let kept = kept.map_err(|e| broken(file, e))?;
        let rows = kept.num_rows();
        let numbers = UInt64Array::from_iter_values(self.next..self.next + rows as u64);
        let fields = &self.schema.fields()[..self.schema.fields().len() - 1];
        let mut columns = fields.iter().map(|f| self.column(f, table, &kept)).collect::<Result<Vec<_>, _>>()?;
        columns.push(Arc::new(numbers));
        self.next += rows as u64;
        self.of_file += batch.num_rows() as u64;
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| broken(file, e))
    }

    fn open(&self, table: usize, file: usize) -> Result<(PathBuf, Option<usize>, table::rows::Rows), DataError> {
        let of = self.tables.get(table).ok_or(DataError::NoTable)?;
        let place = self.policy.tables.iter().position(|name| Some(name) == of.name.as_ref());
        Ok((of.path(file).to_owned(), place, of.open(file)?))
    }

    /// Makes a column of the copy, of bounded size.
    ///
    /// With several tables, the column is NULL in rows of other tables, or holds the number of the row's table.
    fn column(&self, field: &Field, table: Option<usize>, batch: &RecordBatch) -> Result<ArrayRef, DataError> {
        let name = field.name().as_str();
        let own = match table {
            Some(at) if name == ROW_TABLE => return Ok(Arc::new(Int8Array::from(vec![at as i8; batch.num_rows()]))),
            Some(at) if name != self.policy.unit.column => {
                let bare = name.strip_prefix(self.policy.tables[at].as_str()).and_then(|rest| rest.strip_prefix('.'));
                let Some(bare) = bare else { return Ok(new_null_array(field.data_type(), batch.num_rows())) };
                bare
            }
            _ => name,
        };
        let wrong = |problem: String| DataError::Column { column: name.to_owned(), problem };
        let column = batch.column_by_name(own).ok_or_else(|| wrong("is missing".into()))?;
        bounded::cut(column).map_err(|e| wrong(e.to_string()))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((file, table, reader)) = &mut self.reader else {
                let (table, file) = self.files.next()?;
                match self.open(table, file) {
                    Ok(reader) => (self.reader, self.of_file) = (Some(reader), 0),
                    Err(e) => return Some(Err(e)),
                }
                continue;
            };
            match reader.next() {
                None => self.reader = None,
                Some(Err(e)) => return Some(Err(e)),
                Some(Ok(batch)) => {
                    let (file, table) = (file.clone(), *table);
                    return Some(self.number(&file, table, &batch));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::Int64Type;
    use tidegate_protocol::policy::PolicyFile;

    use super::*;
    use crate::dataset::open;

    const POLICY: &str = r#"
        unit = { column = "Person", max_units = 1000000, max_rows = 3, max_groups = 2 }
        budget = { delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }
        jobs = { kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }
        access = { compute = "granted", replicate = "nobody" }
        columns = { n = { lo = 0, hi = 1 } }
    "#;

    fn files_of(files: &[PathBuf]) -> Vec<TableFiles> {
        vec![TableFiles::of(files)]
    }

    fn learnt(files: &[PathBuf], policy: &Policy) -> Vec<Table> {
        table::learn(&files_of(files), policy, false, &mut |_| {}).unwrap()
    }

    fn kept() -> SchemaRef {
        Arc::new(Schema::new(["Person", "n"].map(|name| Field::new(name, DataType::Int64, true)).to_vec()))
    }

    fn sorts(means: &Means, files: &[PathBuf], policy: &Policy, target: &Path, rows: u64) {
        let mut seen = 0;
        let count = Count::new(policy);
        let (tables, policy) = (Arc::new(learnt(files, policy)), policy.clone());
        let of_files = Rows { tables, policy, schema: numbered(&kept()), count: count.clone() };
        cluster_within(means, &files_of(files), of_files, &kept(), target, &mut |_, rows| {
            seen = rows;
            Ok(())
        })
        .unwrap();
        assert_eq!(count.without_unit(), [rows / 10]);
        let (mut count, mut last) = (0, (i64::MIN, i64::MIN));
        for batch in open(target).unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["Person", "n"]);
            let (person, n) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
            assert_eq!(person.nulls().map_or(0, |n| n.null_count()), 0);
            for row in person.values().iter().copied().zip(n.values().iter().copied()) {
                assert!(row > last, "{row:?} after {last:?}");
                last = row;
                count += 1;
            }
        }
        assert_eq!((count, seen), (rows / 10 * 9, rows / 10 * 9));
    }

    /// Where outsiders cannot know a hidden column, they cannot try what the visible ones may be.
    #[test]
    fn the_copy_s_hash_is_of_hidden_columns_too() {
        let dir = tempfile::tempdir().unwrap();
        let (file, policy) = (dir.path().join("a.csv"), PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap());
        let copy = |hidden: &str, name: &str| {
            let rows: String = (0..1000).map(|i| format!("{},{i},{hidden}\n", i * 7919 % 501)).collect();
            std::fs::write(&file, format!("Person,n,hidden\n{rows}")).unwrap();
            let target = dir.path().join(name);
            let learnt = learnt(std::slice::from_ref(&file), &policy);
            let (files, count) = (files_of(std::slice::from_ref(&file)), Count::new(&policy));
            cluster(&files, learnt, &kept(), &policy, &count, &target, &mut |_, _| Ok(())).unwrap();
            (blake3::hash(&std::fs::read(&target).unwrap()), open(&target).unwrap().map(Result::unwrap).collect::<Vec<_>>())
        };
        let (first, again, other) = (copy("x", "first.parquet"), copy("x", "again.parquet"), copy("y", "other.parquet"));
        assert_eq!(first, again, "whoever has the published files makes the same copy");
        assert!(first.0 != other.0 && first.1 == other.1);
    }

    /// Far more rows than the memory holds: sorted, none lost, none without a unit, and a unit's rows in file order.
    #[test]
    fn a_sort_beyond_its_memory_spills_and_keeps_a_units_rows_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (files, rows) = (["a.csv", "b.csv"].map(|name| dir.path().join(name)), 300_000u64);
        for (part, file) in files.iter().enumerate() {
            let half = rows / 2 * part as u64..rows / 2 * (part as u64 + 1);
            let line = |i| if i % 10 == 3 { format!(",{i},x\n") } else { format!("{},{i},x\n", i * 7919 % 50_021) };
            std::fs::write(file, format!("Person,n,hidden\n{}", half.map(line).collect::<String>())).unwrap();
        }
        let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
        let target = dir.path().join("sorted.parquet");
        // Whatever this machine has: alone, and beside one another.
        for threads in [1, 3] {
            let means = Means { memory: threads * (3 << 20), merge_memory: 1 << 20, threads };
            sorts(&means, &files, &policy, &target, rows);
            let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left.len(), 3, "nothing is left of what was spilled: {left:?}");
        }
        // A copy that fails half-way leaves nothing under the name of a whole one.
        let learnt = learnt(&files, &policy);
        std::fs::write(&files[1], "Person,n,hidden\n1,2,x\n1,2\n").unwrap();
        let target = dir.path().join("broken.parquet");
        let means = Means { memory: 3 << 20, merge_memory: 1 << 20, threads: 1 };
        let rows = Rows { tables: Arc::new(learnt), count: Count::new(&policy), policy, schema: numbered(&kept()) };
        assert!(cluster_within(&means, &files_of(&files), rows, &kept(), &target, &mut |_, _| Ok(())).is_err());
        assert!(!target.exists() && !target.with_extension("tmp").exists());
    }
}
