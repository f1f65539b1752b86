//! Measuring times and memory, and writing rows to measure on.

use std::{fs::File, time::Instant};

use arrow::{array::RecordBatch, error::ArrowError};
use parquet::arrow::ArrowWriter;

/// Measures the shortest of `times` runs, in seconds: the least disturbed.
pub(crate) fn best<T>(times: usize, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let start = Instant::now();
        std::hint::black_box(work()?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Measures the shortest of `times` runs of each, in seconds, run in turn: any disturbance of the machine affects both.
pub(crate) fn in_turn<A, B>(
    times: usize,
    mut ours: impl FnMut() -> anyhow::Result<A>,
    mut floor: impl FnMut() -> anyhow::Result<B>,
) -> anyhow::Result<(f64, f64)> {
    let (mut a, mut b) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..times {
        a = a.min(best(1, &mut ours)?);
        b = b.min(best(1, &mut floor)?);
    }
    Ok((a, b))
}

/// Resets the largest resident memory, if the kernel lets a process do so.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Returns the largest resident memory of this process since [`forget_peak`], in MiB.
pub(crate) fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Writes `rows` rows to a Parquet file at `path`, in batches of a million rows, each made from its range of row numbers.
pub(crate) fn write_rows(
    path: &std::path::Path,
    rows: usize,
    batch: impl Fn(std::ops::Range<usize>) -> Result<RecordBatch, ArrowError>,
) -> anyhow::Result<()> {
    let mut writer: Option<ArrowWriter<File>> = None;
    for start in (0..rows).step_by(1 << 20) {
        let batch = batch(start..rows.min(start + (1 << 20)))?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?),
        };
        writer.write(&batch)?;
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}
