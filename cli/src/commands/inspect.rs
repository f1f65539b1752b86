//! `tidegate inspect`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use tidegate_node::inspect::inspect;

use crate::show::plain;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component.
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
    println!("{}  {} bytes", seen.hash, seen.size);
    seen.imports.iter().for_each(|name| println!("  imports {}", plain(name)));
    seen.exports.iter().for_each(|name| println!("  exports {}", plain(name)));
    match &seen.refused {
        None => println!("  of world tidegate:job: a fresh instance for each unit or block"),
        Some(refusal) => println!("  refused: {}", plain(&refusal.to_string())),
    }
    Ok(code)
}
