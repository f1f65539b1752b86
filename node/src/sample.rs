//! Repeated releases of a job on data that one holds oneself: no node, no ledger, no tick. For auditing the noise of the very binary one runs.

use std::{fs::File, path::PathBuf};

use tidegate_catalog::dataset;
use tidegate_protocol::{ContentHash, policy::Policy, receipt::Mechanism, result::ResultDoc};

use crate::{NodeError, check, file_error, home::Home, jobfile::JobFile, worker};

/// Runs `file` once over `data` (any format and order that can be published) and releases its sums `runs` times, each with fresh noise.
///
/// # Errors
/// [`NodeError::Refused`] with what an owner would answer; [`NodeError::Data`] where the files could not be published.
pub async fn sample(
    home: &Home,
    file: &JobFile,
    policy: &Policy,
    data: &[PathBuf],
    runs: u64,
    mut each: impl FnMut(&ResultDoc),
) -> Result<Mechanism, NodeError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| NodeError::File(e.to_string()))?;
    let derived = home.path().join(format!("sample.{}.parquet", hex::encode(random)));
    let (files, rules, copy) = (dataset::expand(data)?, policy.clone(), derived.clone());
    let profile = tokio::task::spawn_blocking(move || dataset::profile(&files, &rules, &copy, &mut |_, _| {}));
    let profile = profile.await.map_err(|e| NodeError::File(e.to_string()))?;
    let outcome = match profile {
        Ok(profile) => releases(file, policy, &profile.compute, runs, &mut each).await,
        Err(e) => Err(e.into()),
    };
    let _ = std::fs::remove_file(&derived);
    outcome
}

async fn releases(
    file: &JobFile,
    policy: &Policy,
    files: &[PathBuf],
    runs: u64,
    each: &mut impl FnMut(&ResultDoc),
) -> Result<Mechanism, NodeError> {
    let first = files.first().ok_or_else(|| NodeError::File("no files".into()))?;
    let rows = File::open(first).map_err(|e| file_error(first, e))?;
    let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| file_error(first, e))?;
    let planned = check::plan(file, policy, schema).await?;
    let (sums, _) = worker::rehearse(&planned.work, files).await.map_err(|e| file_error(first, e))?;
    let gate = |e: tidegate_gate::GateError| NodeError::File(e.to_string());
    for _ in 0..runs {
        let released = planned.terms.release(&planned.plan, &planned.checked.declared, &sums, ContentHash([0; 32]));
        each(released.map_err(gate)?.document());
    }
    Ok(planned.mechanism())
}
