//! Rehearsal: the identical engine on mock rows, on the buyer's own machine, with everything shown.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use tidegate_gate::Split;
use tidegate_protocol::{ContentHash, policy::Policy, receipt::Mechanism, result::ResultDoc};

pub use tidegate_sandbox::{Fuel, Rehearsal};

use crate::{
    NodeError,
    answer::Answer,
    check, file_error,
    home::Home,
    jobfile::JobFile,
    sample::{LaidOut, not_run},
    training::Weights,
    worker::Workers,
};

/// What a rehearsal shows.
#[derive(Debug)]
pub struct Rehearsed {
    /// A released result over the mock rows: its noise is what the real one will have.
    pub result: ResultDoc,
    /// What the query computes from it, where that is more than naming its columns.
    pub answer: Option<Answer>,
    /// The noise, as the receipt will state it.
    pub mechanism: Mechanism,
    /// How the price is split over the columns.
    pub split: Split,
    /// The weights after the rounds that were rehearsed, and how many those were, of a training run.
    pub trained: Option<(Vec<f64>, u32)>,
    /// What the program said (log lines, traps, defaults used) and what fuel it took.
    pub said: Rehearsal,
}

/// Runs `file` on one's own mock rows (any files that can be published under `policy`).
///
/// # Errors
/// As [`rehearse`]; [`NodeError::Data`] where the files could not be published.
pub async fn rehearse_own(home: &Home, file: &JobFile, policy: &Policy, mock: &[PathBuf]) -> Result<Rehearsed, NodeError> {
    let laid = LaidOut::new(home, policy, mock).await?;
    on(home, file, policy, &laid.files).await
}

/// Runs `file` on `mock` (as an owner lays it out) under `policy`.
///
/// # Errors
/// [`NodeError::Refused`] with what the owner would answer; [`NodeError::File`] when the mock rows cannot be used.
pub async fn rehearse(home: &Home, file: &JobFile, policy: &Policy, mock: &Path) -> Result<Rehearsed, NodeError> {
    on(home, file, policy, &[mock.to_owned()]).await
}

/// Rounds of a training run that are rehearsed: enough to see where it goes.
const ROUNDS: u32 = 50;

async fn on(home: &Home, file: &JobFile, policy: &Policy, mock: &[PathBuf]) -> Result<Rehearsed, NodeError> {
    let Some(training) = &file.training else { return round(home, file, policy, mock).await };
    let mut weights = Weights::new(file, training, policy)?;
    let rounds = training.rounds.min(ROUNDS);
    let mut last = round(home, file, policy, mock).await?;
    for number in 0..rounds {
        if number > 0 {
            last = round(home, &file.with_weights(&weights.now), policy, mock).await?;
        }
        weights.take(number, &last.result)?;
    }
    Ok(Rehearsed { trained: Some((weights.best(), rounds)), ..last })
}

async fn round(home: &Home, file: &JobFile, policy: &Policy, mock: &[PathBuf]) -> Result<Rehearsed, NodeError> {
    let files = mock;
    let mock = mock.first().ok_or_else(|| NodeError::File("no mock rows".into()))?;
    let rows = File::open(mock).map_err(|e| file_error(mock, e))?;
    let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| file_error(mock, e))?;
    // One's own rows have no manifest: what the job calls the dataset stands for its name.
    let schema = check::published(&schema, &file.dataset);
    let planned = check::plan(home, file, policy, schema).await?;
    let gate = |e: tidegate_gate::GateError| NodeError::File(e.to_string());
    let (sums, said) = Workers::default().rehearse(&planned.work, files).await.map_err(not_run)?;
    let released = planned.terms.release(&planned.plan, &planned.checked.declared, &sums, ContentHash([0; 32])).map_err(gate)?;
    let answer = Answer::of(file, policy, &planned.work.schema, released.document()).await?;
    Ok(Rehearsed {
        answer,
        result: released.document().clone(),
        mechanism: planned.mechanism(),
        split: planned.split(),
        trained: None,
        said,
    })
}
