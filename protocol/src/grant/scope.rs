//! Rights of a grant as the log records them, and the check whether they cover a request.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, MicroRho, cost::MicroEpsilon, limits};

/// Action allowed by a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// See the dataset's existence, its schema and its policy.
    List,
    /// Copy the mock rows.
    Rehearse,
    /// Send jobs.
    Compute,
    /// Copy the files.
    Replicate,
    /// Keep the encrypted files, and serve them.
    Mirror,
    /// Rerun receipts' jobs and compare, as an auditor.
    Replay,
    /// Take a part of the budget as a lease, and answer jobs with the lease.
    Hold,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 7] =
        [Self::List, Self::Rehearse, Self::Compute, Self::Replicate, Self::Mirror, Self::Replay, Self::Hold];

    /// Returns the word for the action in a token.
    pub fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Rehearse => "rehearse",
            Self::Compute => "compute",
            Self::Replicate => "replicate",
            Self::Mirror => "mirror",
            Self::Replay => "replay",
            Self::Hold => "hold",
        }
    }
}

/// Error for an unknown action.
#[derive(Debug, thiserror::Error)]
#[error("{word:?} is not an action: use {}", Action::ALL.map(Action::word).join(", "))]
pub struct NoAction {
    word: String,
}

impl FromStr for Action {
    type Err = NoAction;
    fn from_str(word: &str) -> Result<Self, NoAction> {
        let found = Self::ALL.into_iter().find(|action| action.word() == word);
        found.ok_or_else(|| NoAction { word: word.chars().take(40).collect() })
    }
}

/// Rights of a grant's holder, and their limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Actions allowed.
    pub actions: Vec<Action>,
    /// Maximum ρ of a job or lease.
    pub rho_ceiling: MicroRho,
    /// Maximum pure ε of a job or lease.
    pub epsilon_ceiling: MicroEpsilon,
    /// Time of expiry, RFC 3339.
    pub expires: String,
    /// Only programs allowed for jobs, each identified by its entire content ([`Job::bound`](crate::Job::bound)); any program if
    /// empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<ContentHash>,
    /// Only reducers allowed for jobs, by their names in receipts; any reducer if empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reducers: BTreeSet<String>,
    /// Maximum number of jobs whose slots begin within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
}

/// Request to be checked against a grant.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Action.
    pub action: Action,
    /// Privacy cost of the job, zero for other actions.
    pub cost: Cost,
    /// Program of a job ([`Job::bound`](crate::Job::bound)).
    pub program: Option<ContentHash>,
    /// Reducers of a job; empty before planning.
    pub reducers: BTreeSet<String>,
    /// Number of jobs under this grant whose slots began within the hour before.
    pub used: u32,
    /// Time of the request.
    pub now: SystemTime,
}

impl Ask {
    /// Builds the request for an action other than a job.
    pub fn of(action: Action, now: SystemTime) -> Self {
        Self { action, cost: Cost::default(), program: None, reducers: BTreeSet::new(), used: 0, now }
    }
}

/// Reason why a grant does not cover a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncovered {
    /// The grant is for other actions.
    Action,
    /// The grant has expired, or its time of expiry cannot be read.
    Expired,
    /// The job costs too much.
    Ceiling,
    /// The grant is for other programs.
    Program,
    /// The grant is for other reducers.
    Reducer,
    /// Too many jobs began within an hour.
    Rate,
}

impl Uncovered {
    /// Returns the rule's name in an audit.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Action => "grant-covers",
            Self::Expired => "grant-expired",
            Self::Ceiling => "grant-ceiling",
            Self::Program => "grant-program",
            Self::Reducer => "grant-reducer",
            Self::Rate => "grant-rate",
        }
    }
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => "the grant does not allow this action",
            Self::Expired => "the grant had expired",
            Self::Ceiling => "the job costs more than the grant allows for one job",
            Self::Program => "the grant does not allow this program",
            Self::Reducer => "the grant does not allow one of the job's reducers",
            Self::Rate => "the grant's limit of jobs per hour is reached",
        })
    }
}

/// Writes a grant's time of expiry in whole seconds, as tokens count. `None` for a time outside the calendar.
pub fn ends(time: SystemTime) -> Option<String> {
    let seconds = jiff::Timestamp::try_from(time).ok()?.as_second();
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

/// Counts the slots begun within the hour before `start`. `starts` has the latest first.
pub fn within_hour(starts: impl Iterator<Item = SystemTime>, start: SystemTime) -> u32 {
    let since = |hours: u64| start.checked_sub(Duration::from_secs(3600 * hours)).unwrap_or(SystemTime::UNIX_EPOCH);
    let (hour, enough) = (since(1), since(2));
    // Slots begin nearly in log order.
    let recent = starts.take(limits::GRANT_PER_HOUR as usize).take_while(|begun| *begun > enough);
    recent.filter(|begun| *begun > hour).count() as u32
}

impl Scope {
    /// Returns whether the grant allows anything after `now`, here or where another party answers for its owner.
    pub fn lasts_after(&self, now: SystemTime) -> bool {
        self.until().is_some_and(|ends| ends > now)
    }

    /// Checks a request against the grant. The caller checks who asks, and for which dataset lineage.
    ///
    /// # Errors
    /// Returns the first reason why the grant does not cover the request.
    pub fn covers(&self, ask: &Ask) -> Result<(), Uncovered> {
        let until = self.until().ok_or(Uncovered::Expired)?;
        let program = |hash| self.programs.contains(&hash);
        let rules = [
            (self.actions.contains(&ask.action), Uncovered::Action),
            (ask.now < until, Uncovered::Expired),
            (ask.cost.rho_micro <= self.rho_ceiling && ask.cost.epsilon_micro <= self.epsilon_ceiling, Uncovered::Ceiling),
            (self.programs.is_empty() || ask.program.is_none_or(program), Uncovered::Program),
            (self.reducers.is_empty() || ask.reducers.is_subset(&self.reducers), Uncovered::Reducer),
            (self.per_hour.is_none_or(|most| ask.used < most), Uncovered::Rate),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Returns the time of expiry.
    pub fn until(&self) -> Option<SystemTime> {
        self.expires.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cost::FemtoDelta;

    #[test]
    fn jobs_of_the_hour_before_are_counted() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let starts = [at(1), at(5000), at(9000), at(12_000), at(10_000)];
        assert_eq!(within_hour(starts.into_iter().rev(), at(12_600)), 2);
        assert_eq!(within_hour(starts.into_iter().rev(), at(12_599)), 3);
        assert_eq!(within_hour(starts.into_iter().rev(), at(90_000)), 0);
        assert_eq!(within_hour(starts.into_iter().rev(), at(0)), 5);
    }

    #[test]
    fn a_scope_covers_what_it_says_and_nothing_else() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (mine, other) = (ContentHash::of(b"mine"), ContentHash::of(b"other"));
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<BTreeSet<_>>();
        let scope = Scope {
            actions: vec![Action::Compute],
            rho_ceiling: MicroRho(10),
            epsilon_ceiling: MicroEpsilon(20),
            expires: jiff::Timestamp::try_from(now + Duration::from_secs(1)).unwrap().to_string(),
            programs: [mine].into(),
            reducers: words(&["count", "mean"]),
            per_hour: Some(2),
        };
        let ask = Ask {
            cost: Cost::dp(MicroRho(10), FemtoDelta(0)),
            program: Some(mine),
            reducers: words(&["mean"]),
            used: 1,
            ..Ask::of(Action::Compute, now)
        };
        assert_eq!(scope.covers(&ask), Ok(()));
        let pure = |micro| Cost::pure(MicroEpsilon(micro), FemtoDelta(0));
        for (ask, why) in [
            (Ask { action: Action::Replicate, ..ask.clone() }, Uncovered::Action),
            (Ask { now: now + Duration::from_secs(1), ..ask.clone() }, Uncovered::Expired),
            (Ask { cost: Cost::dp(MicroRho(11), FemtoDelta(0)), ..ask.clone() }, Uncovered::Ceiling),
            (Ask { cost: pure(21), ..ask.clone() }, Uncovered::Ceiling),
            (Ask { program: Some(other), ..ask.clone() }, Uncovered::Program),
            (Ask { reducers: words(&["mean", "sum"]), ..ask.clone() }, Uncovered::Reducer),
            (Ask { used: 2, ..ask.clone() }, Uncovered::Rate),
        ] {
            assert_eq!(scope.covers(&ask), Err(why));
        }
        let open = Scope { programs: BTreeSet::new(), reducers: BTreeSet::new(), per_hour: None, ..scope.clone() };
        assert_eq!(open.covers(&Ask { program: Some(other), reducers: words(&["sum"]), used: 9, ..ask.clone() }), Ok(()));
        assert_eq!(Scope { expires: "tomorrow".into(), ..scope }.covers(&ask), Err(Uncovered::Expired));
        assert!("read".parse::<Action>().unwrap_err().to_string().contains("replicate, mirror"));
    }
}
