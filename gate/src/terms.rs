//! The terms on which a job's sums are released: noised at a price, or exact by the owner's rules.

use tidegate_protocol::{
    ContentHash, Cost, Job,
    job::{Key, Mode},
    policy::{Policy, ReviewRules},
    receipt::Mechanism,
};

use crate::{Calibration, GateError, GroupSums, Keys, Left, Plan, Released, Releasing, Sums, review::review_beside};

/// Terms of a job.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Noised.
    Dp(Calibration),
    /// Exact.
    Reviewed(ReviewRules),
}

impl Terms {
    /// Determines the terms of `job` under `policy`.
    ///
    /// # Errors
    /// Returns [`GateError::Cost`] if the price does not buy the release, or the policy gives no exact results;
    /// [`GateError::Shape`] if a column has no exact form.
    pub fn of(job: &Job, policy: &Policy, plan: &Plan) -> Result<Self, GateError> {
        match (job.mode, &policy.reviewed) {
            (Mode::Dp, _) => plan.calibrate_within(job.cost, plan.afforded(policy)).map(Self::Dp),
            (Mode::Reviewed, Some(rules)) => plan.check_reviewable().map(|()| Self::Reviewed(rules.clone())),
            (Mode::Reviewed, None) => Err(GateError::Cost("the policy allows no exact results".into())),
        }
    }

    /// Returns the cost to be charged.
    pub fn cost(&self) -> Cost {
        match self {
            Self::Dp(calibration) => calibration.cost,
            Self::Reviewed(_) => Cost::REVIEWED,
        }
    }

    /// Returns the public numbers, for the receipt.
    pub fn mechanism(&self, plan: &Plan) -> Mechanism {
        match self {
            Self::Dp(calibration) => plan.mechanism(calibration),
            Self::Reviewed(rules) => plan.mechanism_of_review(rules),
        }
    }

    /// Returns the minimum number of units of a group for [`Terms::begin`]: smaller groups neither appear nor are added up.
    pub fn least(&self, plan: &Plan) -> i64 {
        match (self, plan.shape().keys) {
            (Self::Dp(calibration), Keys::Undeclared { remainder: false, .. }) => calibration.threshold.map_or(1, |t| t.least),
            _ => 1,
        }
    }

    /// Begins a release.
    ///
    /// # Errors
    /// As for [`Releasing::new`].
    pub fn begin<'a>(&'a self, plan: &'a Plan, declared: &'a [Vec<Key>]) -> Result<Open<'a>, GateError> {
        Ok(match self {
            Self::Dp(calibration) => Open::Dp(Box::new(Releasing::new(plan, calibration, declared)?)),
            Self::Reviewed(rules) => Open::Reviewed { plan, rules, declared, sums: Sums::default(), before: vec![] },
        })
    }

    /// Releases `sums` all at once.
    ///
    /// # Errors
    /// As for [`Releasing`]'s and [`review_beside`]'s.
    pub fn release(&self, plan: &Plan, declared: &[Vec<Key>], sums: &Sums, job: ContentHash) -> Result<Released, GateError> {
        let mut open = self.begin(plan, declared)?;
        open.add(&sums.groups)?;
        open.finish(job)
    }
}

/// Release in progress, on its terms.
pub enum Open<'a> {
    /// Noised.
    Dp(Box<Releasing<'a>>),
    /// Exact: which groups are suppressed is decided over all of them.
    Reviewed {
        /// Plan of the release.
        plan: &'a Plan,
        /// Rules of exact results.
        rules: &'a ReviewRules,
        /// Declared keys.
        declared: &'a [Vec<Key>],
        /// Sums so far.
        sums: Sums,
        /// Released tables of the same people, oldest first.
        before: Vec<Left>,
    },
}

impl Open<'_> {
    /// Adds whole groups.
    ///
    /// # Errors
    /// As for [`Releasing::add`].
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

    /// Sets the earlier released exact tables of the same people, oldest first. Has no effect on noised results.
    pub fn beside(&mut self, tables: Vec<Left>) {
        if let Self::Reviewed { before, .. } = self {
            *before = tables;
        }
    }

    /// Finishes the release and returns the result.
    ///
    /// # Errors
    /// As for [`Releasing::finish`] and [`review_beside`]'s.
    pub fn finish(self, job: ContentHash) -> Result<Released, GateError> {
        match self {
            Self::Dp(releasing) => releasing.finish(job),
            Self::Reviewed { plan, rules, declared, sums, before } => review_beside(plan, rules, declared, &sums, job, &before),
        }
    }
}
