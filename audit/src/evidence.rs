//! Proof of a forked log: two signed tree heads of the same log with contradicting histories, which anybody can check.

use serde::{Deserialize, Serialize};
use tidegate_protocol::Sha256Digest;
use tlog_tiles::Hash;

use crate::{
    log::prefix::{Prefix, compare},
    note::{BadNote, Checkpoint, Note, Verifier, checkpoint},
};

/// Evidence of a fork, not necessarily valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Verifier key of the log.
    pub log: String,
    /// A checkpoint signed by the log.
    pub first: String,
    /// Another checkpoint, with at least as many entries.
    pub second: String,
    /// For different sizes: the root of the second checkpoint's first entries, and its RFC 6962 consistency proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<(Sha256Digest, Vec<Sha256Digest>)>,
}

impl Evidence {
    /// Builds evidence from two notes of `log`, in either order.
    ///
    /// # Errors
    /// Returns [`BadNote`] if either note is not a checkpoint of the log.
    pub fn of(log: &Verifier, one: &Note, other: &Note) -> Result<Self, BadNote> {
        let size = |note| checkpoint::open(note, log).map(|checkpoint| checkpoint.size);
        let (first, second) = if size(one)? <= size(other)? { (one, other) } else { (other, one) };
        Ok(Self { log: log.vkey(), first: first.to_text(), second: second.to_text(), prefix: None })
    }

    /// Adds the root of the second checkpoint's first entries and its proof.
    #[must_use]
    pub fn with(mut self, (root, proof): (Hash, Vec<Hash>)) -> Self {
        self.prefix = Some((Sha256Digest(root.0), proof.into_iter().map(|hash| Sha256Digest(hash.0)).collect()));
        self
    }

    /// Returns the two heads if they show a fork of the log.
    ///
    /// # Errors
    /// Returns [`BadNote`] if they do not: a signature does not hold, or both may well be of one history.
    pub fn check(&self) -> Result<(Checkpoint, Checkpoint), BadNote> {
        let log = Verifier::parse(&self.log)?;
        let open = |text: &str| checkpoint::open(&Note::parse(text)?, &log);
        let (first, second) = (open(&self.first)?, open(&self.second)?);
        let forked = if first.size == second.size {
            first.root != second.root
        } else {
            let Some((root, proof)) = &self.prefix else {
                return Err(BadNote(
                    "the checkpoints have different sizes, and the evidence has no consistency proof between them".into(),
                ));
            };
            let proof = proof.iter().map(|digest| Hash(digest.0)).collect();
            matches!(compare(&first, &second, Hash(root.0), &proof)?, Prefix::Forked(_))
        };
        if forked { Ok((first, second)) } else { Err(BadNote("the checkpoints are consistent: they show no fork".into())) }
    }
}
