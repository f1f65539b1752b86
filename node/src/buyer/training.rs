//! Training runs: a component is asked repeatedly, and between rounds the buyer moves the weights by the released result.
//!
//! With a component that gives each person's gradient and a [vector](tidegate_gate::Vector) output, whose length the gate clips,
//! a round is a step of DP-SGD over all people (Abadi et al. 2016, algorithm 1, sampling rate 1); with a component that gives
//! each person's change of the weights, it is a step of DP-FedAvg (McMahan et al. 2018). Each round is a job of its own with a
//! receipt of its own. Its price is the run's divided by the number of rounds: ρ adds up (Bun and Steinke 2016, Lemma 1.7), and
//! so does pure ε.

use std::ops::ControlFlow;

use serde::Serialize;
use tidegate_exchange::Address;
use tidegate_protocol::{Code, ContentHash, Cost, Refusal, cost::FemtoDelta, policy::Policy, result::ResultDoc};

use crate::{
    NodeError,
    buyer::job_file::{JobFile, LoopFile, is_sound, wrong},
    client::{Buyer, Offer, Verified, fresh_request, now},
};

/// The weights of a run, round by round.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    training: &'a LoopFile,
    units: f64,
    pub(crate) now: Vec<f64>,
    /// Sum over the later half of the rounds.
    sum: Vec<f64>,
    summed: u32,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(file: &JobFile, training: &'a LoopFile, policy: &Policy) -> Result<Self, NodeError> {
        let len = training.weights(file.wasm.as_ref())?;
        let units = training.units.unwrap_or(policy.unit.max_units) as f64;
        Ok(Self { training, units, now: training.start_or(&[], len)?, sum: vec![0.0; len], summed: 0 })
    }

    /// Updates the weights after round `round`, counted from 0, by the released `result`.
    ///
    /// # Errors
    /// [`NodeError::Diverged`]: no further round can mend these weights.
    pub(crate) fn take(&mut self, round: u32, result: &ResultDoc) -> Result<(), NodeError> {
        let sum: Vec<f64> = result.rows.iter().flat_map(|row| row.cells.iter().map(|cell| cell.value)).collect();
        self.training.step(&mut self.now, &sum, self.units);
        if round >= self.training.rounds / 2 {
            self.sum.iter_mut().zip(&self.now).for_each(|(sum, w)| *sum += w);
            self.summed += 1;
        }
        match self.now.iter().enumerate().find(|(_, weight)| !is_sound(**weight)) {
            None => Ok(()),
            Some((at, weight)) => {
                Err(NodeError::Diverged { round: round + 1, rounds: self.training.rounds, at, weight: *weight })
            }
        }
    }

    pub(crate) fn best(&self) -> Vec<f64> {
        if !self.training.average || self.summed == 0 {
            return self.now.clone();
        }
        self.sum.iter().map(|sum| sum / f64::from(self.summed)).collect()
    }
}

/// Identity of a run: makes its rounds the same jobs when the run is continued.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Request id from which the rounds' ids are derived.
    pub request: String,
    /// Creation time of all rounds, seconds since 1970.
    pub created: i64,
    /// Whether no round was run yet.
    #[serde(skip)]
    pub fresh: bool,
}

impl Run {
    /// Returns a new run or, with `created`, a run begun earlier.
    ///
    /// # Errors
    /// [`NodeError::Entropy`] if the system gives no randomness.
    pub fn new(request: Option<String>, created: Option<i64>) -> Result<Self, NodeError> {
        let request = request.map_or_else(fresh_request, Ok)?;
        Ok(Self { request, created: created.unwrap_or_else(now), fresh: created.is_none() })
    }
}

/// Outcome of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Trained {
    /// The weights, in the order of the vector output.
    pub weights: Vec<f64>,
    /// Number of rounds run.
    pub rounds: u32,
    /// Total cost of these rounds.
    pub cost: Cost,
    /// Identity for repeating the run byte for byte: finished rounds are answered with the same bytes, at no further charge.
    #[serde(flatten)]
    pub run: Run,
}

impl Buyer {
    /// Runs or continues a training run. Rounds run before are not charged again.
    ///
    /// `each` sees every round's result, verified, with the weights after it, and may stop the run.
    ///
    /// # Errors
    /// As [`Buyer::run`]; [`NodeError::Diverged`] after the round in which the weights did, with no further round charged;
    /// [`NodeError::Refused`] before the first round if the policy lets no buyer spend as much, and after it if less is left than
    /// the other rounds cost.
    pub async fn train(
        &self,
        to: &Address,
        file: &JobFile,
        grant: &str,
        run: &Run,
        mut each: impl FnMut(u32, &Offer, &Verified, &[f64]) -> ControlFlow<()>,
    ) -> Result<Trained, NodeError> {
        let training = file.training.as_ref().ok_or_else(|| wrong("loop", "has no [loop]"))?;
        let offer = self.offer(to, &file.dataset).await?;
        let policy = &*offer.in_force()?;
        let mut weights = Weights::new(file, training, policy)?;
        let one = file.price(policy, FemtoDelta(0))?;
        let all = one.times(u64::from(training.rounds));
        afford(all, policy.per_buyer, "the policy's cap for one buyer is")?;
        let mut rounds = 0;
        for round in 0..training.rounds {
            let of_round = round_request(&run.request, round);
            let round_file = file.with_weights(&weights.now);
            let (offer, verified, _) = self.run(to, &round_file, grant, Some(of_round), Some(run.created)).await?;
            let went_on = weights.take(round, &verified.result);
            rounds += 1;
            let stop = each(round, &offer, &verified, &weights.now).is_break();
            // The paid result was shown; the error ends the run before another round is paid.
            went_on?;
            if stop {
                break;
            }
            // If the run is continued, part of the rest is already paid.
            if rounds == 1 && run.fresh {
                let rest = one.times(u64::from(training.rounds - rounds));
                afford(rest, verified.remaining, "your remaining budget after the first round is")?;
            }
        }
        Ok(Trained { weights: weights.best(), rounds, cost: one.times(u64::from(rounds)), run: run.clone() })
    }
}

fn afford(cost: Cost, left: Cost, whose: &str) -> Result<(), Refusal> {
    let Some(field) = cost.over(left) else { return Ok(()) };
    let message = format!("the rounds cost {cost}; {whose} {left}");
    let refusal = Refusal::new(Code::Budget, message).at(field);
    Err(refusal.fix("Use a smaller epsilon, which gives more noise in each round, or fewer rounds"))
}

/// Derives the request id of a round from the run's id and the round's number.
fn round_request(request: &str, round: u32) -> String {
    let hash = ContentHash::of(format!("{request} {round}").as_bytes()).to_string();
    hash[..32].to_owned()
}
