//! An owner's word that one job may have its exact result.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, dsse::Document};

/// An approval of one job: of every byte of it, since its id is their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Version of this format.
    pub version: u32,
    /// Id of the job document.
    pub job: ContentHash,
    /// Jobs whose exact tables of the same population had left, and were read beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<ContentHash>,
    /// When, seconds since 1970.
    pub created: i64,
}

impl Document for Approval {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.approval.v1+json";
}
