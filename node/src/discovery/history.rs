//! Versions of a dataset and their differences in schema and files, according to their manifests: no rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidegate_protocol::{
    Signed,
    manifest::{Content, Files, Manifest},
};

use crate::{NodeError, error::NoSuchDataset, ids};

/// Returns the versions of the dataset with this name, manifest id or lineage id, first published first.
///
/// # Errors
/// [`NodeError::NoSuchDataset`] if there is none.
pub fn versions(all: Vec<Signed<Manifest>>, word: &str) -> Result<Vec<Signed<Manifest>>, NodeError> {
    let named = |m: &&Signed<Manifest>| m.body().name == word || ids::names(&m.body().population, word);
    let found = match all.iter().find(named) {
        Some(found) => Some(found),
        None => ids::only(&all, |m| m.id(), word)?,
    };
    let Some(population) = found.map(|m| m.body().population) else {
        let known: BTreeSet<_> = all.iter().map(|m| m.body().name.clone()).collect();
        return Err(NoSuchDataset::There { name: word.to_owned(), known: known.into_iter().collect() }.into());
    };
    let mut left: Vec<_> = all.into_iter().filter(|m| m.body().population == population).collect();
    let (mut ordered, mut last) = (Vec::<Signed<Manifest>>::new(), None);
    // Each names its predecessor; versions outside the chain come last, by time.
    while let Some(next) = left.iter().position(|m| m.body().previous == last) {
        let next = left.remove(next);
        last = Some(next.id());
        ordered.push(next);
    }
    left.sort_by(|a, b| a.body().published.cmp(&b.body().published));
    ordered.extend(left);
    Ok(ordered)
}

/// Differences between two versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Added columns, with their types.
    pub columns_added: BTreeMap<String, String>,
    /// Removed columns, with their types.
    pub columns_removed: BTreeMap<String, String>,
    /// Columns whose type changed: types before and after.
    pub columns_changed: BTreeMap<String, (String, String)>,
    /// Added files: name, and number of bytes where somebody may copy them.
    ///
    /// If nobody may copy one of the two versions, these are the files with new names; whether the others are the same is not
    /// disclosed.
    pub files_added: BTreeMap<String, Option<u64>>,
    /// Removed files, likewise.
    pub files_removed: BTreeMap<String, Option<u64>>,
    /// Bytes of files in both versions, whatever their names: a holder of one need not fetch them again. `None` if not disclosed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_shared: Option<u64>,
    /// Bytes of the later version. `None` if nobody may copy it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether the policy differs.
    pub policy_changed: bool,
    /// Whether the mock rows differ.
    pub mock_changed: bool,
}

type Sizes = BTreeMap<String, Option<u64>>;

/// Returns the added and the removed files, and the bytes common to both versions where these can be seen.
fn files(before: &Files, after: &Files) -> (Sizes, Sizes, Option<u64>) {
    let path = |table: Option<&str>, name: &str| table.into_iter().chain([name]).collect::<Vec<_>>().join("/");
    let (Some(old), Some(new)) = (before.plain(), after.plain()) else {
        let names = |files: &Files| files.published().map(|(table, name, bytes)| (path(table, name), bytes)).collect::<Sizes>();
        let (old, new) = (names(before), names(after));
        let only = |of: &Sizes, other: &Sizes| {
            of.iter().filter(|(name, _)| !other.contains_key(*name)).map(|(n, b)| (n.clone(), *b)).collect()
        };
        return (only(&new, &old), only(&old, &new), None);
    };
    let hashes = |content: &Content| content.published.iter().map(|file| file.hash).collect::<BTreeSet<_>>();
    let (held, wanted) = (hashes(old), hashes(new));
    let only = |content: &Content, other: &BTreeSet<_>| {
        let only = content.published.iter().filter(|file| !other.contains(&file.hash));
        only.map(|file| (path(file.table.as_deref(), &file.name), Some(file.bytes))).collect()
    };
    let shared = new.published.iter().filter(|file| held.contains(&file.hash)).map(|file| file.bytes).sum();
    (only(new, &held), only(old, &wanted), Some(shared))
}

/// Returns the differences from `before` to `after`.
pub fn difference(before: &Manifest, after: &Manifest) -> Difference {
    let columns = |m: &Manifest| m.schema.iter().map(|c| (c.name.clone(), c.arrow.clone())).collect::<BTreeMap<_, _>>();
    let without = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        a.iter().filter(|(name, _)| !b.contains_key(*name)).map(|(name, kind)| (name.clone(), kind.clone())).collect()
    };
    let (old, new) = (columns(before), columns(after));
    let (files_added, files_removed, bytes_shared) = files(&before.files, &after.files);
    Difference {
        columns_changed: new
            .iter()
            .filter_map(|(name, kind)| Some((name.clone(), (old.get(name).filter(|was| *was != kind)?.clone(), kind.clone()))))
            .collect(),
        columns_added: without(&new, &old),
        columns_removed: without(&old, &new),
        files_added,
        files_removed,
        bytes_shared,
        bytes: after.files.bytes(),
        policy_changed: before.policy != after.policy,
        mock_changed: before.mock != after.mock,
    }
}
