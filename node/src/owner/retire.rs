//! Withdrawal of versions and datasets by their owner: an entry of the owner's log, after which nothing is done with them.

use std::{collections::BTreeSet, path::PathBuf};

use tidegate_catalog::dataset;
use tidegate_protocol::{ContentHash, Sha256Digest, receipt::Predicate};

use crate::{
    NodeError,
    error::PublishError,
    file_error,
    home::Home,
    ids,
    owner::{publish::find, spool},
};

/// A withdrawal.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Retired {
    /// Name of the dataset.
    pub name: String,
    /// Dataset lineage.
    pub population: ContentHash,
    /// The version; `None` if the whole dataset was withdrawn.
    pub version: Option<ContentHash>,
    /// Whether the newest was withdrawn: none answers until another is published, unless its policy lets older ones.
    pub newest: bool,
    /// Copies of its rows on this machine, no longer read by any version able to answer; deleted with `erase`.
    pub copies: Vec<PathBuf>,
}

/// Withdraws the version with this manifest id, or with `all` the whole dataset with this name or id.
///
/// From then on no job is run on it, no file copied and no lease given. Paid and finished results stay; receipts can be replayed
/// by those who may. With `erase` the copies of its rows that jobs read are removed too; the published files are their owner's.
///
/// # Errors
/// [`NodeError`] if there is no such version or dataset here, the log cannot be written, or a copy cannot be removed.
pub fn retire(home: &Home, word: &str, all: bool, erase: bool) -> Result<Retired, NodeError> {
    let dataset = find(home, word)?;
    let (id, manifest) = (dataset.manifest.id(), dataset.manifest.body());
    if !all && !ids::names(&id, word) {
        return Err(PublishError::RetiredByName { name: word.to_owned(), newest: id }.into());
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

/// Returns the copies of rows made for the retired versions and read by nothing else: versions of the same files share a copy.
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
