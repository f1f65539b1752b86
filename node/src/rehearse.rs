//! Rehearsal: the identical engine on mock rows, on the buyer's own machine, with everything shown.

use std::{fs::File, path::Path};

use tidegate_gate::{Plan, release};
use tidegate_protocol::{ContentHash, policy::Policy, receipt::Mechanism, result::ResultDoc};

use crate::{
    NodeError, file_error,
    jobfile::JobFile,
    worker::{self, Work},
};

/// What a rehearsal shows.
#[derive(Debug)]
pub struct Rehearsed {
    /// A released result over the mock rows: its noise is what the real one will have.
    pub result: ResultDoc,
    /// The price split and the noise, as the receipt will state them.
    pub mechanism: Mechanism,
    /// What the program said: log lines, traps, defaults used.
    pub lines: Vec<String>,
}

/// Runs `file` on `mock` (Parquet, ordered by unit) under `policy`.
///
/// # Errors
/// [`NodeError::Refused`] with what the owner would answer; [`NodeError::File`] when the mock rows cannot be used.
pub async fn rehearse(file: &JobFile, policy: &Policy, mock: &Path) -> Result<Rehearsed, NodeError> {
    let (job, attachment) = file.job(ContentHash([0; 32]), policy, "0".repeat(32), 0)?;
    let rows = File::open(mock).map_err(|e| file_error(mock, e))?;
    let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| file_error(mock, e))?;
    let attachment = (!attachment.is_empty()).then(|| std::sync::Arc::new(attachment));
    let work = Work { job: job.clone(), policy: policy.clone(), schema, attachment, prf: [0; 32] };
    let checked = worker::check(&work).await?;
    let gate = |e: tidegate_gate::GateError| NodeError::File(e.to_string());
    let plan = Plan::new(checked.shape).map_err(gate)?;
    let calibration = plan.calibrate(job.cost).map_err(gate)?;
    let (sums, lines) = worker::rehearse(&work, &[mock.to_owned()]).await.map_err(|e| file_error(mock, e))?;
    let released = release(&plan, &calibration, &checked.declared, &sums, ContentHash([0; 32])).map_err(gate)?;
    Ok(Rehearsed { result: released.document().clone(), mechanism: plan.mechanism(&calibration), lines })
}
