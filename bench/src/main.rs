//! Side-by-side measurements. Each prints a ratio against a floor of the same run; never compare the seconds of two machines.
//!
//! `tidegate-bench [sql|lineitem|cluster|wasm|fuel|rows|blocks|onnx|blobs|log|listings]…`, all if none is named.
//! `TIDEGATE_BENCH_ROWS`, `TIDEGATE_BENCH_UNITS`, `TIDEGATE_BENCH_ENTRIES`, `TIDEGATE_BENCH_LISTINGS` and `TIDEGATE_BENCH_MIB`
//! scale the measurements down. `tidegate-bench generate ROWS FILE` writes rows whose units lie anywhere, for `large.py`.

mod blobs;
mod cluster;
mod fuel;
mod lineitem;
mod listings;
mod log;
mod measure;
mod native;
mod networks;
mod onnx;
mod sql;
mod wasm;

fn main() -> anyhow::Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let [generate, rows, path] = asked.as_slice()
        && generate == "generate"
    {
        return cluster::generate(path.as_ref(), rows.parse()?);
    }
    if let [audit, folder, entries] = asked.as_slice()
        && audit == "audit-log"
    {
        return log::audit(folder.as_ref(), entries.parse()?);
    }
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    println!("{} processors", std::thread::available_parallelism()?);
    if wanted("sql") {
        sql::run(number("TIDEGATE_BENCH_ROWS", 10_000_000)?)?;
    }
    if wanted("lineitem") {
        lineitem::run(number("TIDEGATE_BENCH_ROWS", 10_000_000)? * 6 / 10)?;
    }
    if wanted("cluster") {
        cluster::run(number("TIDEGATE_BENCH_ROWS", 10_000_000)?)?;
    }
    if wanted("wasm") {
        wasm::run(number("TIDEGATE_BENCH_UNITS", 1_000_000)?)?;
    }
    if wanted("fuel") {
        fuel::run()?;
    }
    if wanted("rows") {
        native::rows(number("TIDEGATE_BENCH_ROWS", 10_000_000)?)?;
    }
    if wanted("blocks") {
        native::blocks(number("TIDEGATE_BENCH_ROWS", 10_000_000)? / 5)?;
    }
    if wanted("onnx") {
        onnx::run(number("TIDEGATE_BENCH_UNITS", 1_000_000)?)?;
    }
    if wanted("blobs") {
        blobs::run(number("TIDEGATE_BENCH_MIB", 1024)?)?;
    }
    if wanted("log") {
        log::run(number("TIDEGATE_BENCH_ENTRIES", 1_000_000)?)?;
    }
    if wanted("listings") {
        listings::run(number("TIDEGATE_BENCH_LISTINGS", 100_000)?)?;
    }
    Ok(())
}

fn number(variable: &str, default: usize) -> anyhow::Result<usize> {
    Ok(std::env::var(variable).map_or(Ok(default), |v| v.parse())?)
}
