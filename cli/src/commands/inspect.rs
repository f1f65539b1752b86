//! `tidegate inspect`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use tidegate_node::inspect::{Proof, RowFunction, inspect};

use crate::show::plain;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component, or core module with a row function.
    file: PathBuf,
    /// Memory that an owner's policy gives an instance, in MiB.
    #[arg(long, default_value_t = 16)]
    memory_mib: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let memory = args.memory_mib.checked_mul(1 << 20).context("--memory-mib is too large")?;
    let seen = inspect(&args.file, memory)?;
    let code = if seen.refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        println!("{}", serde_json::to_string(&seen)?);
        return Ok(code);
    }
    let functions = seen.functions.map_or(String::new(), |functions| format!(", {functions} functions"));
    println!("{}  {} bytes{functions}", seen.hash, seen.size);
    seen.imports.iter().for_each(|name| println!("  imports {}", plain(name)));
    seen.exports.iter().for_each(|name| println!("  exports {}", plain(name)));
    if let Some(RowFunction { takes, gives, proof }) = &seen.row {
        println!("  a row function of {takes} numbers to {gives}");
        match proof {
            Proof::Bounded(most) => {
                println!("  proven to keep no state, and to execute at most {most} instructions: called for many rows at once")
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
    Ok(code)
}
