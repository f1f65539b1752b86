//! The owner's TOML file, and the checks for turning the file into a [`Policy`].

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Access, BadPolicy, BudgetFile, ColumnRule, FilesFile, JobKind, ModelsFile, Names, Policy, ReadRules, ResourceLimits,
    ReviewRules, SqlFile, UnitRule, VersionsFile, Wall, WitnessRule, bad, budget::Caps,
};
use crate::{Cost, limits, manifest::ROW_TABLE};

/// `[jobs]` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsFile {
    /// Allowed engines.
    pub kinds: Vec<JobKind>,
    /// Floor on the noisy number of units in an undeclared group.
    pub min_units: u32,
    /// Whether to add up groups that do not appear and release them in a single row.
    #[serde(default)]
    pub remainder: bool,
    /// Whether to answer repeated questions from earlier releases, at no cost.
    #[serde(default)]
    pub answer_again: bool,
    /// Fuel of a guest call.
    pub fuel: u64,
    /// Memory of a guest in MiB.
    pub memory_mib: u64,
    /// Public time budget, as `"5s"`.
    #[serde(with = "humantime_text")]
    pub slot: std::time::Duration,
    /// Public release interval, as `"1s"`.
    #[serde(with = "humantime_text")]
    pub tick: std::time::Duration,
    /// Buyers whose replies are not held to the release interval.
    #[serde(default)]
    pub dangerous_no_tick_for: Vec<crate::PeerId>,
    /// Process confinement required for any job to run: `landlock`, `calls`, `privileges`, `limits`, `namespaces`.
    #[serde(default)]
    pub walls: Vec<Wall>,
}

/// `[access]` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFile {
    /// Access rule for sending jobs.
    pub compute: Access,
    /// Access rule for copying the files.
    pub replicate: Access,
    /// Access rule for rerunning receipts' jobs, which discloses the exact sums.
    #[serde(default = "Access::nobody")]
    pub replay: Access,
    /// Access rule for keeping the encrypted files and serving them; nobody, if not given.
    #[serde(default = "Access::nobody")]
    pub mirror: Access,
    /// Access rule for leasing a part of the budget, and answering jobs over the leaseholder's own rows; nobody, if not given.
    #[serde(default = "Access::nobody")]
    pub hold: Access,
    /// Access rule for seeing the dataset's existence, its schema and its policy; anybody, if not given.
    #[serde(default = "Access::anybody")]
    pub list: Access,
    /// Access rule for copying the mock rows; anybody, if not given.
    #[serde(default = "Access::anybody")]
    pub rehearse: Access,
}

/// `[receipts]` of the file.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsFile {
    /// Names of parties in log entries: `open`, or `hidden`.
    #[serde(default)]
    pub parties: Names,
}

/// The owner's TOML file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Privacy unit.
    pub unit: UnitRule,
    /// Privacy budget.
    pub budget: BudgetFile,
    /// Engines and their limits.
    pub jobs: JobsFile,
    /// Rules for ONNX models.
    #[serde(default)]
    pub models: ModelsFile,
    /// Rules for queries.
    #[serde(default)]
    pub sql: SqlFile,
    /// Rules for reading text files, as far as the files do not describe themselves.
    #[serde(default)]
    pub read: ReadRules,
    /// Access rules.
    pub access: AccessFile,
    /// Bound on the size of files that nobody may copy.
    #[serde(default)]
    pub files: FilesFile,
    /// Visible columns of a dataset of a single table.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnRule>,
    /// Visible columns by table, if there are several tables.
    #[serde(default)]
    pub tables: BTreeMap<String, BTreeMap<String, ColumnRule>>,
    /// Rules for exact results; without them there are none.
    pub reviewed: Option<ReviewRules>,
    /// Witnesses whose cosignatures are required to hand out a receipt.
    pub witnesses: Option<WitnessRule>,
    /// Content of receipts.
    #[serde(default)]
    pub receipts: ReceiptsFile,
    /// Rules for which earlier versions answer.
    #[serde(default)]
    pub versions: VersionsFile,
}

mod humantime_text {
    use serde::{Deserialize, Deserializer, de::Error};
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<std::time::Duration, D::Error> {
        humantime::parse_duration(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl PolicyFile {
    /// Reads a policy file from TOML.
    ///
    /// # Errors
    /// Returns [`BadPolicy`] with the line and field that the TOML reader names.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        toml::from_str(text).map_err(|e| {
            bad(
                "(file)",
                e.to_string().trim().to_owned(),
                "`tidegate new policy FILE` writes a template that explains each field",
            )
        })
    }

    /// Checks every rule and builds the policy to be signed. `rho_of` turns (ε, δ) into ρ.
    ///
    /// # Errors
    /// Returns [`BadPolicy`] with the first field at fault and the fix.
    pub fn check(self, rho_of: impl Fn(f64, f64) -> Option<f64>) -> Result<Policy, BadPolicy> {
        let Self {
            unit,
            budget,
            jobs,
            models,
            sql,
            read,
            access,
            files,
            columns,
            tables,
            reviewed,
            witnesses,
            receipts,
            versions,
        } = self;
        witnesses.as_ref().map_or(Ok(()), WitnessRule::check)?;
        at_least("unit.max_units", unit.max_units, 2, "A bound of fewer than two people protects nobody")?;
        at_least("unit.max_rows", u64::from(unit.max_rows), 1, "A privacy unit needs at least one row")?;
        at_least("unit.max_groups", u64::from(unit.max_groups), 1, "A privacy unit needs at least one row somewhere")?;
        at_least("jobs.min_units", u64::from(jobs.min_units), 1, "Write the minimum size of a group")?;
        at_least("jobs.fuel", jobs.fuel, 1, "A program needs fuel to run")?;
        at_least("jobs.memory_mib", jobs.memory_mib, 1, "A program needs memory to run")?;
        at_least("jobs.slot", jobs.slot.as_millis() as u64, 100, "Write a time budget of at least 100ms, such as \"5s\"")?;
        at_least("jobs.tick", jobs.tick.as_millis() as u64, 100, "Write a release interval of at least 100ms, such as \"1s\"")?;
        if unit.column.is_empty() {
            return Err(bad("unit.column", "is empty", "Name the column that identifies the privacy unit of each row"));
        }
        check_columns("columns", &columns, &unit.column, tables.is_empty())?;
        if !tables.is_empty() && !columns.is_empty() {
            return Err(bad("columns", "cannot be combined with tables", "Move each column to its table: [tables.NAME]"));
        }
        let rows = [
            ("compute", access.compute),
            ("replicate", access.replicate),
            ("replay", access.replay),
            ("mirror", access.mirror),
            ("hold", access.hold),
        ];
        if let Some((what, _)) = rows.into_iter().find(|(_, access)| *access == Access::Anybody) {
            return Err(bad(
                format!("access.{what}"),
                "cannot be \"anybody\"",
                "Write \"granted\", and issue grants to the parties that you trust",
            ));
        }
        if access.hold == Access::Granted && !receipts.parties.is_open() {
            return Err(bad(
                "access.hold",
                "cannot be combined with receipts.parties = \"hidden\": a replica could not tell which buyer's cap is used up",
                "Write parties = \"open\", or hold = \"nobody\"",
            ));
        }
        let mut columns = columns;
        for (table, of_table) in &tables {
            check_table(table, tables.len())?;
            check_columns(&format!("tables.{table}"), of_table, &unit.column, true)?;
            columns.extend(of_table.iter().map(|(name, rule)| (format!("{table}.{name}"), *rule)));
        }
        if !tables.is_empty() && (columns.contains_key(&unit.column) || unit.column == ROW_TABLE) {
            return Err(bad(
                "unit.column",
                "is also the name of a table's column",
                "Rename the privacy unit's column in the files",
            ));
        }
        if jobs.kinds.is_empty() {
            return Err(bad("jobs.kinds", "is empty, so that no job could run", "Write kinds = [\"sql\"], or more"));
        }
        let Caps { total, per_buyer, delta_femto } = budget.check(unit.max_units, &rho_of)?;
        if let Some(rules) = &reviewed {
            rules.check()?;
        }
        let exact = reviewed.as_ref().map_or(0, |rules| rules.jobs);
        Ok(Policy {
            version: 1,
            unit,
            columns,
            tables: tables.into_keys().collect(),
            budget: Cost { reviewed: exact, ..total },
            per_buyer: Cost { reviewed: exact, ..per_buyer },
            delta_femto,
            kinds: jobs.kinds,
            min_units: jobs.min_units,
            remainder: jobs.remainder,
            answer_again: jobs.answer_again,
            reviewed,
            limits: ResourceLimits {
                fuel: jobs.fuel,
                memory_bytes: jobs.memory_mib << 20,
                slot_ms: jobs.slot.as_millis() as u64,
            },
            walls: jobs.walls,
            witnesses,
            parties: receipts.parties,
            models: models.check()?,
            versions: versions.check()?,
            sql: sql.check()?,
            read: read.check()?,
            files: files.check(access.replicate, access.mirror)?,
            tick_ms: jobs.tick.as_millis() as u64,
            dangerous_no_tick_for: jobs.dangerous_no_tick_for,
            compute: access.compute,
            replicate: access.replicate,
            replay: access.replay,
            hold: access.hold,
            mirror: access.mirror,
            list: access.list,
            rehearse: access.rehearse,
        })
    }
}

fn at_least(field: &str, value: u64, least: u64, fix: &str) -> Result<(), BadPolicy> {
    if value < least {
        return Err(bad(field, format!("is {value}; it must be at least {least}"), fix));
    }
    Ok(())
}

/// Checks a table's name, which SQL must read unquoted and unchanged.
fn check_table(name: &str, tables: usize) -> Result<(), BadPolicy> {
    let field = format!("tables.{name}");
    let word = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if name.is_empty() || name.len() > limits::NAME_BYTES || !word || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad(
            field,
            "is not a name of lower-case letters, digits and _",
            "Write the name that queries use, such as `visits`",
        ));
    }
    if tables > limits::TABLES {
        return Err(bad("tables", format!("names more than {} tables", limits::TABLES), "Publish fewer together"));
    }
    Ok(())
}

fn check_columns(of: &str, columns: &BTreeMap<String, ColumnRule>, unit: &str, needed: bool) -> Result<(), BadPolicy> {
    if columns.contains_key(unit) {
        return Err(bad(
            format!("{of}.{unit}"),
            "is the privacy unit's column",
            "Remove it: jobs can count privacy units, and never read them",
        ));
    }
    if columns.is_empty() && needed {
        return Err(bad(of, "is empty", "List each column that a job may use, such as `age = { lo = 0, hi = 110 }`"));
    }
    columns.iter().try_for_each(|(name, rule)| check_column(of, name, rule))
}

fn check_column(of: &str, name: &str, rule: &ColumnRule) -> Result<(), BadPolicy> {
    let field = format!("{of}.{name}");
    if name.is_empty() || name.len() > limits::NAME_BYTES {
        return Err(bad(field, "has an empty or overlong name", "Use the column's name in the files"));
    }
    if rule.chars.is_some_and(|chars| chars == 0 || chars as usize > limits::TEXT_CHARS) {
        return Err(bad(
            field,
            "chars is 0, or exceeds the maximum length of a text in a job",
            format!("Write 1 to {}", limits::TEXT_CHARS),
        ));
    }
    match (rule.lo, rule.hi) {
        (None, None) => Ok(()),
        (Some(lo), Some(hi)) if lo.is_finite() && hi.is_finite() && lo < hi && lo.abs().max(hi.abs()) <= 1e12 => Ok(()),
        (Some(lo), Some(hi)) if lo >= hi => {
            Err(bad(field, format!("bounds are inverted: lo = {lo} is not below hi = {hi}"), "Swap or widen them"))
        }
        (Some(_), Some(_)) => Err(bad(field, "bounds are not finite or beyond 1e12", "Write finite public bounds")),
        _ => Err(bad(field, "has only one bound", "Write both lo and hi, or neither")),
    }
}

#[cfg(test)]
mod tests;
