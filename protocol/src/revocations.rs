//! List of an owner's revoked grants, for mirrors and delegates: signed, numbered, and valid for a limited time.
//!
//! The list's number and digest cover everything that the owner's log revokes. So two differing lists of one number are evidence
//! of an owner who tells mirrors different things, and a list that omits a revocation does not match the log.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{ContentHash, dsse::Document, limits};

/// Default lifetime of a list.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Maximum lifetime of a list.
pub const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);
/// Number of characters of a revoked block's name.
const NAME: usize = 32;

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// Version of this format.
    pub version: u32,
    /// Number of revocation ids revoked in all by the owner's log.
    pub number: u64,
    /// Digest of all revoked ids ([`digest`]).
    pub digest: ContentHash,
    /// Revoked ids by [`name`], without ids of expired grants.
    pub revoked: BTreeSet<String>,
    /// Time of signing, RFC 3339.
    pub issued: String,
    /// Time of expiry, RFC 3339. A node without a later list serves nobody from then on.
    pub expires: String,
}

impl Document for Revocations {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.revocations.v1+json";
}

/// Reason why a grant is not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotGood {
    /// A block of the grant was revoked.
    #[error("the owner has revoked this grant")]
    Revoked,
    /// The list is out of date, so whether the grant was revoked is unknown.
    #[error("cannot tell whether the grant is still valid: the owner's revocation list here is stale")]
    Stale,
}

/// Returns the name in a list of the block with this revocation id.
pub fn name(id: &str) -> String {
    let mut name = ContentHash::of(id.as_bytes()).to_string();
    name.truncate(NAME);
    name
}

/// Returns the revocation id of a retired version, which is listed like any other.
pub fn of_version(manifest: &ContentHash) -> String {
    format!("version {manifest}")
}

/// Returns the revocation id of a dataset retired as a whole.
pub fn of_population(population: &ContentHash) -> String {
    format!("population {population}")
}

/// Hashes revocation ids in order with BLAKE3, each followed by a newline.
pub fn digest<'a>(ids: impl Iterator<Item = &'a str>) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    for id in ids {
        hasher.update(id.as_bytes()).update(b"\n");
    }
    ContentHash(*hasher.finalize().as_bytes())
}

impl Revocations {
    /// Builds a list from all ids revoked by the log. Only ids accepted by `matters` are listed.
    pub fn of(ids: &BTreeSet<String>, matters: impl Fn(&str) -> bool, now: SystemTime, lifetime: Duration) -> Self {
        let text = |time: SystemTime| jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default();
        Self {
            version: 1,
            number: ids.len() as u64,
            digest: digest(ids.iter().map(String::as_str)),
            revoked: ids.iter().filter(|id| matters(id)).map(|id| name(id)).collect(),
            issued: text(now),
            expires: text(now + lifetime.min(LONGEST)),
        }
    }

    /// Validates the list at `now`.
    ///
    /// # Errors
    /// Returns the name of the first bad field.
    pub fn check(&self, now: SystemTime) -> Result<(), &'static str> {
        if self.version != 1 {
            return Err("version");
        }
        if self.revoked.len() as u64 > self.number || self.revoked.iter().any(|name| name.len() != NAME) {
            return Err("revoked");
        }
        let skew = Duration::from_secs(limits::CLOCK_SKEW_SECONDS as u64);
        let issued = time(&self.issued).filter(|issued| *issued <= now + skew).ok_or("issued")?;
        let lasts = time(&self.expires).and_then(|expires| expires.duration_since(issued).ok());
        lasts.filter(|lasts| *lasts <= LONGEST).map(|_| ()).ok_or("expires")
    }

    /// Checks whether a grant whose blocks have these revocation ids is honoured at `now`.
    ///
    /// # Errors
    /// Returns [`NotGood`] if it is revoked or the list has expired.
    pub fn good(&self, ids: &[String], now: SystemTime) -> Result<(), NotGood> {
        if ids.iter().any(|id| self.revoked.contains(&name(id))) {
            return Err(NotGood::Revoked);
        }
        if time(&self.expires).is_none_or(|expires| expires <= now) {
            return Err(NotGood::Stale);
        }
        Ok(())
    }

    /// Returns the sort key of lists, from earlier to later: number of revocations, then time of signing.
    pub fn order(&self) -> (u64, Option<SystemTime>) {
        (self.number, time(&self.issued))
    }
}

fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn list() -> Revocations {
        Revocations::of(&["a".to_owned(), "b".into()].into(), |id| id == "a", at(0), Duration::from_secs(60))
    }

    #[test]
    fn what_is_revoked_and_what_nobody_can_know_is_not_good() {
        let good = |ids: &[&str], seconds| list().good(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(), at(seconds));
        assert_eq!(good(&["c", "d"], 59), Ok(()));
        assert_eq!(good(&["c", "d"], 60), Err(NotGood::Stale));
        assert_eq!(good(&["c", "a"], 0), Err(NotGood::Revoked));
        assert_eq!(good(&["b"], 0), Ok(()), "it is over by itself");
        let unreadable = Revocations { expires: "later".into(), ..list() };
        assert_eq!(unreadable.good(&["c".into()], at(0)), Err(NotGood::Stale));
    }

    #[test]
    fn each_field_has_its_bounds() {
        assert_eq!(list().check(at(0)), Ok(()));
        assert_eq!(list().check(at(1_000)), Ok(()), "an old one is one");
        assert_eq!(Revocations { version: 2, ..list() }.check(at(0)), Err("version"));
        assert_eq!(Revocations { number: 0, ..list() }.check(at(0)), Err("revoked"));
        assert_eq!(Revocations { revoked: ["x".into()].into(), ..list() }.check(at(0)), Err("revoked"));
        assert_eq!(list().check(at(0) - Duration::from_secs(301)), Err("issued"));
        let text = |seconds| jiff::Timestamp::try_from(at(seconds)).unwrap().to_string();
        assert_eq!(Revocations { expires: text(LONGEST.as_secs() + 1), ..list() }.check(at(0)), Err("expires"));
        let before = jiff::Timestamp::try_from(at(0) - Duration::from_secs(1)).unwrap().to_string();
        assert_eq!(Revocations { expires: before, ..list() }.check(at(0)), Err("expires"));
        let forever = Revocations::of(&BTreeSet::new(), |_| true, at(0), LONGEST * 5);
        assert_eq!(forever.check(at(0)), Ok(()));
    }

    #[test]
    fn the_digest_is_of_which_ids_they_are() {
        assert_ne!(digest(["ab", "c"].into_iter()), digest(["a", "bc"].into_iter()));
        assert!(list().order() > Revocations::of(&["a".to_owned()].into(), |_| true, at(9), LIFETIME).order());
    }
}
