//! Models on a GPU: their numbers against the processor's, and their time against ONNX Runtime called here with IoBinding.
//!
//! The time is from rows in this process's memory to numbers in it.
//!
//! Run by `bench/gpu.sh`. Started with `runner LIBRARY`, the program is the runner itself: nothing else of the product is needed.

mod floor;
// Not all models are for a GPU.
#[allow(dead_code)]
#[path = "../networks.rs"]
mod networks;

use std::{
    sync::{Mutex, Once},
    time::Instant,
};

use anyhow::Context as _;
use tidegate_fixtures::models::weights;
use tidegate_gpu_runner::{Cuda, Input, Model, device, library};
use tidegate_node::worker::{Workers, run_worker_if_asked, usable_gpus};

/// Largest relative difference ‖a − b‖ / ‖b‖ from the processor's numbers, in float32 and with products in TensorFloat-32.
const NEAR: f64 = 1e-4;
const NEAR_TF32: f64 = 1e-2;
/// Number of turns of each case; the best counts.
const TURNS: usize = 3;

pub(crate) struct Case {
    name: &'static str,
    onnx: Vec<u8>,
    output: &'static str,
    input: Input,
    numbers: u32,
    /// Number of rows per run, and in all.
    batch: usize,
    rows: usize,
}

fn cases() -> Vec<Case> {
    let input = |elem: i32, size: u32, row: &[u64]| Input { name: "x".into(), elem, size, row: row.to_vec() };
    let features = || input(1, 4, &[8]);
    let case = |name, onnx, (input, numbers), (batch, rows)| Case { name, onnx, output: "y", input, numbers, batch, rows };
    let words = || input(7, 8, &[128]);
    let mut cases = vec![
        Case { output: "y2", ..case("MLP 8-64-64-1", networks::mlp().bytes(), (features(), 1), (1 << 14, 1 << 24)) },
        case("100 trees of depth 6", networks::trees().bytes(), (features(), 1), (1 << 14, 1 << 20)),
        case("ResNet-18's layers", networks::resnet().bytes(), (input(1, 4, &[3, 224, 224]), 10), (16, 2048)),
        case("6-layer encoder", networks::encoder().bytes(), (words(), 384), (64, 8192)),
    ];
    if let Ok(onnx) = std::fs::read(networks::MINILM) {
        cases.push(case("MiniLM", onnx, (words(), 384), (64, 8192)));
    }
    cases
}

impl Case {
    /// Returns the model for a runner to load.
    pub(crate) fn model(&self, cuda: Option<Cuda>, threads: u32) -> anyhow::Result<Model> {
        Ok(Model {
            bytes: tidegate_sandbox::onnx::rewrite(&self.onnx, self.output, Some(self.batch as u32))?,
            inputs: vec![self.input.clone()],
            output: self.output.into(),
            numbers: self.numbers,
            by_row: true,
            rows: self.batch as u32,
            batched: true,
            step: 1,
            working: 1 << 30,
            threads,
            cuda,
            // The confinement in force is printed once.
            unwalled: true,
            intermediates: None,
        })
    }

    /// Returns a batch of rows in memory layout, to be used again and again.
    pub(crate) fn batch(&self) -> Vec<u8> {
        let values = weights(self.batch * self.input.width(), 7, 1.0);
        let word = |v: &f32| ((v.abs() * 2999.0) as i64).min(2999).to_le_bytes();
        match self.input.elem {
            7 => values.iter().flat_map(word).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// Sends all rows through a runner; returns the seconds, and the numbers of the first batch.
    fn through(&self, workers: &Workers, model: &Model) -> anyhow::Result<(f64, Vec<f32>)> {
        let (_runner, client) = workers.infer(model)?;
        static WALLS: Once = Once::new();
        if model.cuda.is_some() {
            WALLS.call_once(|| eprintln!("{}, {:?}", client.runtime(), client.walls()));
        }
        let (batch, width) = (self.batch(), self.input.bytes());
        let fill = |slot: usize| {
            batch.chunks_exact(width).enumerate().for_each(|(row, bytes)| {
                client.write_row(0, (slot * self.batch + row) as u32, bytes);
            });
        };
        let mut first = vec![];
        // One run first, so that everything is in place.
        fill(0);
        client.submit(0, &[self.batch as u32])?;
        client.read(client.wait()?, &mut first);
        let all = self.rows / self.batch;
        // Free slots, batches still to send, batches still to come back.
        let state = Mutex::new(((0..client.slots().min(8)).collect::<Vec<_>>(), all, all));
        let work = || -> anyhow::Result<()> {
            let mut numbers = vec![];
            loop {
                let slot = {
                    let (free, to_send, to_come) = &mut *state.lock().map_err(|_| anyhow::anyhow!("a thread died"))?;
                    match free.pop_if(|_| *to_send > 0) {
                        Some(slot) => {
                            *to_send -= 1;
                            Some(slot)
                        }
                        None if *to_come == 0 => return Ok(()),
                        None => {
                            *to_come -= 1;
                            None
                        }
                    }
                };
                if let Some(slot) = slot {
                    fill(slot);
                    client.submit(slot, &[self.batch as u32])?;
                    continue;
                }
                let slot = client.wait()?;
                client.read(slot, &mut numbers);
                // The same rows must give the same numbers, to the last bit.
                anyhow::ensure!(numbers == first, "{}: other numbers of the same rows", self.name);
                state.lock().map_err(|_| anyhow::anyhow!("a thread died"))?.0.push(slot);
            }
        };
        let start = Instant::now();
        std::thread::scope(|scope| {
            let threads = [0, 1].map(|_| scope.spawn(work));
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread died")).flatten())
        })?;
        Ok((start.elapsed().as_secs_f64(), first))
    }
}

/// Computes ‖a − b‖ / ‖b‖.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |it: &mut dyn Iterator<Item = f64>| it.map(|v| v * v).sum::<f64>();
    let apart = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (apart / square(&mut b.iter().map(|b| f64::from(*b))).max(f64::MIN_POSITIVE)).sqrt()
}

fn main() -> anyhow::Result<()> {
    run_worker_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [floor, name] = &arguments[..]
        && floor == "floor"
    {
        return floor::run(cases().into_iter().find(|case| case.name == *name).context("a case")?);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let me = std::env::current_exe()?;
    let gpus = usable_gpus();
    let processors = std::thread::available_parallelism()?.get();
    println!("processor: {}, {processors} threads", device::processor());
    match gpus.first() {
        Some(gpu) => println!("GPU: {}", gpu.name),
        None => {
            let why = if device::gpus().is_empty() { "no NVIDIA GPU here" } else { library::HOW_TO_CUDA };
            println!("GPU: SKIPPED. {why}");
            anyhow::ensure!(std::env::var_os("REQUIRE_GPU").is_none(), "a GPU is required");
        }
    }
    let only = std::env::var("TIDEGATE_BENCH_MODEL").unwrap_or_default();
    println!(
        "| model | rows a run | processor, rows/s | GPU, rows/s | raw IoBinding, rows/s | of raw | TF32, rows/s | away from the processor | TF32 away |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut wrong = vec![];
    for case in cases().iter().filter(|case| case.name.contains(&only)) {
        // The processor takes only a small part of the rows.
        let few = Case { rows: (case.rows / 16).max(case.batch), onnx: case.onnx.clone(), input: case.input.clone(), ..*case };
        let threads = processors.min(8) as u32;
        let (seconds, wanted) = few.through(&Workers::of(&me)?, &case.model(None, threads)?)?;
        let rate = |rows: usize, seconds: f64| format!("{:.0}", rows as f64 / seconds);
        let mut line = format!("| {} | {} | {} |", case.name, case.batch, rate(few.rows, seconds));
        if !gpus.is_empty() {
            let turn = |tf32: bool| case.through(&Workers::of(&me)?, &case.model(Some(Cuda { memory: 16 << 30, tf32 }), 2)?);
            // The best of several turns: the first run on a machine finds nothing ready.
            let on = |tf32: bool| -> anyhow::Result<_> {
                let (mut best, numbers) = turn(tf32)?;
                for _ in 1..TURNS {
                    let (seconds, again) = turn(tf32)?;
                    anyhow::ensure!(again == numbers, "{}: another runner has other numbers of the same rows", case.name);
                    best = best.min(seconds);
                }
                Ok((best, numbers))
            };
            match (on(false), on(true)) {
                (Ok((ours, numbers)), Ok((rough, rounded))) => {
                    let floor = (0..TURNS)
                        .map(|_| floor::of(&me, case.name))
                        .try_fold(f64::INFINITY, |best, one| one.map(|one| best.min(one)))?;
                    let (away, away_tf32) = (distance(&numbers, &wanted), distance(&rounded, &wanted));
                    let rates = [ours, floor].map(|seconds| rate(case.rows, seconds)).join(" | ");
                    let ratio = floor / ours;
                    line += &format!(" {rates} | {ratio:.2} | {} | {away:.1e} | {away_tf32:.1e} |", rate(case.rows, rough));
                    if away.is_nan() || away > NEAR || away_tf32 > NEAR_TF32 {
                        wrong.push(case.name);
                    }
                }
                (Err(e), _) | (_, Err(e)) => {
                    line += &format!(" not there: {} |", e.to_string().replace('\n', " "));
                    // There is no kernel for trees.
                    if !case.name.contains("trees") {
                        wrong.push(case.name);
                    }
                }
            }
        }
        println!("{line}");
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "not there, or further from the processor's numbers than they may be: {}",
        wrong.join(", ")
    );
    Ok(())
}
