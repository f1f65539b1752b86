//! Rehearsal: the same engine on mock rows, on the buyer's own machine, with everything shown.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use tidegate_gate::Split;
use tidegate_protocol::{ContentHash, policy::Policy, receipt::Mechanism, result::ResultDoc};

pub use tidegate_sandbox::{Fuel, Rehearsal};

use crate::{
    NodeError,
    buyer::{answer::Answer, check, job_file::JobFile, sample::LaidOut, telling::Telling, training::Weights},
    corrupt, file_error,
    home::Home,
    worker::Workers,
};

/// Outcome of a rehearsal.
#[derive(Debug)]
pub struct Rehearsed {
    /// Released result over the mock rows; its noise is distributed like the real result's.
    pub result: ResultDoc,
    /// Answer computed from the result, if the query does more than name its columns.
    pub answer: Option<Answer>,
    /// Noise, as in the receipt.
    pub mechanism: Mechanism,
    /// Split of the price over the columns.
    pub split: Split,
    /// For a training run: weights after the rehearsed rounds, and the number of rounds.
    pub trained: Option<(Vec<f64>, u32)>,
    /// The program's output (log lines, traps, defaults used) and fuel.
    pub said: Rehearsal,
}

/// Runs `file` on the party's own mock rows (any files publishable under `policy`).
///
/// # Errors
/// As [`rehearse`]; [`NodeError::Data`] if the files cannot be published.
pub async fn rehearse_own(home: &Home, file: &JobFile, policy: &Policy, mock: &[PathBuf]) -> Result<Rehearsed, NodeError> {
    let laid = LaidOut::new(home, policy, mock).await?;
    on(home, file, policy, &laid.files).await
}

/// Runs `file` on `mock` (as an owner lays it out) under `policy`.
///
/// # Errors
/// [`NodeError::Refused`] with the owner's answer; [`NodeError::Io`] if the mock rows cannot be used.
pub async fn rehearse(home: &Home, file: &JobFile, policy: &Policy, mock: &Path) -> Result<Rehearsed, NodeError> {
    on(home, file, policy, &[mock.to_owned()]).await
}

/// Maximum number of rehearsed rounds of a training run: enough to see the trend.
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
    let mock = mock.first().ok_or(NodeError::NoRows)?;
    let rows = File::open(mock).map_err(|e| file_error(mock, e))?;
    let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| corrupt(mock, e))?;
    // Own rows have no manifest: the job's name for the dataset is used.
    let schema = check::published(&schema, &file.dataset);
    let planned = check::plan(home, file, policy, schema).await?;
    let (sums, said) = Workers::default().rehearse(&planned.work, files).await.map_err(NodeError::NotRun)?;
    let released = planned.terms.release(&planned.plan, &planned.checked.declared, &sums, ContentHash([0; 32]))?;
    let mechanism = planned.mechanism();
    let telling = Telling::of(&mechanism, released.document());
    let answer = Answer::of(file, policy, &planned.work.schema, released.document(), &telling).await?;
    Ok(Rehearsed { answer, result: released.document().clone(), mechanism, split: planned.split(), trained: None, said })
}
