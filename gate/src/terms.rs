//! On which terms a job's sums leave: noised at a price, or exact by the owner's rules.

use tidegate_protocol::{
    ContentHash, Cost, Job,
    job::{Key, Mode},
    policy::{Policy, ReviewRules},
    receipt::Mechanism,
};

use crate::{Calibration, GateError, GroupSums, Keys, Left, Plan, Released, Releasing, Sums, review::review_beside};

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
            (Mode::Dp, _) => plan.calibrate_within(job.cost, plan.afforded(policy)).map(Self::Dp),
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

    /// Groups of fewer units are of no use to [`Terms::begin`]: they neither appear nor are added up.
    pub fn least(&self, plan: &Plan) -> i64 {
        match (self, plan.shape().keys) {
            (Self::Dp(calibration), Keys::Undeclared { remainder: false, .. }) => calibration.threshold.map_or(1, |t| t.least),
            _ => 1,
        }
    }

    /// Begins a release.
    ///
    /// # Errors
    /// As [`Releasing::new`].
    pub fn begin<'a>(&'a self, plan: &'a Plan, declared: &'a [Vec<Key>]) -> Result<Open<'a>, GateError> {
        Ok(match self {
            Self::Dp(calibration) => Open::Dp(Box::new(Releasing::new(plan, calibration, declared)?)),
            Self::Reviewed(rules) => Open::Reviewed { plan, rules, declared, sums: Sums::default(), before: vec![] },
        })
    }

    /// Releases `sums` in one go.
    ///
    /// # Errors
    /// As [`Releasing`]'s and [`review_beside`]'s.
    pub fn release(&self, plan: &Plan, declared: &[Vec<Key>], sums: &Sums, job: ContentHash) -> Result<Released, GateError> {
        let mut open = self.begin(plan, declared)?;
        open.add(&sums.groups)?;
        open.finish(job)
    }
}

/// A release in progress, on its terms.
pub enum Open<'a> {
    /// Noised.
    Dp(Box<Releasing<'a>>),
    /// Exact: which groups are kept back is decided over all of them.
    Reviewed {
        /// What is released.
        plan: &'a Plan,
        /// By these rules.
        rules: &'a ReviewRules,
        /// Declared keys.
        declared: &'a [Vec<Key>],
        /// So far.
        sums: Sums,
        /// Tables of the same people that have left, oldest first.
        before: Vec<Left>,
    },
}

impl Open<'_> {
    /// Adds whole groups.
    ///
    /// # Errors
    /// As [`Releasing::add`].
    pub fn add(&mut self, groups: &[GroupSums]) -> Result<(), GateError> {
        match self {
            Self::Dp(releasing) => releasing.add(groups),
            Self::Reviewed { plan, sums, .. } => {
                plan.check_groups(groups)?;
                sums.groups.extend_from_slice(groups);
                Ok(())
            }
        }
    }

    /// Says which exact tables of the same people have left, oldest first. To noised results it makes no difference.
    pub fn beside(&mut self, tables: Vec<Left>) {
        if let Self::Reviewed { before, .. } = self {
            *before = tables;
        }
    }

    /// The result.
    ///
    /// # Errors
    /// As [`Releasing::finish`] and [`review_beside`]'s.
    pub fn finish(self, job: ContentHash) -> Result<Released, GateError> {
        match self {
            Self::Dp(releasing) => releasing.finish(job),
            Self::Reviewed { plan, rules, declared, sums, before } => review_beside(plan, rules, declared, &sums, job, &before),
        }
    }
}
