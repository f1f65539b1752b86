//! The signed form of a policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    files::FileRules,
    models::ModelRules,
    read::ReadRules,
    review::ReviewRules,
    rules::{Access, ColumnRule, JobKind, Names, ResourceLimits, UnitRule, Wall},
    sql::QueryRules,
    versions::Answering,
    witnesses::WitnessRule,
};
use crate::{Cost, cost::FemtoDelta, dsse::Document, grant::Action, limits};

/// A checked policy: the signed document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Version of this format.
    pub version: u32,
    /// Privacy unit.
    pub unit: UnitRule,
    /// Columns a job may see, and their public bounds. Others do not exist for a buyer.
    pub columns: BTreeMap<String, ColumnRule>,
    /// Tables, if there are several. Their columns are called `table.column` in `columns`, and each has the unit's column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Total privacy budget of the dataset lineage.
    pub budget: Cost,
    /// Maximum part of the budget for each buyer.
    pub per_buyer: Cost,
    /// δ at which ε is shown to people, in 1e-15: half of the owner's δ. The other half is the δ of `budget`, for key thresholds.
    pub delta_femto: FemtoDelta,
    /// Allowed engines.
    pub kinds: Vec<JobKind>,
    /// Floor on the noisy number of units in a group with an undeclared key.
    pub min_units: u32,
    /// Whether groups that do not appear are added up and released in an additional row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remainder: bool,
    /// Whether a buyer who asks the same again at the same price gets the earlier result, at no cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answer_again: bool,
    /// Rules for exact results; without them there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<ReviewRules>,
    /// Resource limits.
    pub limits: ResourceLimits,
    /// Process confinement required for any job to run, even on a node serving without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walls: Vec<Wall>,
    /// Witnesses whose cosignatures are required to hand out a receipt with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<WitnessRule>,
    /// Form of the names of buyers and other parties in log entries.
    #[serde(default, skip_serializing_if = "Names::is_open")]
    pub parties: Names,
    /// Rules for models.
    #[serde(default, skip_serializing_if = "ModelRules::is_default")]
    pub models: ModelRules,
    /// Versions allowed to answer, as long as this is the newest version's policy.
    #[serde(default, skip_serializing_if = "Answering::is_newest")]
    pub versions: Answering,
    /// Rules for queries.
    #[serde(default, skip_serializing_if = "QueryRules::is_default")]
    pub sql: QueryRules,
    /// Rules for reading text files.
    #[serde(default, skip_serializing_if = "ReadRules::is_default")]
    pub read: ReadRules,
    /// Rules for the published files.
    #[serde(default, skip_serializing_if = "FileRules::is_default")]
    pub files: FileRules,
    /// Release interval in milliseconds: replies are sent at its multiples after the slot.
    pub tick_ms: u64,
    /// Peers whose replies are sent as soon as they are ready. Their clock sees how long a job took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangerous_no_tick_for: Vec<crate::PeerId>,
    /// Access rule for sending jobs.
    pub compute: Access,
    /// Access rule for copying the files.
    pub replicate: Access,
    /// Access rule for rerunning receipts' jobs, which discloses the exact sums.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub replay: Access,
    /// Access rule for keeping the encrypted files and serving them.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub mirror: Access,
    /// Access rule for leasing a part of the budget, and answering jobs over the leaseholder's own rows.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub hold: Access,
    /// Access rule for seeing the dataset's existence, its schema and this policy.
    #[serde(default = "Access::anybody", skip_serializing_if = "Access::is_anybody")]
    pub list: Access,
    /// Access rule for copying the mock rows.
    #[serde(default = "Access::anybody", skip_serializing_if = "Access::is_anybody")]
    pub rehearse: Access,
}

impl Document for Policy {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.policy.v1+json";
    const SHOWN: bool = true;
}

impl Policy {
    /// Returns whether everybody may see the hashes of the files.
    ///
    /// Peers that may not copy them see none, and peers that may not see the listing see no manifest.
    pub fn shows_hashes(&self) -> bool {
        self.list == Access::Anybody && self.replicate != Access::Nobody
    }

    /// Returns the access rule for an action.
    pub fn access(&self, action: Action) -> Access {
        match action {
            Action::List => self.list,
            Action::Rehearse => self.rehearse,
            Action::Compute => self.compute,
            Action::Replicate => self.replicate,
            Action::Mirror => self.mirror,
            Action::Replay => self.replay,
            Action::Hold => self.hold,
        }
    }

    /// Returns the milliseconds of the slot for admitted work at the rates stated here: five eighths of the slot.
    ///
    /// The rest is for finding units that break or stall a worker (`node/src/worker/pieces.rs`), and for drawing noise.
    pub fn work_ms(&self) -> u64 {
        self.limits.slot_ms / 8 * 5
    }

    /// Returns the share of [`Policy::work_ms`] for all calls of a program or model together. The rest is for the query that
    /// selects their rows.
    fn calls_ms(&self) -> u64 {
        self.work_ms() / 4 * 3
    }

    /// Returns the fuel limit of each of `calls` guest calls, from public numbers only.
    pub fn fuel_per_call(&self, calls: u64) -> u64 {
        let all = self.calls_ms().saturating_mul(limits::FUEL_PER_MS);
        self.limits.fuel.min(all / calls.max(1)).max(1)
    }

    /// Returns a model's operation limit for each of `calls` units or blocks, from public numbers only.
    pub fn work_per_call(&self, calls: u64) -> u64 {
        self.calls_ms().saturating_mul(self.models.work_per_ms) / calls.max(1)
    }

    /// Returns a query's operation limit over all rows, from public numbers only.
    pub fn query_work(&self) -> u64 {
        self.work_ms().saturating_mul(self.sql.work_per_ms)
    }

    /// Returns the operation limit over all rows of the query selecting a program's or model's rows, from public numbers only.
    pub fn select_work(&self) -> u64 {
        (self.work_ms() - self.calls_ms()).saturating_mul(self.sql.work_per_ms)
    }

    /// Returns whether replies to `buyer` skip the release interval.
    pub fn skips_tick(&self, buyer: &crate::PeerId) -> bool {
        self.dangerous_no_tick_for.contains(buyer)
    }
}
