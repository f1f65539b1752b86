//! Rows or people published again: their budget would exist twice.

use tidegate_audit::lineage::NotInForce;
use tidegate_catalog::dataset;
use tidegate_ledger::Store;
use tidegate_protocol::{ContentHash, Identity, manifest::DataFile};

use crate::{
    NodeError,
    error::{FileAdvice, PublishError},
};

/// Checks that no file is part of another dataset, whose budget protects the same people.
pub(super) fn not_published(
    all: &[dataset::Dataset],
    described: &[DataFile],
    lineage: Option<ContentHash>,
    (identity, store): (&Identity, &Store),
) -> Result<(), NodeError> {
    for other in all.iter().filter(|d| Some(d.manifest.body().population) != lineage) {
        if let Some(file) = described.iter().find(|f| other.record.content.published.iter().any(|o| o.hash == f.hash)) {
            let advice = if other.manifest.signer() != identity.id() {
                FileAdvice::Owner(other.manifest.signer())
            } else if is_ended(store, other)? {
                FileAdvice::Retired
            } else {
                FileAdvice::VersionOf(other.manifest.id())
            };
            let name = other.manifest.body().name.clone();
            return Err(PublishError::FilePublished { file: file.name.clone(), name, advice }.into());
        }
    }
    Ok(())
}

/// Percentage of common units from which another dataset may be about the same people.
pub(super) const SAME_PEOPLE: u64 = 50;

pub(super) fn same_people(share: u64, other: &dataset::Dataset) -> String {
    let (name, id) = (&other.manifest.body().name, other.manifest.id());
    format!(
        "about {share} % of the privacy units have the same ids as in {name:?}. If they are the same people, this budget adds to the other: retire \
         one of the two datasets, or publish with --version-of {id}"
    )
}

/// Returns whether a dataset is retired as a whole.
pub(super) fn is_ended(store: &Store, dataset: &dataset::Dataset) -> Result<bool, NodeError> {
    let lineage = store.lineage(&dataset.manifest.body().population)?;
    Ok(lineage.is_some_and(|lineage| lineage.kept(&dataset.manifest.id()) == Err(NotInForce::Ended)))
}
