//! Sent parts of files: each must begin within the time given by an earlier copy or replay, by a grant in force at the time.
//!
//! The ledger checks the same before it logs them ([`tidegate_ledger::store`]).

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    grant::{Scope, Uncovered},
    limits,
    receipt::{Party, Predicate},
};

use super::{Broken, time::time};

/// Maximum adjustment of an owner's clock between two entries, back or forth, in seconds.
const SET: Duration = Duration::from_secs(60);
/// Maximum number of copies remembered per party, each for a grant or a narrowed grant; the oldest are dropped first.
const GRANTS: usize = 64;
/// Number of remembered parties from which parties with no live permission are forgotten.
pub const PARTIES: usize = 1024;

/// Permission of a party to copy by a grant: from its first copy to its last, where each came while the previous was still valid.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Copied {
    grant_ids: Vec<String>,
    first: SystemTime,
    last: SystemTime,
}

impl Copied {
    fn lets_begin(&self, at: SystemTime) -> bool {
        self.first <= at + SET && at <= self.last + limits::COPY_TIME + SET
    }
}

/// Permissions of a party to begin fetches.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Copies(VecDeque<Copied>);

impl Copies {
    /// Adds a copy or replay of the party, and forgets ended permissions.
    pub fn add(&mut self, grant_ids: &[String], at: SystemTime) {
        self.0.retain(|copied| at <= copied.last + limits::COPY_TIME + SET);
        let again = self.0.iter().position(|copied| copied.grant_ids == grant_ids && copied.lets_begin(at));
        let copied = match again.and_then(|again| self.0.remove(again)) {
            Some(before) => Copied { first: before.first.min(at), last: before.last.max(at), ..before },
            None => Copied { grant_ids: grant_ids.to_vec(), first: at, last: at },
        };
        self.0.push_back(copied);
        while self.0.len() > GRANTS {
            self.0.pop_front();
        }
    }

    /// Returns whether all permissions have ended by `at`, however the owner's clock was set.
    pub fn are_over(&self, at: SystemTime) -> bool {
        self.0.iter().all(|copied| at > copied.last + limits::COPY_TIME + 2 * SET)
    }

    /// Checks whether `party` may be sent a part of a file: `in_force` checks whether a grant with these revocation ids is in
    /// force.
    ///
    /// # Errors
    /// Returns the error of `in_force` for the last grant if no grant is in force by which a part could begin at that time; the
    /// rule if there is no grant.
    pub fn let_begin<E: From<Broken>>(
        &self,
        party: &Party,
        at: SystemTime,
        mut in_force: impl FnMut(&[String]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut why = None;
        for copied in self.0.iter().rev().filter(|copied| copied.lets_begin(at)) {
            match in_force(&copied.grant_ids) {
                Ok(()) => return Ok(()),
                Err(e) => why = why.or(Some(e)),
            }
        }
        let within =
            || format!("{party} was sent a file without an allowed copy in the {} s before", limits::COPY_TIME.as_secs());
        Err(why.unwrap_or_else(|| ("fetch-granted", within()).into()))
    }
}

/// Returns the party whom an entry lets begin to fetch files, the revocation ids of the grant, and the stated time. The files'
/// key permits nobody.
pub fn copied(says: &Predicate) -> Option<(Party, &[String], Result<SystemTime, Broken>)> {
    match says {
        Predicate::Copy { peer, key: false, grant_ids, time: at, .. } => Some((*peer, grant_ids, time(at))),
        // The inputs that came with the job are sent as a file.
        Predicate::Replay { auditor, grant_ids, time: at, .. } => Some((*auditor, grant_ids, time(at))),
        _ => None,
    }
}

/// Refuses anything beginning after the end of a grant of this scope.
///
/// # Errors
/// Returns the broken rule.
pub fn in_time(scope: &Scope, at: SystemTime) -> Result<(), Broken> {
    match scope.until() {
        Some(until) if until + SET > at => Ok(()),
        _ => Err((Uncovered::Expired.rule(), Uncovered::Expired.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::Identity;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn begins(copies: &Copies, seconds: u64, good: &str) -> Result<(), &'static str> {
        let party = Identity::from_seed([2; 32]).id().into();
        let in_force = |ids: &[String]| if ids == [good] { Ok(()) } else { Err(("grant-revoked", String::new())) };
        copies.let_begin::<Broken>(&party, at(seconds), in_force).map_err(|(rule, _)| rule)
    }

    #[test]
    fn a_part_begins_within_the_time_that_a_copy_gives() {
        let ids = |id: &str| vec![id.to_owned()];
        let mut copies = Copies::default();
        assert_eq!(begins(&copies, 0, "a"), Err("fetch-granted"));
        copies.add(&ids("a"), at(1000));
        let time = limits::COPY_TIME.as_secs();
        for (second, may) in [(939, false), (940, true), (1000, true), (1060 + time, true), (1061 + time, false)] {
            assert_eq!(begins(&copies, second, "a").is_ok(), may, "{second}");
        }
        // Again, by the same grant: neither forgets what the other lets, and both are one.
        copies.add(&ids("a"), at(2000));
        copies.add(&ids("a"), at(990));
        assert_eq!(copies.0.len(), 1);
        for (second, may) in [(929, false), (930, true), (2060 + time, true), (2061 + time, false)] {
            assert_eq!(begins(&copies, second, "a").is_ok(), may, "{second}");
        }
        // By any grant that is good.
        copies.add(&ids("b"), at(2000));
        assert_eq!((begins(&copies, 2000, "a"), begins(&copies, 2000, "b")), (Ok(()), Ok(())));
        assert_eq!(begins(&copies, 2000, "c"), Err("grant-revoked"));
        // However many there are, they are no more than so many, and none is kept in vain.
        for number in 0..1000 {
            copies.add(&ids(&number.to_string()), at(2000 + number));
        }
        assert_eq!((copies.0.len(), begins(&copies, 3000, "999")), (GRANTS, Ok(())));
        copies.add(&ids("d"), at(10_000));
        assert_eq!(copies.0.len(), 1);
        // A party is forgotten only once nothing could be begun, whichever way its clock was set.
        assert!(!copies.are_over(at(10_000 + time + 60)) && !copies.are_over(at(10_000 + time + 120)));
        assert!(copies.are_over(at(10_000 + time + 121)) && begins(&copies, 10_000 + time + 61, "d").is_err());
    }
}
