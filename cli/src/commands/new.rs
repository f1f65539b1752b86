//! `tidegate new`

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tidegate_guest::template::Language;

/// Commands for new files.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Create a job: its file, and notes on the next steps; for your own program, also sources and how to build them.
    Job(Job),
    /// Create an owner's policy, with every field and its purpose.
    Policy {
        /// File to create.
        file: PathBuf,
    },
}

/// Template of a policy.
pub(super) const POLICY: &str = include_str!("../../templates/policy.toml");

/// Options of `tidegate new job`.
#[derive(Debug, clap::Args)]
pub(crate) struct Job {
    /// Folder to create.
    folder: PathBuf,
    /// Language: sql for a query, another for a program.
    #[arg(long, value_parser = language)]
    lang: Language,
}

fn language(text: &str) -> Result<Language, String> {
    let known = Language::ALL.map(Language::name).join(", ");
    Language::ALL.into_iter().find(|one| one.name() == text).ok_or(format!("known are {known}"))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args {
        Args::Job(args) => job(args),
        Args::Policy { file } => policy(file),
    }
}

fn policy(file: &Path) -> anyhow::Result<()> {
    let made = File::create_new(file).and_then(|mut made| made.write_all(POLICY.as_bytes()));
    made.with_context(|| format!("{}: give the name of a new file", file.display()))?;
    println!(
        "wrote {}: add the dataset's columns and their public bounds. `tidegate survey DATA --policy {}` shows how many rows they count",
        file.display(),
        file.display()
    );
    Ok(())
}

fn job(Job { folder, lang }: &Job) -> anyhow::Result<()> {
    std::fs::create_dir(folder).with_context(|| format!("{}: give the name of a new folder", folder.display()))?;
    for (path, text) in lang.files() {
        let path = folder.join(path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| path.display().to_string())?;
    }
    if lang.build().is_empty() {
        println!("{} is there: write the dataset and the query into job.toml; README.md says what comes next", folder.display());
        return Ok(());
    }
    println!("{} is there. To build it:\n  cd {}", folder.display(), folder.display());
    lang.build().iter().for_each(|line| println!("  {line}"));
    println!("then write the dataset and columns into job.toml; README.md says what comes next");
    Ok(())
}
