//! What a policy's bounds let count, of a dataset or of files before they are published. Exact, and so for the owner alone.

use std::path::PathBuf;

use tidegate_catalog::dataset::{self, Dataset, Survey};
use tidegate_protocol::policy::Policy;

use crate::{NodeError, home::Home, sample::LaidOut};

/// Is told the rows done.
pub type Counting = Box<dyn FnMut(u64) + Send>;

/// Of a dataset that was published here.
///
/// # Errors
/// [`NodeError::Data`] where a file cannot be read.
pub async fn survey(dataset: &Dataset, counting: Counting) -> Result<Vec<Survey>, NodeError> {
    let record = &dataset.record;
    of(record.compute.clone(), dataset.policy.body().clone(), record.dropped.clone(), counting).await
}

/// Of files that could be published under `policy`, and what was assumed of them, in words.
///
/// # Errors
/// [`NodeError::Data`] where they could not.
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
    Ok(work.await.map_err(|e| NodeError::File(e.to_string()))??)
}
