//! `tidegate new`

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tidegate_guest::template::Language;

/// What to begin.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// A job: its file, and what says what comes next; where it has a program of one's own, sources and how to build it.
    Job(Job),
    /// An owner's policy: every field, and what it is for.
    Policy {
        /// The file, which is made.
        file: PathBuf,
    },
}

/// A policy to begin with.
const POLICY: &str = include_str!("../../templates/policy.toml");

/// A new job.
#[derive(Debug, clap::Args)]
pub(crate) struct Job {
    /// Its folder, which is made.
    folder: PathBuf,
    /// The language: of a query sql, of a program another.
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
    made.with_context(|| format!("{}: give a file that is not there yet", file.display()))?;
    println!(
        "{} is there: write the dataset's columns and their public bounds into it. What they let count: `tidegate survey DATA --policy {}`",
        file.display(),
        file.display()
    );
    Ok(())
}

fn job(Job { folder, lang }: &Job) -> anyhow::Result<()> {
    std::fs::create_dir(folder).with_context(|| format!("{}: give a folder that is not there yet", folder.display()))?;
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
