//! Name of a party in an entry: its key, or a salted commitment, which the owner can open.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PeerId, Sha256Digest};

/// Prefix of a commitment's text.
const HIDDEN: &str = "sha256:";

/// A party as the log names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// The party's key.
    Open(PeerId),
    /// SHA-256 of a salt (32 bytes) and the party's `did:key` as text. The same in all of an owner's log, so that caps can be
    /// checked.
    Hidden(Sha256Digest),
}

impl Party {
    /// Builds the commitment to `peer`.
    pub fn hide(peer: &PeerId, salt: &Sha256Digest) -> Self {
        Self::Hidden(Sha256Digest::of(&[&salt.0[..], peer.did().as_bytes()].concat()))
    }

    /// Returns whether this names `peer`; `salt` opens a commitment.
    pub fn is(&self, peer: &PeerId, salt: Option<&Sha256Digest>) -> bool {
        match self {
            Self::Open(named) => named == peer,
            Self::Hidden(_) => salt.is_some_and(|salt| Self::hide(peer, salt) == *self),
        }
    }

    /// Returns the key, if open.
    pub fn peer(&self) -> Option<PeerId> {
        if let Self::Open(peer) = self { Some(*peer) } else { None }
    }

    /// Returns a few characters, for tables.
    pub fn short(&self) -> String {
        match self {
            Self::Open(peer) => peer.short(),
            Self::Hidden(digest) => hex::encode(&digest.0[..4]),
        }
    }
}

impl From<PeerId> for Party {
    fn from(peer: PeerId) -> Self {
        Self::Open(peer)
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(peer) => peer.fmt(f),
            Self::Hidden(digest) => write!(f, "{HIDDEN}{digest}"),
        }
    }
}

/// Error for a text without a valid party.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("write did:key:… or sha256:…, got {0:?}")]
pub struct BadParty(String);

impl FromStr for Party {
    type Err = BadParty;
    fn from_str(text: &str) -> Result<Self, BadParty> {
        let bad = || BadParty(text.chars().take(80).collect());
        match text.strip_prefix(HIDDEN) {
            Some(digest) => digest.parse().map(Self::Hidden).map_err(|_| bad()),
            // Other text forms of a key would name the same party differently.
            None if text.starts_with("did:key:") => text.parse().map(Self::Open).map_err(|_| bad()),
            None => Err(bad()),
        }
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Party {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn a_commitment_is_opened_by_its_salt_and_key_alone() {
        let [one, other] = [[1; 32], [2; 32]].map(|seed| Identity::from_seed(seed).id());
        let (salt, wrong) = (Sha256Digest([3; 32]), Sha256Digest([4; 32]));
        let hidden = Party::hide(&one, &salt);
        assert!(hidden.is(&one, Some(&salt)));
        assert!(!hidden.is(&one, None) && !hidden.is(&one, Some(&wrong)) && !hidden.is(&other, Some(&salt)));
        assert!(Party::from(one).is(&one, None) && !Party::from(one).is(&other, Some(&salt)));
        for party in [hidden, one.into()] {
            assert_eq!(party.to_string().parse(), Ok(party));
        }
        for bad in ["", "sha256:", "sha256:AB", &hex::encode(one.as_bytes()), "did:key:zz"] {
            assert!(bad.parse::<Party>().is_err(), "{bad}");
        }
    }
}
