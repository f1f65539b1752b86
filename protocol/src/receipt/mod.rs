//! Access receipts: in-toto Statement v1 (<https://in-toto.io/Statement/v1>), signed in DSSE, logged before anything is revealed.
//!
//! Receipts are public. No field may depend on a row: no duration, fuel, row count, error text or count of fallback values.
//! [`facts`] has the statements about a
//! job, [`entry`] every kind of entry of a log. `docs/reference/receipts.md` describes them for others.

use serde::{Deserialize, Serialize};

use crate::{Sha256Digest, dsse::Document};

pub mod draft;
pub mod entry;
pub mod facts;
pub mod party;
mod sorted;

pub use entry::{Kind, Predicate};
pub use facts::{ColumnNote, InferenceNote, JobFacts, LedgerLink, Mechanism};
pub use party::Party;

/// in-toto's statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Digest set of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// SHA-256, lower-case hexadecimal.
    pub sha256: Sha256Digest,
}

/// Subject of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Name of the subject.
    pub name: String,
    /// Digests of the subject.
    pub digest: Digests,
}

/// An in-toto statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub type_: String,
    /// Subjects: exactly one.
    pub subject: Vec<Subject>,
    /// [`Kind::uri`] of the predicate.
    pub predicate_type: String,
    /// Predicate.
    pub predicate: Predicate,
}

impl Document for Statement {
    const PAYLOAD_TYPE: &'static str = "application/vnd.in-toto+json";
}

impl Statement {
    /// Builds a statement about a subject with this `name` and `digest`. The predicate type is set from `predicate`.
    pub fn about(name: &str, digest: Sha256Digest, predicate: Predicate) -> Self {
        Self {
            type_: STATEMENT_TYPE.into(),
            subject: vec![Subject { name: name.into(), digest: Digests { sha256: digest } }],
            predicate_type: predicate.kind().uri().into(),
            predicate,
        }
    }

    /// Returns whether the types and the number of subjects match the predicate.
    pub fn is_formed(&self) -> bool {
        self.type_ == STATEMENT_TYPE && self.predicate_type == self.predicate.kind().uri() && self.subject.len() == 1
    }
}
