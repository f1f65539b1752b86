//! `tidegate publish`

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use tidegate_catalog::{
    dataset::{DatasetRecord, Stamp},
    listings::croissant,
};
use tidegate_exchange::blobs::Served;
use tidegate_ledger::{Store, StoreError};
use tidegate_node::{
    home::Home,
    owner::{
        pace::Pace,
        publish::{Progress, Publication, find, publish},
        survey::survey,
    },
};
use tidegate_protocol::{listing::About, manifest::Layout};

use crate::{
    file,
    numbers::{self, count},
    show::{bytes_bar, plain, report},
};

/// Options of `tidegate publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Parquet, CSV, Excel (.xlsx), Arrow IPC or newline-JSON files, or folders of them; if the policy has tables, TABLE=FILE for
    /// each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Name of the dataset, for people.
    #[arg(long)]
    name: String,
    /// Column of the privacy unit, which says to whom a row belongs.
    #[arg(long)]
    unit: String,
    /// The policy, TOML.
    #[arg(long)]
    policy: PathBuf,
    /// Mock rows to be shared freely: a file or folder; if the policy has tables, TABLE=FILE for each.
    #[arg(long)]
    mock: Vec<PathBuf>,
    /// Preceding version, with which the budget is shared: manifest id or a prefix, or the dataset's name.
    #[arg(long)]
    version_of: Option<String>,
    /// Description: others find the dataset by its words (`tidegate catalog search`).
    #[arg(long, default_value = "")]
    description: String,
    /// Keyword for searches. May be given more than once.
    #[arg(long)]
    keyword: Vec<String>,
    /// Licence for the use of results: a name or an address.
    #[arg(long, default_value = "")]
    license: String,
    /// Croissant file (JSON-LD) with description, keywords and licence.
    #[arg(long, conflicts_with_all = ["description", "keyword", "license"])]
    croissant: Option<PathBuf>,
    /// Print JSON: the manifest id, the assumptions about the files, and the path of the copy for jobs.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let identity = home.identity()?;
    let store = Store::open(home.path(), identity.clone()).map_err(|e| match e {
        // A running node learns only at its start what is published: with the log's entry alone, its datasets would be superseded
        // by a version that it does not have.
        StoreError::InUse => anyhow::anyhow!(
            "the running node (`tidegate serve`) has the ledger open, and loads published versions when it starts. Stop it when `tidegate jobs list` \
             shows no job, publish, and start it again. (`grant`, `revoke`, `retire`, `jobs` and `quarantine` work while it runs.)"
        ),
        other => other.into(),
    })?;
    let about = match &args.croissant {
        None => About { description: args.description, keywords: args.keyword, license: args.license },
        Some(path) => {
            let bytes = file::bytes("--croissant", path)?;
            let said = serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
            let (about, cut) = croissant::about(&said.with_context(|| format!("--croissant {}", path.display()))?).fitted();
            cut.iter().for_each(|word| eprintln!("--croissant: {word}"));
            if about == About::default() {
                eprintln!("--croissant: the file has no description, keywords or license, and a listing uses nothing else of it");
            }
            about
        }
    };
    let what = Publication {
        files: args.files,
        name: args.name,
        unit: args.unit,
        policy: args.policy,
        mock: args.mock,
        version_of: args.version_of.map(|word| find(home, &word).map(|version| version.manifest.id())).transpose()?,
        about,
    };
    let bar = bytes_bar()?;
    let shown = bar.clone();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noted = notes.clone();
    let served = Served::open(&home.blobs()).await?;
    let report = Box::new(move |progress| match progress {
        Progress::Hashing { file, done, total } => report(&shown, &file, done, total),
        Progress::Checking { rows } => shown.set_message(format!("checking: {}", count(rows, "row", "rows"))),
        Progress::Ordering { rows } => {
            shown.set_message(format!("writing a copy ordered by privacy unit: {}", count(rows, "row", "rows")))
        }
        Progress::Noted { words } => noted.lock().unwrap_or_else(PoisonError::into_inner).push(words),
    });
    let published = publish(home, &identity, &store, &served, &what, report).await;
    let shown = bar.clone();
    let counting =
        Box::new(move |rows| shown.set_message(format!("counting the rows within the bounds: {}", count(rows, "row", "rows"))));
    let surveys = match &published {
        Ok(dataset) => Some(survey(dataset, counting).await),
        Err(_) => None,
    };
    bar.finish_and_clear();
    let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    let dataset = published?;
    let surveys = surveys.transpose()?.unwrap_or_default();
    // For the owner alone: the measured time follows from the rows.
    let pace = tokio::task::block_in_place(|| Pace::of(&dataset));
    match &pace {
        Ok(pace) if pace.fits() => {}
        Ok(pace) => eprintln!("warning: {}", pace.words()),
        Err(e) => eprintln!("warning: cannot measure the time of a job: {e}"),
    }
    let manifest = dataset.manifest.body();
    let copy = copy_of(&dataset.record);
    if args.json {
        let copy = copy.map(|(path, bytes)| serde_json::json!({ "path": path, "bytes": bytes }));
        println!(
            "{}",
            serde_json::json!({ "dataset": dataset.manifest.id(), "population": manifest.population, "survey": surveys, "read": notes, "copy": copy })
        );
    } else {
        println!("published {} as {}", manifest.name, dataset.manifest.id());
        notes.iter().for_each(|note| println!("read {}", plain(note)));
        println!(
            "population {}; {}; no value left this machine",
            manifest.population,
            count(manifest.files.count(), "file", "files")
        );
        if let Some(pace) = pace.ok().filter(Pace::fits) {
            println!("{}", pace.words());
        }
        match manifest.files.plain() {
            Some(_) => println!(
                "the manifest has the files' hashes and exact sizes, for copies (access.replicate): a party that sees the manifest, and has a file \
                 except for one value, can test guesses of the value"
            ),
            None => {
                println!(
                    "nobody may copy the files (access.replicate): the manifest names them by keyed hashes, without sizes. The key is in {}: keep a copy of it",
                    home.datasets().join(format!("{}.json", dataset.manifest.id())).display()
                );
                if manifest.files.count() > 1 {
                    println!(
                        "the number and names of the files are public: a file or folder that is there because of one person tells of that person"
                    );
                }
            }
        }
        if let Some((path, bytes)) = copy {
            println!(
                "jobs read a copy of the rows, ordered by privacy unit: {} ({}). `tidegate retire --erase` removes it",
                path.display(),
                numbers::bytes(bytes)
            );
        }
        super::survey::shown(&surveys);
        let before = manifest.previous.map(|id| find(home, &id.to_string())).transpose()?;
        if let (None, Some(before)) = (manifest.files.plain(), before)
            && before.manifest.body().files.plain().is_some()
        {
            println!(
                "the previous version has plain hashes, which remain known: guesses of rows in both versions can be tested with them"
            );
        }
    }
    Ok(())
}

/// Returns the copy for jobs and its size, unless jobs read the published files.
fn copy_of(record: &DatasetRecord) -> Option<(&Path, u64)> {
    let path = record.compute.first().filter(|_| record.content.layout == Layout::Clustered)?;
    Some((path, Stamp::of(path).ok()?.bytes))
}
