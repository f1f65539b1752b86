//! Two tree heads that one log signed and that cannot both be of one history: whoever holds them can show it to anybody.

use serde::{Deserialize, Serialize};
use tidegate_protocol::Sha256Digest;
use tlog_tiles::Hash;

use crate::{
    log::prefix::{Prefix, compare},
    note::{BadNote, Checkpoint, Note, Verifier, checkpoint},
};

/// A fork, or what looks like one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Verifier key of the log.
    pub log: String,
    /// A checkpoint that the log signed.
    pub first: String,
    /// Another of no fewer entries.
    pub second: String,
    /// Of different sizes: what the second one's first entries hash to, and the RFC 6962 consistency proof of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<(Sha256Digest, Vec<Sha256Digest>)>,
}

impl Evidence {
    /// Of two notes of `log`, in either order.
    ///
    /// # Errors
    /// [`BadNote`] where one of them is no checkpoint of it.
    pub fn of(log: &Verifier, one: &Note, other: &Note) -> Result<Self, BadNote> {
        let size = |note| checkpoint::open(note, log).map(|checkpoint| checkpoint.size);
        let (first, second) = if size(one)? <= size(other)? { (one, other) } else { (other, one) };
        Ok(Self { log: log.vkey(), first: first.to_text(), second: second.to_text(), prefix: None })
    }

    /// With what the second one's first entries hash to, by proof.
    #[must_use]
    pub fn with(mut self, (root, proof): (Hash, Vec<Hash>)) -> Self {
        self.prefix = Some((Sha256Digest(root.0), proof.into_iter().map(|hash| Sha256Digest(hash.0)).collect()));
        self
    }

    /// The two heads, where they show that the log was forked.
    ///
    /// # Errors
    /// [`BadNote`] where they do not: a signature does not hold, or they may well be of one history.
    pub fn check(&self) -> Result<(Checkpoint, Checkpoint), BadNote> {
        let log = Verifier::parse(&self.log)?;
        let open = |text: &str| checkpoint::open(&Note::parse(text)?, &log);
        let (first, second) = (open(&self.first)?, open(&self.second)?);
        let forked = if first.size == second.size {
            first.root != second.root
        } else {
            let Some((root, proof)) = &self.prefix else {
                return Err(BadNote(
                    "the checkpoints are of different sizes, and there is no proof that one does not go on from the other".into(),
                ));
            };
            let proof = proof.iter().map(|digest| Hash(digest.0)).collect();
            matches!(compare(&first, &second, Hash(root.0), &proof)?, Prefix::Forked(_))
        };
        if forked { Ok((first, second)) } else { Err(BadNote("both checkpoints are of one history".into())) }
    }
}
