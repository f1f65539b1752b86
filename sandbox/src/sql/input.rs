//! Sources of rows, and selects over them: the dataset's rows, a row per aggregated privacy unit, or rows joined on the unit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::common::DFSchema;
use tidegate_protocol::{
    Refusal,
    policy::{ColumnRule, Policy},
};

use super::{
    cost::Reach, expr::bounds, first::First, literal::is_null, per_unit::PerUnit, planner::Planned, select::Select,
    unit_join::UnitJoin,
};
use crate::units;

/// Source of rows. The rows of a unit are contiguous, and units ascend.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The dataset's rows.
    Rows,
    /// One row per unit.
    PerUnit(Box<PerUnit>),
    /// Each unit's rows of two inputs, joined.
    Join(Box<UnitJoin>),
    /// Each unit's first rows in an order.
    First(Box<First>),
}

/// A select over a source.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) select: Select,
    pub(super) source: Source,
}

impl Source {
    /// Returns the schema of the source's columns.
    pub(super) fn schema(&self, planned: &Planned) -> Arc<DFSchema> {
        match self {
            Self::Rows => planned.schema.clone(),
            Self::PerUnit(stage) => stage.schema.clone(),
            Self::Join(join) => join.schema.clone(),
            Self::First(first) => first.schema.clone(),
        }
    }

    /// Returns the public bounds of the source's columns.
    pub(super) fn bounds<'a>(&'a self, policy: &'a Policy) -> &'a BTreeMap<String, ColumnRule> {
        match self {
            Self::Rows => &policy.columns,
            Self::PerUnit(stage) => &stage.bounds,
            Self::Join(join) => &join.bounds,
            Self::First(first) => &first.bounds,
        }
    }

    /// Returns the maximum number of rows per unit, if bounded by public numbers.
    pub(super) fn most_a_unit(&self) -> Option<u32> {
        match self {
            Self::Rows => None,
            Self::PerUnit(_) => Some(1),
            Self::First(first) => Some(first.taken().most()),
            Self::Join(join) => join.most_a_unit(),
        }
    }

    /// Counts the source's joins on the unit.
    pub(super) fn unit_joins(&self) -> usize {
        match self {
            Self::Rows => 0,
            Self::PerUnit(stage) => stage.input.source.unit_joins(),
            Self::First(first) => first.input.source.unit_joins(),
            Self::Join(join) => 1 + join.first.source.unit_joins() + join.second.source.unit_joins(),
        }
    }
}

impl Input {
    /// Proves `select` evaluable, and drops unread columns of the source.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for an expression that would fail on every row.
    pub(super) fn new(select: Select, source: Source) -> Result<Self, Refusal> {
        units::prove(&select)?;
        let mut input = Self { select, source };
        input.prune()?;
        Ok(input)
    }

    /// Drops columns of the source not read by the select.
    pub(super) fn prune(&mut self) -> Result<(), Refusal> {
        let read: BTreeSet<String> = self.select.read().map(str::to_owned).collect();
        match &mut self.source {
            Source::Join(join) => {
                join.keep(&read)?;
                self.select.schema = join.schema.clone();
            }
            Source::First(first) => {
                first.keep(&read)?;
                self.select.schema = first.schema.clone();
            }
            Source::Rows | Source::PerUnit(_) => {}
        }
        Ok(())
    }

    /// Returns the selects over the dataset's rows, in the order in which [`super::flow::Flow`] takes their output.
    pub(super) fn leaves(&self) -> Vec<&Select> {
        match &self.source {
            Source::Rows => vec![&self.select],
            Source::PerUnit(stage) => stage.input.leaves(),
            Source::First(first) => first.input.leaves(),
            Source::Join(join) => [join.first.leaves(), join.second.leaves()].concat(),
        }
    }

    /// Returns whether UNION ALL multiplies rows, except where they are then combined into one row per unit.
    pub(super) fn repeats(&self) -> bool {
        let within = match &self.source {
            Source::Rows | Source::PerUnit(_) => false,
            Source::First(first) => first.taken().most() > 1 && first.input.repeats(),
            Source::Join(join) => join.first.repeats() || join.second.repeats(),
        };
        within || self.select.branches.len() > 1
    }

    /// Sets how much of the dataset's rows the leaves read.
    pub(super) fn look_at(&mut self, reach: &Reach) {
        match &mut self.source {
            Source::Rows => self.select.reach = reach.clone(),
            Source::PerUnit(stage) => stage.input.look_at(reach),
            Source::First(first) => first.input.look_at(reach),
            Source::Join(join) => {
                join.first.look_at(reach);
                join.second.look_at(reach);
            }
        }
    }

    /// Computes the public bounds of a selected column over all branches.
    pub(super) fn column_bounds(&self, column: usize, policy: &Policy) -> ColumnRule {
        let known = self.source.bounds(policy);
        let of_branches = self.select.branches.iter().map(|branch| &branch.columns[column]);
        let of_branches = of_branches.filter(|e| !is_null(e)).map(|e| bounds(e, known));
        let both = of_branches.reduce(|a, b| Some((a?.0.min(b?.0), a?.1.max(b?.1)))).flatten();
        ColumnRule { lo: both.map(|b| b.0), hi: both.map(|b| b.1), chars: None }
    }
}
