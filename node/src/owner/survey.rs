//! Survey of how much a policy's bounds let count, in a dataset or in unpublished files. Exact, and so for the owner alone.

use std::path::PathBuf;

use tidegate_catalog::dataset::{self, Dataset, Survey};
use tidegate_protocol::policy::Policy;

use crate::{NodeError, buyer::sample::LaidOut, home::Home};

/// Callback for the number of rows done.
pub type Counting = Box<dyn FnMut(u64) + Send>;

/// Surveys a dataset published here.
///
/// # Errors
/// [`NodeError::Data`] if a file cannot be read.
pub async fn survey(dataset: &Dataset, counting: Counting) -> Result<Vec<Survey>, NodeError> {
    let record = &dataset.record;
    of(record.compute.clone(), dataset.policy.body().clone(), record.dropped.clone(), counting).await
}

/// Surveys files publishable under `policy`. Also returns the assumptions about them, in words.
///
/// # Errors
/// [`NodeError::Data`] if they cannot be published.
pub async fn survey_files(
    home: &Home,
    policy: &Policy,
    files: &[PathBuf],
    counting: Counting,
) -> Result<(Vec<Survey>, Vec<String>), NodeError> {
    let mut laid = LaidOut::new(home, policy, files).await?;
    let notes = std::mem::take(&mut laid.notes);
    Ok((of(laid.files.clone(), policy.clone(), laid.dropped.clone(), counting).await?, notes))
}

async fn of(files: Vec<PathBuf>, policy: Policy, dropped: Vec<u64>, mut counting: Counting) -> Result<Vec<Survey>, NodeError> {
    let work = tokio::task::spawn_blocking(move || dataset::survey(&files, &policy, &dropped, &mut counting));
    Ok(work.await.map_err(NodeError::Task)??)
}
