//! What is unsafe or unusual in a valid policy: safe defaults that are turned off, and numbers far from the usual.

use serde::Serialize;
use tidegate_protocol::{
    Cost,
    policy::{Access, Policy, ReviewRules},
};

use crate::numbers::{count, epsilon as shown, significant};

/// Largest usual ε of a budget.
const MOST_EPSILON: f64 = 10.0;
/// Smallest usual ε of a budget.
const LEAST_EPSILON: f64 = 0.5;
/// Largest usual part of 1 / `max_units` for δ.
const DELTA_SHARE: f64 = 0.1;
/// Smallest usual floor on a group's units.
const MIN_UNITS: u32 = 5;
/// Smallest usual release interval in milliseconds.
const TICK_MS: u64 = 1000;
/// Largest usual number of a unit's rows, and of its groups.
const PER_UNIT: u32 = 100;

/// Something unsafe or unusual in a policy.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Dotted path of the key.
    pub(super) key: &'static str,
    /// Description, which follows the key.
    pub(super) problem: String,
    /// What to write instead.
    pub(super) fix: &'static str,
}

/// Findings, in the order of a policy's sections.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, is: bool, key: &'static str, problem: impl Into<String>, fix: &'static str) {
        if is {
            self.0.push(Finding { key, problem: problem.into(), fix });
        }
    }
}

/// Returns what is unsafe or unusual in `policy`.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = Findings::default();
    of_unit(policy, &mut found);
    of_queries(policy, &mut found);
    of_budget(policy, &mut found);
    of_jobs(policy, &mut found);
    of_access(policy, &mut found);
    found.add(
        !policy.versions.is_newest(),
        "versions.answer",
        "allows jobs on older versions, besides the newest",
        "Write answer = \"newest\", unless the older rows may still be queried",
    );
    if let Some(rules) = &policy.reviewed {
        of_exact(rules, &mut found);
    }
    found.add(
        policy.columns.values().all(|rule| rule.bounds().is_none()),
        "columns",
        "have no bounds: no column can be summed or averaged",
        "Write lo and hi from public knowledge, not from the data",
    );
    found.0
}

/// Finds what makes answers wrong without being unsafe.
fn of_queries(policy: &Policy, found: &mut Findings) {
    found.add(
        policy.sql.rows.is_none() && policy.unit.max_rows > 1,
        "sql.rows",
        "is not stated: a query that reads texts or computes much reads only the first rows of each privacy unit, and says so to the buyer",
        "Write the public maximum number of rows of all privacy units together, such as rows = 50_000 under [sql]",
    );
}

fn of_unit(policy: &Policy, found: &mut Findings) {
    let unit = &policy.unit;
    found.add(
        unit.column == "UNIT",
        "unit.column",
        "is the template's placeholder, not a column",
        "Write the column that identifies the privacy unit of each row",
    );
    found.add(
        unit.max_rows > PER_UNIT,
        "unit.max_rows",
        format!("is {}: one privacy unit can change a count of rows by as much, and the noise is as wide", unit.max_rows),
        "Write fewer: `tidegate survey` shows how many rows then count",
    );
    found.add(
        unit.max_groups > PER_UNIT,
        "unit.max_groups",
        format!("is {}: noise in tables grows with its square root", unit.max_groups),
        "Write fewer: `tidegate survey` shows how many rows then count",
    );
}

/// Returns the ε of all parts of a budget together, at the δ at which the policy shows it.
fn epsilon(cost: Cost, policy: &Policy) -> Option<f64> {
    let epsilon = tidegate_gate::epsilon_of(cost.rho_micro.rho(), policy.delta_femto.delta()).ok()?;
    Some(epsilon + cost.epsilon_micro.epsilon())
}

fn of_budget(policy: &Policy, found: &mut Findings) {
    let share = 2.0 * policy.delta_femto.delta() * policy.unit.max_units as f64;
    found.add(
        share > DELTA_SHARE,
        "budget.delta",
        format!(
            "is {} of 1 / max_units: with so large a δ, all rows of a privacy unit could be released now and then",
            significant(share)
        ),
        "Write a tenth of 1 / max_units, or less",
    );
    if let Some(all) = epsilon(policy.budget, policy) {
        let comes_to = format!("comes to ε = {}", shown(all));
        let larger = format!("{comes_to}, more than the usual {LEAST_EPSILON} to {MOST_EPSILON}: the protection is weak");
        found.add(all > MOST_EPSILON, "budget.epsilon", larger, "Write epsilon = 4.0, or less");
        let smaller = format!("{comes_to}, less than the usual {LEAST_EPSILON} to {MOST_EPSILON}: it allows few questions");
        found.add(all < LEAST_EPSILON, "budget.epsilon", smaller, "Write epsilon = 0.5 or more, or publish for few questions");
    }
    if let Some(one) = epsilon(policy.per_buyer, policy) {
        found.add(
            one > MOST_EPSILON,
            "budget.per_buyer_epsilon",
            format!("comes to ε = {} for each buyer, more than the usual {LEAST_EPSILON} to {MOST_EPSILON}", shown(one)),
            "Write per_buyer_epsilon = 2.0, or less",
        );
    }
    found.add(
        policy.per_buyer.rho_micro == policy.budget.rho_micro,
        "budget.per_buyer_epsilon",
        "is the whole budget: one buyer can leave nothing for others",
        "Write a part of it, such as a half, if there is more than one buyer",
    );
}

fn of_jobs(policy: &Policy, found: &mut Findings) {
    found.add(
        policy.min_units < MIN_UNITS,
        "jobs.min_units",
        format!("is {}: groups of few units may appear", policy.min_units),
        "Write min_units = 20, or at least 5",
    );
    found.add(
        policy.tick_ms < TICK_MS,
        "jobs.tick",
        format!(
            "is {} ms, shorter than the usual second: the time of a reply discloses more about the duration of a job",
            policy.tick_ms
        ),
        "Write tick = \"1s\", or longer",
    );
    found.add(
        !policy.dangerous_no_tick_for.is_empty(),
        "jobs.dangerous_no_tick_for",
        format!(
            "turns the release interval off for {}, who can measure the duration of a job, which may depend on rows",
            count(policy.dangerous_no_tick_for.len(), "buyer", "buyers")
        ),
        "Write dangerous_no_tick_for = [], or remove it",
    );
}

fn of_access(policy: &Policy, found: &mut Findings) {
    let granted = |access: Access| access != Access::Nobody;
    found.add(
        !granted(policy.compute),
        "access.compute",
        "is \"nobody\": every job is rejected, with any grant",
        "Write compute = \"granted\"",
    );
    found.add(
        granted(policy.replicate),
        "access.replicate",
        "lets whoever has a grant for it copy the rows, without noise, and shows hashes and exact sizes of the files to whoever sees the listing",
        "Write replicate = \"nobody\"",
    );
    found.add(
        granted(policy.replay),
        "access.replay",
        "allows holders of such a grant to run jobs again and learn their exact sums",
        "Write replay = \"nobody\", or remove it, unless an auditor needs it",
    );
    let seen = match policy.files.max_bytes {
        Some(_) => "each padded to files.max_mib",
        None => "whose sizes are rounded, and follow from the rows",
    };
    found.add(
        granted(policy.mirror),
        "access.mirror",
        format!("lets whoever has a grant for it keep the files, encrypted, {seen}"),
        "Write mirror = \"nobody\", or leave it away, unless there are mirrors",
    );
    found.add(
        granted(policy.hold),
        "access.hold",
        "allows holders of such a grant to spend a part of the budget, on their own copy of the rows",
        "Write hold = \"nobody\", or remove it, unless there are replicas",
    );
}

fn of_exact(rules: &ReviewRules, found: &mut Findings) {
    found.add(
        true,
        "reviewed",
        format!("allows {} without noise, which no ε covers", count(rules.jobs, "exact result", "exact results")),
        "Remove [reviewed], unless exact results are needed",
    );
    found.add(
        !rules.standing.is_empty(),
        "reviewed.standing",
        format!("releases exact results to {} without your approval", count(rules.standing.len(), "program", "programs")),
        "Write standing = [], and approve each result",
    );
    found.add(
        rules.min_units < 10,
        "reviewed.min_units",
        format!("is {}: exact numbers of so few privacy units are released", rules.min_units),
        "Write min_units = 10, or more",
    );
    found.add(
        rules.dominance.percent > 90,
        "reviewed.dominance",
        format!("releases groups of which {} % come from few privacy units", rules.dominance.percent),
        "Write percent = 75; usual is 75 to 90",
    );
    found.add(
        rules.p_percent < 5,
        "reviewed.p_percent",
        format!("is {}: the second largest privacy unit can estimate the largest that closely", rules.p_percent),
        "Write p_percent = 10; usual is 5 to 20",
    );
    found.add(rules.round_to == 1, "reviewed.round_to", "is 1, which rounds nothing", "Write round_to = 5; usual is 3, 5 or 10");
}
