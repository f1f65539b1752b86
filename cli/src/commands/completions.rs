//! `tidegate completions`, `tidegate man`: what shells and `man` read, made from the commands themselves.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

/// Options of `tidegate completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell whose completion script is printed.
    shell: Shell,
}

/// Options of `tidegate man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Folder in which the pages are written, one for each command; made if it is not there.
    folder: PathBuf,
}

/// Prints the completion script of a shell.
pub(crate) fn run(args: &Args, mut program: Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "tidegate", &mut script);
    println!("{}", String::from_utf8_lossy(&script).trim_end());
}

/// Writes a manual page for the program and for each of its commands.
///
/// # Errors
/// Returns what making the folder or writing a page fails with.
pub(crate) fn man(args: &ManArgs, program: Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    clap_mangen::generate_to(program.disable_help_subcommand(true), &args.folder)
        .with_context(|| args.folder.display().to_string())
}
