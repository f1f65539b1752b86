//! Rows a second through the runner's protocol against ONNX Runtime called directly, same threads, same runs.

use anyhow::Context;
use arrow::array::Float32Array;
use ort::{session::Session, value::Tensor};
use tidegate_gpu_runner::{client::Client, library};

use crate::best;

const FEATURES: usize = 5;
const RUNS: usize = 4000;

pub(crate) fn run() -> anyhow::Result<()> {
    if !library::is_quiet() {
        let mut quiet = std::process::Command::new(std::env::current_exe()?);
        let status = quiet.arg("onnx").env(library::QUIET.0, library::QUIET.1).status()?;
        anyhow::ensure!(status.success(), "the benchmark of models failed");
        return Ok(());
    }
    let Some(library) = library::find() else {
        println!("onnx: SKIPPED, no ONNX Runtime here. {}", library::HOW_TO);
        anyhow::ensure!(std::env::var_os("REQUIRE_ORT").is_none(), "ONNX Runtime is required");
        return Ok(());
    };
    let model = std::fs::read(tidegate_fixtures::path("models/heavy_user.onnx"))?;
    let tidegate = std::env::current_exe()?.with_file_name("tidegate");
    anyhow::ensure!(tidegate.exists(), "{} is missing: `cargo build --release -p tidegate-cli` first", tidegate.display());
    let environment = ort::init_from(&library)?.with_telemetry(false).build()?;
    let mut session =
        Session::builder(&environment)?.with_intra_threads(1).map_err(|e| anyhow::anyhow!("{e}"))?.commit_from_memory(&model)?;
    for rows in [1usize, 4, 64, 1024] {
        let runs = (RUNS / rows.min(64)).max(8);
        let columns: Vec<Float32Array> =
            (0..FEATURES).map(|f| (0..runs * rows).map(|i| ((i * (f + 3)) % 97) as f32).collect::<Float32Array>()).collect();
        let mut child = std::process::Command::new(&tidegate)
            .arg("runner")
            .arg(&library)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let (to, from) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let mut client = Client::load(to, from, &model, FEATURES as u32, "score", 0)?;
        let sizes = vec![rows as u32; runs];
        let through = best(3, || Ok(client.score(&columns, &sizes)?))?;
        let direct = best(3, || {
            for run in 0..runs {
                let mut values = Vec::with_capacity(rows * FEATURES);
                for row in run * rows..(run + 1) * rows {
                    values.extend(columns.iter().map(|c| c.value(row)));
                }
                let input = Tensor::from_array(([rows, FEATURES], values))?;
                std::hint::black_box(session.run(ort::inputs![input])?);
            }
            Ok(())
        })?;
        drop(client);
        let _ = child.wait();
        println!(
            "onnx: runs of {rows} rows: runner {:.0} rows/s, direct {:.0} rows/s: {:.2}×",
            (runs * rows) as f64 / through,
            (runs * rows) as f64 / direct,
            direct / through
        );
    }
    Ok(())
}
