//! What a grant lets its holder do, as the log has it, and whether it covers what is asked.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, MicroRho, cost::MicroEpsilon, limits};

/// What a grant may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// See that it is there, its schema and its policy.
    List,
    /// Copy the mock rows.
    Rehearse,
    /// Send jobs.
    Compute,
    /// Copy the files.
    Replicate,
    /// Keep the encrypted files, and serve them.
    Mirror,
    /// Run receipts' jobs again and compare, as an auditor.
    Replay,
    /// Have a part of the budget handed over, and answer jobs by it.
    Hold,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::List, Self::Rehearse, Self::Compute, Self::Replicate, Self::Mirror, Self::Replay, Self::Hold];

    /// The word in the token.
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

/// A word that names no action.
#[derive(Debug, thiserror::Error)]
#[error("{word:?} is no action: write {}", Action::ALL.map(Action::word).join(", "))]
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

/// What a grant lets its holder do, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// To do what.
    pub actions: Vec<Action>,
    /// Most ρ one job may cost, or one lease may have.
    pub rho_ceiling: MicroRho,
    /// Most pure ε one job may cost, or one lease may have.
    pub epsilon_ceiling: MicroEpsilon,
    /// Until when, RFC 3339.
    pub expires: String,
    /// The only programs that jobs may have, each by all of it ([`Job::bound`](crate::Job::bound)); any where there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<ContentHash>,
    /// The only reducers that jobs may have, by the names that receipts give them; any where there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reducers: BTreeSet<String>,
    /// Most jobs whose slots begin within one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
}

/// What is being asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// To do what.
    pub action: Action,
    /// The job's price, nothing for other actions.
    pub cost: Cost,
    /// A job's program ([`Job::bound`](crate::Job::bound)).
    pub program: Option<ContentHash>,
    /// A job's reducers; none before it is planned.
    pub reducers: BTreeSet<String>,
    /// Jobs under this grant whose slots began within the hour before.
    pub used: u32,
    /// When.
    pub now: SystemTime,
}

impl Ask {
    /// To do something that is no job.
    pub fn of(action: Action, now: SystemTime) -> Self {
        Self { action, cost: Cost::default(), program: None, reducers: BTreeSet::new(), used: 0, now }
    }
}

/// Why a grant does not cover what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncovered {
    /// Another action.
    Action,
    /// Its time is over, or is no time.
    Expired,
    /// Too dear a job.
    Ceiling,
    /// Another program.
    Program,
    /// Another reducer.
    Reducer,
    /// Too many jobs within an hour.
    Rate,
}

impl Uncovered {
    /// The rule's name in an audit.
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
            Self::Action => "the grant is not for this action",
            Self::Expired => "the grant was good until before that",
            Self::Ceiling => "the job costs more than the grant lets one cost",
            Self::Program => "the grant is for other programs",
            Self::Reducer => "the grant is for other reducers",
            Self::Rate => "the grant lets fewer jobs begin within an hour",
        })
    }
}

/// The text of a grant's last moment, in whole seconds, as tokens count; none past what a calendar holds.
pub fn ends(time: SystemTime) -> Option<String> {
    let seconds = jiff::Timestamp::try_from(time).ok()?.as_second();
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

/// How many slots of jobs began within the hour before `start`, of those whose starts are given, the last first.
pub fn within_hour(starts: impl Iterator<Item = SystemTime>, start: SystemTime) -> u32 {
    let since = |hours: u64| start.checked_sub(Duration::from_secs(3600 * hours)).unwrap_or(SystemTime::UNIX_EPOCH);
    let (hour, enough) = (since(1), since(2));
    // Slots begin nearly in the order of the log.
    let recent = starts.take(limits::GRANT_PER_HOUR as usize).take_while(|begun| *begun > enough);
    recent.filter(|begun| *begun > hour).count() as u32
}

impl Scope {
    /// Whether something could be done by it after `now`, here or where another party answers for its owner.
    pub fn lasts_after(&self, now: SystemTime) -> bool {
        self.until().is_some_and(|ends| ends > now)
    }

    /// Whether it lets this happen. Who asks, and of which population, is for the caller to say.
    ///
    /// # Errors
    /// The first thing that it does not let happen.
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

    /// When it ends.
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
