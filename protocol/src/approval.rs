//! Approval by an owner of the exact result of a job.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, dsse::Document};

/// An approval of a single job. It covers every byte of the job, since the job's id is their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Version of this format.
    pub version: u32,
    /// Id of the job document.
    pub job: ContentHash,
    /// Jobs of the same dataset lineage whose exact tables had been released and were reviewed beside this job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<ContentHash>,
    /// Time of the approval, in seconds since 1970.
    pub created: i64,
}

impl Document for Approval {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.approval.v1+json";
}
