//! Intersection of two policies: the rules for an older version, if the newest version's policy lets it answer.
//!
//! Every struct is destructured field by field, so that a new field does not compile until its intersection is decided here.
//! Differences that cannot be combined into one rule (another unit's column, tables, names of parties, witnesses who could not
//! all cosign) leave nothing that a job may do.

use std::collections::BTreeMap;

use super::{
    Access, ColumnRule, Dominance, JobKind, ModelRules, Policy, QueryRules, ResourceLimits, ReviewRules, UnitRule, WitnessRule,
};
use crate::device::DeviceRule;

impl Policy {
    /// Returns what both policies allow, and nothing refused by either.
    ///
    /// The result does not depend on the order of the two, except for the order of lists and the rules for files and their
    /// reading, which are this version's.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let Self {
            version,
            unit,
            columns,
            tables,
            budget,
            per_buyer,
            delta_femto,
            kinds,
            min_units,
            remainder,
            answer_again,
            reviewed,
            limits,
            walls,
            witnesses,
            parties,
            models,
            sql,
            read,
            files,
            versions,
            tick_ms,
            dangerous_no_tick_for,
            compute,
            replicate,
            replay,
            mirror,
            hold,
            list,
            rehearse,
        } = self;
        let witnessed = meet_witnesses(witnesses.as_ref(), other.witnesses.as_ref());
        let (device, models_run) = meet_devices(models.device, other.models.device);
        // If two rules cannot be combined into one, no job may run.
        let jobs = *version == other.version
            && unit.column == other.unit.column
            && *tables == other.tables
            && *parties == other.parties
            && witnessed.is_some();
        let runs = |kind: &JobKind| match kind {
            JobKind::Sql => jobs,
            JobKind::Wasm | JobKind::Onnx => jobs && models_run,
        };
        let for_jobs = |access: Access| if jobs { access } else { Access::Nobody };
        let both = [walls.as_slice(), other.walls.as_slice()].concat();
        Self {
            version: *version,
            unit: unit.meet(&other.unit),
            columns: meet_columns(columns, &other.columns),
            tables: tables.clone(),
            budget: budget.least(other.budget),
            per_buyer: per_buyer.least(other.per_buyer),
            delta_femto: *delta_femto.min(&other.delta_femto),
            kinds: kinds.iter().filter(|kind| other.kinds.contains(kind) && runs(kind)).copied().collect(),
            min_units: *min_units.max(&other.min_units),
            remainder: *remainder && other.remainder,
            answer_again: *answer_again && other.answer_again,
            limits: limits.meet(&other.limits),
            walls: both.iter().enumerate().filter(|(i, wall)| !both[..*i].contains(wall)).map(|(_, wall)| *wall).collect(),
            witnesses: witnessed.flatten(),
            parties: *parties,
            models: ModelRules { device, ..models.meet(&other.models) },
            sql: sql.meet(&other.sql),
            // These rules made this version's rows from its files, whatever a later version's are.
            read: read.clone(),
            // This version's files were published under it.
            files: *files,
            versions: versions.meet(&other.versions),
            tick_ms: *tick_ms.max(&other.tick_ms),
            dangerous_no_tick_for: dangerous_no_tick_for
                .iter()
                .filter(|peer| other.dangerous_no_tick_for.contains(peer))
                .copied()
                .collect(),
            compute: for_jobs(compute.meet(other.compute)),
            replicate: replicate.meet(other.replicate),
            replay: replay.meet(other.replay),
            mirror: mirror.meet(other.mirror),
            hold: for_jobs(hold.meet(other.hold)),
            list: list.meet(other.list),
            rehearse: rehearse.meet(other.rehearse),
            reviewed: reviewed.as_ref().zip(other.reviewed.as_ref()).and_then(|(ours, theirs)| ours.meet(theirs)),
        }
    }
}

impl Access {
    /// Returns the access allowed by both.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::Granted, _) | (_, Self::Granted) => Self::Granted,
            (Self::Anybody, Self::Anybody) => Self::Anybody,
        }
    }
}

impl UnitRule {
    fn meet(&self, other: &Self) -> Self {
        let Self { column, max_units, max_rows, max_groups } = self;
        Self {
            column: column.clone(),
            // The larger bound is the stricter one: the more units there may be, the less each one's call may take.
            max_units: *max_units.max(&other.max_units),
            max_rows: *max_rows.min(&other.max_rows),
            max_groups: *max_groups.min(&other.max_groups),
        }
    }
}

impl QueryRules {
    fn meet(&self, other: &Self) -> Self {
        let Self { work_per_ms, rows } = self;
        Self {
            work_per_ms: *work_per_ms.min(&other.work_per_ms),
            // Here too the larger bound is the stricter one: the more rows there may be, the less may be done with each. Without
            // a bound fewer are looked at.
            rows: rows.zip(other.rows).map(|(ours, theirs)| ours.max(theirs)),
        }
    }
}

/// Intersects columns: those visible in both, within the bounds of both. A column whose bounds do not overlap is dropped.
fn meet_columns(ours: &BTreeMap<String, ColumnRule>, theirs: &BTreeMap<String, ColumnRule>) -> BTreeMap<String, ColumnRule> {
    let both = ours.iter().filter_map(|(name, rule)| Some((name.clone(), rule.meet(theirs.get(name)?)?)));
    both.collect()
}

impl ColumnRule {
    fn meet(&self, other: &Self) -> Option<Self> {
        let Self { lo: _, hi: _, chars } = self;
        // The shorter text.
        let chars = chars.iter().chain(&other.chars).min().copied();
        // Without bounds it cannot be summed.
        let Some(((a, b), (c, d))) = self.bounds().zip(other.bounds()) else {
            return Some(Self { lo: None, hi: None, chars });
        };
        let (lo, hi) = (a.max(c), b.min(d));
        (lo < hi).then_some(Self { lo: Some(lo), hi: Some(hi), chars })
    }
}

impl ResourceLimits {
    fn meet(&self, other: &Self) -> Self {
        let Self { fuel, memory_bytes, slot_ms } = self;
        Self {
            fuel: *fuel.min(&other.fuel),
            memory_bytes: *memory_bytes.min(&other.memory_bytes),
            slot_ms: *slot_ms.min(&other.slot_ms),
        }
    }
}

impl ReviewRules {
    /// Returns `None` if there is no common rounding.
    fn meet(&self, other: &Self) -> Option<Self> {
        let Self { jobs, min_units, dominance: Dominance { units, percent }, p_percent, round_to, standing } = self;
        Some(Self {
            jobs: *jobs.min(&other.jobs),
            min_units: *min_units.max(&other.min_units),
            // The share of more of the largest units is no less, and a share above a limit is above any smaller limit.
            dominance: Dominance { units: *units.max(&other.dominance.units), percent: *percent.min(&other.dominance.percent) },
            p_percent: *p_percent.max(&other.p_percent),
            round_to: common_multiple(*round_to, other.round_to)?,
            standing: standing.iter().filter(|one| other.standing.contains(one)).cloned().collect(),
        })
    }
}

/// Returns the least common multiple.
fn common_multiple(a: u32, b: u32) -> Option<u32> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a.checked_div(x)?.checked_mul(b)
}

/// Returns the common witnesses with the larger quorum, which suffices for either. `None` if there are fewer common witnesses.
fn meet_witnesses(ours: Option<&WitnessRule>, theirs: Option<&WitnessRule>) -> Option<Option<WitnessRule>> {
    let (ours, theirs) = match (ours, theirs) {
        (None, rule) | (rule, None) => return Some(rule.cloned()),
        (Some(ours), Some(theirs)) => (ours, theirs),
    };
    let WitnessRule { keys, quorum } = ours;
    let keys: Vec<_> = keys.iter().filter(|key| theirs.keys.contains(key)).cloned().collect();
    let quorum = *quorum.max(&theirs.quorum);
    (keys.len() >= quorum as usize).then_some(Some(WitnessRule { keys, quorum }))
}

/// Returns the device allowed by both for models, and whether there is any.
fn meet_devices(ours: DeviceRule, theirs: DeviceRule) -> (DeviceRule, bool) {
    match (ours, theirs) {
        (DeviceRule::Auto, device) | (device, DeviceRule::Auto) => (device, true),
        (DeviceRule::Cpu | DeviceRule::Cuda(_), _) => (ours, ours == theirs),
    }
}

impl ModelRules {
    fn meet(&self, other: &Self) -> Self {
        let Self { mixing, work_per_ms, memory_bytes, threads, device, gpu_memory_bytes } = self;
        // 0 stands for all processors.
        let threads = match (*threads, other.threads) {
            (0, threads) | (threads, 0) => threads,
            (ours, theirs) => ours.min(theirs),
        };
        Self {
            mixing: *mixing && other.mixing,
            work_per_ms: *work_per_ms.min(&other.work_per_ms),
            memory_bytes: *memory_bytes.min(&other.memory_bytes),
            threads,
            device: *device,
            gpu_memory_bytes: *gpu_memory_bytes.min(&other.gpu_memory_bytes),
        }
    }
}

#[cfg(test)]
mod tests;
