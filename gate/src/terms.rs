//! On which terms a job's sums leave: noised at a price, or exact by the owner's rules.

use tidegate_protocol::{
    ContentHash, Cost, Job,
    job::{Key, Mode},
    policy::{Policy, ReviewRules},
    receipt::Mechanism,
};

use crate::{Calibration, GateError, Plan, Released, Sums, release, review::review};

/// The terms of one job.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Noised.
    Dp(Calibration),
    /// Exact.
    Reviewed(ReviewRules),
}

impl Terms {
    /// The terms of `job` under `policy`.
    ///
    /// # Errors
    /// [`GateError::Cost`] where the price does not buy it, or the policy gives no exact results; [`GateError::Shape`] where a column has no exact form.
    pub fn of(job: &Job, policy: &Policy, plan: &Plan) -> Result<Self, GateError> {
        match (job.mode, &policy.reviewed) {
            (Mode::Dp, _) => plan.calibrate(job.cost).map(Self::Dp),
            (Mode::Reviewed, Some(rules)) => plan.check_reviewable().map(|()| Self::Reviewed(rules.clone())),
            (Mode::Reviewed, None) => Err(GateError::Cost("the policy gives no exact results".into())),
        }
    }

    /// What is charged.
    pub fn cost(&self) -> Cost {
        match self {
            Self::Dp(calibration) => calibration.cost,
            Self::Reviewed(_) => Cost::REVIEWED,
        }
    }

    /// The public numbers, for the receipt.
    pub fn mechanism(&self, plan: &Plan) -> Mechanism {
        match self {
            Self::Dp(calibration) => plan.mechanism(calibration),
            Self::Reviewed(rules) => plan.mechanism_of_review(rules),
        }
    }

    /// Releases `sums`.
    ///
    /// # Errors
    /// As [`release()`] and [`review`].
    pub fn release(&self, plan: &Plan, declared: &[Vec<Key>], sums: &Sums, job: ContentHash) -> Result<Released, GateError> {
        match self {
            Self::Dp(calibration) => release(plan, calibration, declared, sums, job),
            Self::Reviewed(rules) => review(plan, rules, declared, sums, job),
        }
    }
}
