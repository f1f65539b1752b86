//! Versions and datasets that their owner withdraws: an entry of its log, after which nothing is done by them.

use std::{collections::BTreeSet, path::PathBuf};

use tidegate_catalog::dataset;
use tidegate_protocol::{ContentHash, Sha256Digest, receipt::Predicate};

use crate::{NodeError, file_error, home::Home, ids, publish::find, spool};

/// What was withdrawn.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Retired {
    /// The dataset's name.
    pub name: String,
    /// Its population.
    pub population: ContentHash,
    /// The version; none where all of it was.
    pub version: Option<ContentHash>,
    /// Whether it was the newest: none answers until another is published, unless its policy lets older ones.
    pub newest: bool,
    /// Copies of its rows on this machine, which no version reads that still may answer; gone where they were to be erased.
    pub copies: Vec<PathBuf>,
}

/// Withdraws the version of this manifest id, or with `all` the whole dataset of this name or id: no job is run on it from here on, no file copied and no lease
/// given. What was paid for and is done already stays; receipts can be replayed by those who may.
///
/// With `erase` the copies of its rows that jobs read are removed too; the published files are their owner's.
///
/// # Errors
/// [`NodeError`] where there is no such one here, the log could not be written, or a copy could not be removed.
pub fn retire(home: &Home, word: &str, all: bool, erase: bool) -> Result<Retired, NodeError> {
    let dataset = find(home, word)?;
    let (id, manifest) = (dataset.manifest.id(), dataset.manifest.body());
    if !all && !ids::names(&id, word) {
        return Err(NodeError::File(format!(
            "{word:?} names a dataset: give the manifest id of the version to retire (the newest is {id}), or --all for all of it"
        )));
    }
    let population = manifest.population;
    let last = dataset::load_all(&home.datasets())?.into_iter().rev().find(|d| d.manifest.body().population == population);
    let newest = last.is_some_and(|last| last.manifest.id() == id);
    let version = (!all).then_some(id);
    let says = Predicate::Retirement { population, manifest: version };
    let (name, subject) = match version {
        Some(_) => ("dataset manifest", dataset.manifest.envelope().payload_sha256()),
        None => ("population", Sha256Digest::of(population.to_string().as_bytes())),
    };
    spool::say(home, &spool::Word::record(name, subject, says))?;
    let copies = copies(home, &dataset, all)?;
    if erase {
        for copy in &copies {
            std::fs::remove_file(copy).map_err(|e| file_error(copy, e))?;
        }
    }
    Ok(Retired { name: manifest.name.clone(), population, version, newest, copies })
}

/// Copies of rows that were made for what is retired and that nothing else reads: two versions of the same files have one.
fn copies(home: &Home, retired: &dataset::Dataset, all: bool) -> Result<Vec<PathBuf>, NodeError> {
    let (id, population, folder) = (retired.manifest.id(), retired.manifest.body().population, home.datasets());
    let made = |dataset: &dataset::Dataset| {
        let record = &dataset.record;
        let files = record.compute.iter().chain(&record.mock).filter(|file| file.starts_with(&folder)).cloned();
        files.collect::<BTreeSet<_>>()
    };
    let (mut gone, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for dataset in dataset::load_all(&folder)? {
        let body = dataset.manifest.body();
        let goes = if all { body.population == population } else { dataset.manifest.id() == id };
        if goes { gone.extend(made(&dataset)) } else { kept.extend(made(&dataset)) }
    }
    Ok(gone.difference(&kept).filter(|file| file.exists()).cloned().collect())
}
