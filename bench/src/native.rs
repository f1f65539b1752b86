//! Guests against the same code compiled natively: a whole job, reading included, with as many threads.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    datatypes::{Float64Type, Int64Type},
};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use tidegate_protocol::{
    ContentHash,
    job::{Blocks, Output, Program, Reducer, Split},
};
use tidegate_sandbox::{Help, admit, run as run_job, units};

use crate::{
    measure::{best, write_rows},
    sql::{job, mix, policy},
};

#[path = "../../guest/rust/moments/src/moments.rs"]
mod moments;

/// A row function in text form; its native counterpart is [`native_row`].
const ROW: &str = r#"(module (func (export "row") (param $a f64) (param $b f64) (result f64 f64) (local $x f64)
    (local.set $x (f64.add (f64.mul (local.get $a) (f64.const 0.01)) (f64.mul (local.get $b) (local.get $b))))
    (f64.sqrt (f64.abs (local.get $x)))
    (f64.convert_i32_u (f64.gt (local.get $x) (f64.const 2)))))"#;

fn native_row(a: f64, b: f64) -> (f64, f64) {
    let x = a * 0.01 + b * b;
    (x.abs().sqrt(), f64::from(u8::from(x > 2.0)))
}

/// Writes rows, five per person, ordered.
fn write(path: &Path, rows: usize) -> anyhow::Result<()> {
    write_rows(path, rows, |range| {
        RecordBatch::try_from_iter([
            ("person", Arc::new(range.clone().map(|i| (i / 5) as i64).collect::<Int64Array>()) as ArrayRef),
            ("region", Arc::new(range.clone().map(|i| (i % 20) as i64).collect::<Int64Array>()) as ArrayRef),
            (
                "cell",
                Arc::new(range.clone().map(|i| (mix(i as u64) % 1000) as f64 / 500.0).collect::<Float64Array>()) as ArrayRef,
            ),
            ("spend", Arc::new(range.map(|i| (mix(!i as u64) % 100_000) as f64 / 100.0).collect::<Float64Array>()) as ArrayRef),
        ])
    })
}

/// Visits all row groups' batches of (person, cell, spend), on as many threads as there are processors.
fn each_batch<S: Send>(
    path: &Path,
    start: impl Fn() -> S + Sync,
    visit: impl Fn(&mut S, &[i64], &[f64], &[f64]) + Sync,
) -> anyhow::Result<Vec<S>> {
    let footer = ArrowReaderMetadata::load(&File::open(path)?, Default::default())?;
    let (groups, ways) = (footer.metadata().num_row_groups(), std::thread::available_parallelism()?.get());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ways)
            .map(|way| {
                let (footer, start, visit) = (footer.clone(), &start, &visit);
                let mine = (way * groups / ways..(way + 1) * groups / ways).collect();
                scope.spawn(move || -> anyhow::Result<S> {
                    let mut state = start();
                    for batch in ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, footer)
                        .with_row_groups(mine)
                        .with_batch_size(8192)
                        .build()?
                    {
                        let batch = batch?;
                        let number = |i: usize| batch.column(i).as_primitive::<Float64Type>().values();
                        visit(&mut state, batch.column(0).as_primitive::<Int64Type>().values(), number(2), number(3));
                    }
                    Ok(state)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread died"))?).collect()
    })
}

fn sum(name: &str, hi: f64) -> Output {
    Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 }
}

/// Measures a proven row function over all rows, against a Rust loop that reads, sums by person, clips and adds.
pub(crate) fn rows(rows: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rows.parquet");
    write(&path, rows)?;
    let floor = best(3, || {
        let close = |sums: &mut [i64; 2], open: (f64, f64)| {
            sums[0] += (open.0.clamp(0.0, 128.0) * 8192.0).round() as i64;
            sums[1] += (open.1.clamp(0.0, 8.0) * 131_072.0).round() as i64;
        };
        each_batch(
            &path,
            || ([0i64; 2], i64::MIN, (0.0, 0.0)),
            |(sums, open, tally), person, cell, spend| {
                for ((person, cell), spend) in person.iter().zip(cell).zip(spend) {
                    if person != open {
                        close(sums, std::mem::take(tally));
                        *open = *person;
                    }
                    let (root, above) = native_row(*spend, *cell);
                    *tally = (tally.0 + root, tally.1 + above);
                }
            },
        )
    })?;
    let mut policy = policy()?;
    policy.unit.max_units = rows as u64;
    let file = File::open(&path)?;
    let schema = units::schema(&file)?;
    println!(
        "rows: {rows} rows, five a person; floor: a loop in Rust over the same file {:.1} ns a row",
        floor * 1e9 / rows as f64
    );
    let counting = ROW
        .replace("(module", "(module (global $n (mut i32) (i32.const 0))")
        .replace("(local $x f64)", "(local $x f64) (global.set $n (i32.const 1))");
    let looping = ROW.replace("(local $x f64)", "(local $x f64) (block (loop (br 1)))");
    for (what, text) in [("keeps no state, bounded", ROW), ("keeps no state", &looping), ("not proven", &counting)] {
        let bytes = binary(text)?;
        let job = job(Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(&bytes),
            select: "SELECT spend, cell FROM dataset".into(),
            params_base64: String::new(),
            data: None,
            split: Split::Unit,
            outputs: vec![sum("root", 128.0), sum("above", 8.0)],
        });
        let admitted = admit(&job, &policy, &schema, Some(bytes.into()))?;
        let seconds = best(3, || Ok(run_job(&admitted, &[file.try_clone()?], &[0; 32], Help::default())?))?;
        println!("  row function, {what}: {:.1} ns a row, {:.2} × the floor", seconds * 1e9 / rows as f64, seconds / floor);
    }
    Ok(())
}

fn binary(text: &str) -> anyhow::Result<Vec<u8>> {
    Ok(wat::parse_str(text)?)
}

/// Measures loops over a block's columns, against the same loops in Rust: reading and handing over included.
pub(crate) fn blocks(rows: usize) -> anyhow::Result<()> {
    const BLOCKS: u32 = 64;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rows.parquet");
    write(&path, rows)?;
    let mut policy = policy()?;
    policy.limits.memory_bytes = 64 << 20;
    policy.limits.fuel = u64::MAX >> 1;
    policy.limits.slot_ms = 1 << 40;
    let file = File::open(&path)?;
    let schema = units::schema(&file)?;
    let bytes = tidegate_fixtures::guest("moments")?;
    for times in [1, 50] {
        for (how, double) in [("plain", moments::plain as fn(&[f64], &[f64], usize) -> [f64; 3]), ("chunked", moments::chunked)] {
            let job = job(Program::Wasm {
                infer: None,
                on: None,
                module: ContentHash::of(&bytes),
                select: "SELECT spend, cell FROM dataset".into(),
                params_base64: base64(&format!("{how} {times}")),
                data: None,
                split: Split::Blocks(Blocks::of(BLOCKS)),
                outputs: vec![sum("mean", 1024.0), sum("variance", 1e6), sum("covariance", 1e6)],
            });
            let admitted = admit(&job, &policy, &schema, Some(bytes.clone().into()))?;
            let seconds = best(2, || Ok(run_job(&admitted, &[file.try_clone()?], &[0; 32], Help::default())?))?;
            let floor = best(2, || {
                let held = each_batch(
                    &path,
                    || vec![(vec![], vec![]); BLOCKS as usize],
                    |held: &mut Vec<(Vec<f64>, Vec<f64>)>, person, cell, spend| {
                        for ((person, cell), spend) in person.iter().zip(cell).zip(spend) {
                            let block = &mut held[(mix(*person as u64) % u64::from(BLOCKS)) as usize];
                            block.0.push(*spend);
                            block.1.push(*cell);
                        }
                    },
                )?;
                let mut blocks = vec![(vec![], vec![]); BLOCKS as usize];
                for some in held {
                    for (block, (a, b)) in blocks.iter_mut().zip(some) {
                        block.0.extend(a);
                        block.1.extend(b);
                    }
                }
                let ways = std::thread::available_parallelism()?.get();
                std::thread::scope(|scope| {
                    for some in blocks.chunks(BLOCKS as usize / ways) {
                        scope.spawn(move || {
                            some.iter().for_each(|(a, b)| {
                                std::hint::black_box(double(a, b, times));
                            })
                        });
                    }
                });
                Ok(())
            })?;
            println!(
                "blocks: {rows} rows in {BLOCKS} blocks, {how} loops, {times} × two passes: {:.0} ms, natively {:.0} ms: {:.2} ×",
                seconds * 1e3,
                floor * 1e3,
                seconds / floor
            );
        }
    }
    Ok(())
}

fn base64(text: &str) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text)
}
