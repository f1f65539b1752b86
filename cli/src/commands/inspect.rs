//! `tidegate inspect`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use tidegate_node::buyer::inspect::{ComponentSeen, ModelSeen, Proof, RowFunction, Seen, Verdict, inspect};

use crate::{
    numbers::{bytes, count},
    show::plain,
};

/// Options of `tidegate inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component, core module with a row function, or ONNX model.
    file: PathBuf,
    /// Memory of an instance under an owner's policy, in MiB.
    #[arg(long, default_value_t = 16)]
    memory_mib: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let memory = args
        .memory_mib
        .checked_mul(1 << 20)
        .with_context(|| format!("--memory-mib {} is too large: give at most {}", args.memory_mib, usize::MAX >> 20))?;
    let seen = inspect(&args.file, memory)?;
    if args.json {
        println!("{}", serde_json::to_string(&seen)?);
    } else {
        match &seen {
            Seen::Component(seen) => component(seen),
            Seen::Model(seen) => model(seen),
        }
    }
    Ok(if seen.is_taken() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn component(seen: &ComponentSeen) {
    let functions = seen.functions.map_or(String::new(), |functions| format!(", {}", count(functions, "function", "functions")));
    println!("{}  {}{functions}", seen.hash, bytes(seen.size as u64));
    seen.imports.iter().for_each(|name| println!("  imports {}", plain(name)));
    seen.exports.iter().for_each(|name| println!("  exports {}", plain(name)));
    if let Some(RowFunction { takes, gives, proof }) = &seen.row {
        println!("  a row function of {} to {gives}", count(takes, "number", "numbers"));
        match proof {
            Proof::Bounded(most) => {
                println!("  proven to keep no state, and to take at most {most} of fuel: called for many rows at once")
            }
            Proof::Stateless => println!("  proven to keep no state; it may loop: one instance for all people, fuel for each"),
            Proof::Unproven(why) => println!("  not proven to keep no state ({why}): a fresh instance for each person"),
        }
    }
    match &seen.refused {
        None if seen.row.is_some() => {}
        None => println!("  of world tidegate:job: a fresh instance for each unit or block"),
        Some(refusal) => println!("  refused: {}", plain(&refusal.to_string())),
    }
}

fn model(seen: &ModelSeen) {
    println!("{}  {}, {}", seen.hash, bytes(seen.size as u64), count(seen.nodes, "operator", "operators"));
    seen.inputs.iter().for_each(|input| println!("  input {}", plain(input)));
    if seen.best != Verdict::Reject {
        let operations = count(seen.operations, "operation", "operations");
        println!("  a row takes {operations} and {}; weights take {}", bytes(seen.bytes), bytes(seen.weights));
    }
    for output in &seen.outputs {
        let numbers = count(output.numbers.unwrap_or_default(), "number", "numbers");
        let of = if output.by_row == Some(true) { "a row" } else { "a run" };
        let name = plain(&output.name);
        match (&output.refused, &output.mixed_by) {
            (Some(why), _) => println!("  output {name}: refused: {}", plain(why)),
            (None, Some(node)) => println!("  output {name}: {numbers} {of}; {} may mix rows", plain(node)),
            (None, None) => println!("  output {name}: {numbers} {of}, of that row alone"),
        }
    }
    let of = seen.worst.as_ref().map_or(String::new(), |name| format!("at worst, of output {}: ", plain(name)));
    println!(
        "  {of}{}",
        match seen.verdict {
            Verdict::RowIndependent => "row-independent: proven, and rows of all people run together",
            Verdict::PerUnitOnly => "per-unit-only: a run for each privacy unit or block, if the owner accepts such models",
            Verdict::Reject => "reject",
        }
    );
    if let (Some(_), Verdict::RowIndependent | Verdict::PerUnitOnly) = (&seen.worst, seen.best) {
        println!("  a job is checked by the outputs that it names: others may differ");
    } else if let Some(refusal) = &seen.refused {
        println!("  {}", plain(&refusal.to_string()));
    }
}
