//! Messages for a request that a grant does not allow, from the token and the request alone.

use super::{Ask, form::Demand};

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

impl Demand {
    /// Explains a refusal by this demand: the field of the grant at fault, and a message with the allowed and the requested
    /// value.
    pub(super) fn refuses(&self, ask: &Ask) -> (&'static str, String) {
        let micro = |micro: &i64| *micro as f64 / 1e6;
        match self {
            Self::Actions(actions) => (
                "grant.actions",
                format!("the grant allows {}, and not {}", join(actions.iter().map(|a| a.word())), ask.action.word()),
            ),
            Self::Rho(most) => (
                "grant.rho_ceiling",
                format!("the grant allows at most ρ = {} for one job, and this job costs {}", micro(most), ask.cost),
            ),
            Self::Epsilon(most) => (
                "grant.epsilon_ceiling",
                format!("the grant allows at most pure ε = {} for one job, and this job costs {}", micro(most), ask.cost),
            ),
            Self::Before(second) => {
                let time = i64::try_from(*second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
                ("grant.expires", format!("the grant expired at {}", time.unwrap_or(jiff::Timestamp::MAX)))
            }
            Self::Programs(programs) => (
                "grant.programs",
                format!(
                    "the grant allows {} program{}, and this one ({}) is not among them: a program is everything in a job except its cost, noise and request id",
                    programs.len(),
                    if programs.len() == 1 { "" } else { "s" },
                    ask.program.map_or_else(String::new, |program| program.to_string()),
                ),
            ),
            Self::Reducers(reducers) => (
                "grant.reducers",
                format!(
                    "the grant allows the reducers {}, and the job also has {}",
                    join(reducers.iter().map(String::as_str)),
                    join(ask.reducers.difference(reducers).map(String::as_str))
                ),
            ),
            Self::Used(fewer) => {
                ("grant.per_hour", format!("the grant allows at most {fewer} jobs within an hour, and as many have begun"))
            }
        }
    }
}
