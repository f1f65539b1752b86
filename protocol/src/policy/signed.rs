//! The policy that an owner signs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
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
    /// The privacy unit.
    pub unit: UnitRule,
    /// Columns a job may see, and their public bounds. Others do not exist for a buyer.
    pub columns: BTreeMap<String, ColumnRule>,
    /// The tables, where there are several: their columns are called `table.column` in `columns`, and each has the unit's column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// The population's whole budget.
    pub budget: Cost,
    /// What one buyer may spend of it.
    pub per_buyer: Cost,
    /// The δ at which ε is shown to people, in 1e-15: half of the owner's. The other half is the δ of `budget`, for key thresholds.
    pub delta_femto: FemtoDelta,
    /// Allowed engines.
    pub kinds: Vec<JobKind>,
    /// Floor on the noisy number of units in a group with an undeclared key.
    pub min_units: u32,
    /// Groups that do not appear are added up and released as one row more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remainder: bool,
    /// A buyer who asks the same at the same price again gets the result that it was given, at no cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answer_again: bool,
    /// Rules for exact results; without them there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<ReviewRules>,
    /// Resource limits.
    pub limits: ResourceLimits,
    /// Walls without which no job runs, also where the node serves without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walls: Vec<Wall>,
    /// Whose cosignatures a receipt needs before it is handed out, with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<WitnessRule>,
    /// How entries of the log name buyers and other parties.
    #[serde(default, skip_serializing_if = "Names::is_open")]
    pub parties: Names,
    /// Which models are taken.
    #[serde(default, skip_serializing_if = "ModelRules::is_default")]
    pub models: ModelRules,
    /// Which versions answer, as long as this is the newest one's policy.
    #[serde(default, skip_serializing_if = "Answering::is_newest")]
    pub versions: Answering,
    /// Which queries are taken.
    #[serde(default, skip_serializing_if = "QueryRules::is_default")]
    pub sql: QueryRules,
    /// How text files are read.
    #[serde(default, skip_serializing_if = "ReadRules::is_default")]
    pub read: ReadRules,
    /// Replies leave at multiples of this many milliseconds after the slot.
    pub tick_ms: u64,
    /// Peers whose replies leave as soon as they are ready: their clock sees how long a job took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangerous_no_tick_for: Vec<crate::PeerId>,
    /// Who may send jobs.
    pub compute: Access,
    /// Who may copy the files.
    pub replicate: Access,
    /// Who may run receipts' jobs again, and learns what the exact sums were.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub replay: Access,
    /// Who may keep the encrypted files and serve them.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub mirror: Access,
    /// Who may be handed a part of the budget, and answer jobs by it over rows that it has.
    #[serde(default = "Access::nobody", skip_serializing_if = "Access::is_nobody")]
    pub hold: Access,
    /// Who may see that the dataset is there, its schema and this policy.
    #[serde(default = "Access::anybody", skip_serializing_if = "Access::is_anybody")]
    pub list: Access,
    /// Who may copy the mock rows.
    #[serde(default = "Access::anybody", skip_serializing_if = "Access::is_anybody")]
    pub rehearse: Access,
}

impl Document for Policy {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.policy.v1+json";
    const SHOWN: bool = true;
}

impl Policy {
    /// Whether everybody may see the hashes of the files: who may not copy them sees none, and who may not see the listing sees no manifest.
    pub fn shows_hashes(&self) -> bool {
        self.list == Access::Anybody && self.replicate != Access::Nobody
    }

    /// Who may do this.
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

    /// Milliseconds of the slot that what is admitted may take at the rates stated here: five eighths of it. In the rest, units that break or stall a worker are looked
    /// for (`node/src/worker/pieces.rs`), and noise is drawn.
    pub fn work_ms(&self) -> u64 {
        self.limits.slot_ms / 8 * 5
    }

    /// Of these, what a program's or a model's calls may take, all together. The rest is for the query that selects their rows.
    fn calls_ms(&self) -> u64 {
        self.work_ms() / 4 * 3
    }

    /// Fuel of one guest call when there are `calls` of them: public numbers alone.
    pub fn fuel_per_call(&self, calls: u64) -> u64 {
        let all = self.calls_ms().saturating_mul(limits::FUEL_PER_MS);
        self.limits.fuel.min(all / calls.max(1)).max(1)
    }

    /// Operations that a model may take for each of `calls` units or blocks: public numbers alone.
    pub fn work_per_call(&self, calls: u64) -> u64 {
        self.calls_ms().saturating_mul(self.models.work_per_ms) / calls.max(1)
    }

    /// Operations that a query may take, over all rows: public numbers alone.
    pub fn query_work(&self) -> u64 {
        self.work_ms().saturating_mul(self.sql.work_per_ms)
    }

    /// Operations that the query which selects a program's or a model's rows may take, over all rows: public numbers alone.
    pub fn select_work(&self) -> u64 {
        (self.work_ms() - self.calls_ms()).saturating_mul(self.sql.work_per_ms)
    }

    /// Whether `buyer` gets replies off the tick.
    pub fn skips_tick(&self, buyer: &crate::PeerId) -> bool {
        self.dangerous_no_tick_for.contains(buyer)
    }
}
