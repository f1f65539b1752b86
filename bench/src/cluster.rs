//! Publishing files not ordered by unit: making the ordered copy, against DataFusion's own ORDER BY to Parquet.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use datafusion::{
    dataframe::DataFrameWriteOptions,
    prelude::{ParquetReadOptions, SessionContext},
};
use tidegate_catalog::dataset;

use crate::{
    measure::{best, forget_peak, peak_mib, write_rows},
    sql::{mix, policy},
};

pub(crate) fn generate(path: &std::path::Path, rows: usize) -> anyhow::Result<()> {
    write_rows(path, rows, |range| {
        let person = |i: usize| (mix(i as u64) % (rows as u64 / 5).max(1)) as i64;
        RecordBatch::try_from_iter([
            ("person", Arc::new(range.clone().map(person).collect::<Int64Array>()) as ArrayRef),
            ("region", Arc::new(range.clone().map(|i| (i % 20) as i64).collect::<Int64Array>()) as ArrayRef),
            ("cell", Arc::new(range.clone().map(|i| (i % 1009) as i64).collect::<Int64Array>()) as ArrayRef),
            ("spend", Arc::new(range.map(|i| (mix(!i as u64) % 100_000) as f64 / 100.0).collect::<Float64Array>()) as ArrayRef),
        ])
    })
}

pub(crate) fn run(rows: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (path, copy, sorted) =
        (dir.path().join("rows.parquet"), dir.path().join("copy.parquet"), dir.path().join("sorted.parquet"));
    generate(&path, rows)?;
    let policy = policy()?;
    forget_peak();
    let before = peak_mib();
    let tables = dataset::tables(std::slice::from_ref(&path), &policy)?;
    let ours = best(2, || Ok(dataset::profile(&tables, &policy, None, &copy, &mut |_, _| {})?))?;
    let memory = peak_mib();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    forget_peak();
    let floor = best(2, || {
        runtime.block_on(async {
            let context = SessionContext::new();
            context.register_parquet("dataset", &*path.to_string_lossy(), ParquetReadOptions::default()).await?;
            let frame = context.sql("SELECT * FROM dataset ORDER BY person").await?;
            let options = DataFrameWriteOptions::new().with_single_file_output(true);
            Ok(frame.write_parquet(&sorted.to_string_lossy(), options, None).await?)
        })
    })?;
    println!(
        "cluster: {rows} rows: {:.2} M rows/s, DataFusion's ORDER BY {:.2} M rows/s: {:.2} of its rate; peak memory {memory:.0} MiB \
         (before {before:.0}), DataFusion's {:.0} MiB",
        rows as f64 / ours / 1e6,
        rows as f64 / floor / 1e6,
        floor / ours,
        peak_mib()
    );
    Ok(())
}
