//! Repeated releases of a job on the caller's own data: no node, no ledger, no release interval. For auditing the noise of this
//! very binary.

use std::{fs::File, path::PathBuf};

use tidegate_catalog::dataset::{self, TableFiles};
use tidegate_gate::Split;
use tidegate_protocol::{ContentHash, policy::Policy, receipt::Mechanism, result::ResultDoc};

use crate::{
    NodeError,
    buyer::{check, job_file::JobFile},
    corrupt, file_error,
    home::Home,
    worker::Workers,
};

/// Runs `file` once over `data` and releases its sums `runs` times, each with fresh noise.
///
/// `data` may have any format and order that can be published.
///
/// # Errors
/// [`NodeError::Refused`] with an owner's answer; [`NodeError::Data`] if the files cannot be published.
pub async fn sample(
    home: &Home,
    file: &JobFile,
    policy: &Policy,
    data: &[PathBuf],
    runs: u64,
    mut each: impl FnMut(&ResultDoc),
) -> Result<(Mechanism, Split), NodeError> {
    let laid = LaidOut::new(home, policy, data).await?;
    releases(home, file, policy, &laid.files, runs, &mut each).await
}

/// Files in the form in which jobs read them. The copy is removed on drop.
pub(crate) struct LaidOut {
    pub(crate) files: Vec<PathBuf>,
    /// Number of rows of each table left out for lack of a unit.
    pub(crate) dropped: Vec<u64>,
    /// Assumptions about the original files, in words for their owner.
    pub(crate) notes: Vec<String>,
    copy: PathBuf,
}

impl LaidOut {
    /// Lays out any files publishable under `policy`.
    pub(crate) async fn new(home: &Home, policy: &Policy, data: &[PathBuf]) -> Result<Self, NodeError> {
        Self::of(home, policy, dataset::tables(data, policy)?).await
    }

    /// Lays out these files.
    pub(crate) async fn of(home: &Home, policy: &Policy, tables: Vec<TableFiles>) -> Result<Self, NodeError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(NodeError::Entropy)?;
        let copy = home.path().join(format!("laid-out.{}.parquet", hex::encode(random)));
        let mut laid = Self { files: vec![], dropped: vec![], notes: vec![], copy: copy.clone() };
        let policy = policy.clone();
        let profile = tokio::task::spawn_blocking(move || dataset::profile(&tables, &policy, None, &copy, &mut |_, _| {}));
        let profile = profile.await.map_err(NodeError::Task)??;
        (laid.files, laid.dropped, laid.notes) = (profile.compute, profile.dropped, profile.notes);
        Ok(laid)
    }
}

impl Drop for LaidOut {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.copy);
    }
}

async fn releases(
    home: &Home,
    file: &JobFile,
    policy: &Policy,
    files: &[PathBuf],
    runs: u64,
    each: &mut impl FnMut(&ResultDoc),
) -> Result<(Mechanism, Split), NodeError> {
    let first = files.first().ok_or(NodeError::NoRows)?;
    let rows = File::open(first).map_err(|e| file_error(first, e))?;
    let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| corrupt(first, e))?;
    // Own rows have no manifest: the job's name for the dataset is used.
    let schema = check::published(&schema, &file.dataset);
    let planned = check::plan(home, file, policy, schema).await?;
    let (sums, _) = Workers::default().rehearse(&planned.work, files).await.map_err(NodeError::NotRun)?;
    for _ in 0..runs {
        let released = planned.terms.release(&planned.plan, &planned.checked.declared, &sums, ContentHash([0; 32]));
        each(released?.document());
    }
    Ok((planned.mechanism(), planned.split()))
}
