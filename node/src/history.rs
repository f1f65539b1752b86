//! A dataset's versions, and what differs between two of them, by schema and files: what their manifests say, no rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidegate_protocol::{ContentHash, Signed, manifest::Manifest};

use crate::NodeError;

/// The versions of the dataset of this name, manifest or population, the first published first.
///
/// # Errors
/// [`NodeError::File`] where there is none.
pub fn versions(all: Vec<Signed<Manifest>>, word: &str) -> Result<Vec<Signed<Manifest>>, NodeError> {
    let named =
        |m: &Signed<Manifest>| m.body().name == word || m.id().to_string() == word || m.body().population.to_string() == word;
    let Some(population) = all.iter().find(|m| named(m)).map(|m| m.body().population) else {
        let known: BTreeSet<_> = all.iter().map(|m| m.body().name.as_str()).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(NodeError::File(format!("no dataset {word:?} there. It has: {}", known.join(", "))));
    };
    let mut left: Vec<_> = all.into_iter().filter(|m| m.body().population == population).collect();
    let (mut ordered, mut last) = (Vec::<Signed<Manifest>>::new(), None);
    // Each names the one before it; what does not hang together comes last, by time.
    while let Some(next) = left.iter().position(|m| m.body().previous == last) {
        let next = left.remove(next);
        last = Some(next.id());
        ordered.push(next);
    }
    left.sort_by(|a, b| a.body().published.cmp(&b.body().published));
    ordered.extend(left);
    Ok(ordered)
}

/// What differs from one version to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Columns that came, with their types.
    pub columns_added: BTreeMap<String, String>,
    /// Columns that went.
    pub columns_removed: BTreeMap<String, String>,
    /// Columns whose type changed: before and after.
    pub columns_changed: BTreeMap<String, (String, String)>,
    /// Files that came: name and bytes.
    pub files_added: BTreeMap<String, u64>,
    /// Files that went.
    pub files_removed: BTreeMap<String, u64>,
    /// Files that both have, whatever they are called: what a holder of the one need not fetch again.
    pub bytes_shared: u64,
    /// Bytes of the later one.
    pub bytes: u64,
    /// Whether another policy is in force.
    pub policy_changed: bool,
    /// Whether there are other mock rows.
    pub mock_changed: bool,
}

/// What differs from `before` to `after`.
pub fn difference(before: &Manifest, after: &Manifest) -> Difference {
    let columns = |m: &Manifest| m.schema.iter().map(|c| (c.name.clone(), c.arrow.clone())).collect::<BTreeMap<_, _>>();
    let without = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        a.iter().filter(|(name, _)| !b.contains_key(*name)).map(|(name, kind)| (name.clone(), kind.clone())).collect()
    };
    let (old, new) = (columns(before), columns(after));
    let hashes = |m: &Manifest| m.files.iter().map(|file| file.hash).collect::<BTreeSet<ContentHash>>();
    let (held, wanted) = (hashes(before), hashes(after));
    let files = |m: &Manifest, other: &BTreeSet<ContentHash>| {
        let only = m.files.iter().filter(|file| !other.contains(&file.hash));
        only.map(|file| (file.table.iter().chain([&file.name]).cloned().collect::<Vec<_>>().join("/"), file.bytes)).collect()
    };
    Difference {
        columns_changed: new
            .iter()
            .filter_map(|(name, kind)| Some((name.clone(), (old.get(name).filter(|was| *was != kind)?.clone(), kind.clone()))))
            .collect(),
        columns_added: without(&new, &old),
        columns_removed: without(&old, &new),
        files_added: files(after, &held),
        files_removed: files(before, &wanted),
        bytes_shared: after.files.iter().filter(|file| held.contains(&file.hash)).map(|file| file.bytes).sum(),
        bytes: after.files.iter().map(|file| file.bytes).sum(),
        policy_changed: before.policy != after.policy,
        mock_changed: before.mock != after.mock,
    }
}
