//! Worst-case time of a unit of fuel: programs made only of instructions slow for processors, in nanoseconds per unit, beside the
//! assumed time of a unit.

use tidegate_sandbox::wasm::{UNIT, measure};

pub(crate) fn run() -> anyhow::Result<()> {
    let mut worst = 0f64;
    for case in measure(true).map_err(anyhow::Error::msg)? {
        let (took, times) = (case.nanoseconds, case.nanoseconds / UNIT);
        worst = worst.max(took);
        println!("fuel: {} ({:?}): {took:.2} ns a unit, {times:.2} × what it is taken to be", case.what, case.layout);
    }
    println!(
        "fuel: {worst:.2} ns a unit at worst, {:.2} × what it is taken to be; a slot has 2.1 × that for calls",
        worst / UNIT
    );
    Ok(())
}
