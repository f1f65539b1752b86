//! The floor: ONNX Runtime in a single process, inputs bound from pinned memory, a stream for each of two threads.

use std::{path::Path, process::Command, sync::Mutex, time::Instant};

use anyhow::Context as _;
use ort::{
    ep,
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{Session, builder::GraphOptimizationLevel},
    value::{DynTensor, TensorElementType},
};
use tidegate_gpu_runner::library;

use super::Case;

/// Measures a case in seconds, in a process with the device's libraries.
pub(super) fn of(me: &Path, name: &str) -> anyhow::Result<f64> {
    let library = library::find_cuda().context("the runtime for GPUs")?;
    let output = Command::new(me)
        .args(["floor", name])
        .env(library::QUIET.0, library::QUIET.1)
        .env("LD_LIBRARY_PATH", library::cuda_path(&library))
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Rows of a batch, in its tensor's type.
enum Rows {
    Numbers(Vec<f32>),
    Words(Vec<i64>),
}

/// Runs all rows of a case and prints the seconds.
pub(super) fn run(case: Case) -> anyhow::Result<()> {
    let library = library::find_cuda().context("the runtime for GPUs")?;
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let model = case.model(None, 1)?;
    let kind = if case.input.elem == 7 { TensorElementType::Int64 } else { TensorElementType::Float32 };
    let shape: Vec<usize> = std::iter::once(case.batch).chain(case.input.row.iter().map(|n| *n as usize)).collect();
    let batch = case.batch();
    let rows = match kind {
        TensorElementType::Int64 => {
            Rows::Words(batch.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default())).collect())
        }
        _ => Rows::Numbers(batch.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default())).collect()),
    };
    let host = |kind| MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, kind);
    let work = |runs: &Mutex<usize>, ready: &std::sync::Barrier| -> anyhow::Result<f64> {
        let provider = ep::CUDA::default().with_tf32(false).build().error_on_failure();
        let mut session = Session::builder(&environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .with_execution_providers([provider])
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .commit_from_memory(&model.bytes)?;
        let allocator = Allocator::new(&session, host(MemoryType::CPUInput)?)?;
        let mut input = DynTensor::new(&allocator, kind, shape.clone())?;
        let mut binding = session.create_binding()?;
        let output = host(MemoryType::CPUOutput)?;
        let mut run = || -> anyhow::Result<f32> {
            match &rows {
                Rows::Words(rows) => input.try_extract_tensor_mut::<i64>()?.1.copy_from_slice(rows),
                Rows::Numbers(rows) => input.try_extract_tensor_mut::<f32>()?.1.copy_from_slice(rows),
            }
            // Binding copies; an output binding lasts for one run.
            binding.bind_input("x", &input)?;
            binding.synchronize_inputs()?;
            binding.clear_outputs();
            binding.bind_output_to_device(case.output, &output)?;
            let outputs = session.run_binding(&binding)?;
            let (_, numbers) = outputs[case.output].try_extract_tensor::<f32>()?;
            Ok(numbers.iter().sum())
        };
        std::hint::black_box(run()?);
        ready.wait();
        let start = Instant::now();
        loop {
            {
                let mut left = runs.lock().map_err(|_| anyhow::anyhow!("a thread died"))?;
                if *left == 0 {
                    return Ok(start.elapsed().as_secs_f64());
                }
                *left -= 1;
            }
            std::hint::black_box(run()?);
        }
    };
    let (runs, ready) = (Mutex::new(case.rows / case.batch), std::sync::Barrier::new(2));
    let seconds = std::thread::scope(|scope| {
        let threads = [0, 1].map(|_| scope.spawn(|| work(&runs, &ready)));
        let each = threads.map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread died")).flatten());
        each.into_iter().try_fold(0.0, |most: f64, one| Ok::<_, anyhow::Error>(most.max(one?)))
    })?;
    println!("{seconds}");
    Ok(())
}
