//! Sources of rows, and selects over them: the dataset's rows, a row per aggregated privacy unit, or rows joined on the unit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{compute::SortOptions, datatypes::DataType};
use datafusion::{
    common::DFSchema,
    logical_expr::{AggregateUDF, ExprSchemable as _},
};
use tidegate_protocol::{
    Refusal,
    policy::{ColumnRule, Policy},
};

use super::{cost::Reach, expr::bounds, first::Taken, literal::is_null, planner::Planned, said::engine, select::Select};
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

/// An aggregate of a unit's rows.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// Aggregate of all rows, by the engine.
    All(Arc<AggregateUDF>),
    /// Value of the first row in an order; the sort keys follow the arguments in the input, from column `keys` on.
    First { keys: usize, order: Vec<SortOptions> },
    /// Number of distinct values.
    Distinct,
    /// Percentile of the values.
    Percentile(f64),
}

/// Aggregates of the subquery.
#[derive(Debug, Clone)]
pub(super) struct PerUnit {
    pub(super) calls: Vec<Call>,
    /// Types of the input's columns.
    pub(super) kinds: Vec<DataType>,
    /// Arguments, one named column per aggregate, followed by the sort keys of first rows.
    pub(super) input: Input,
    /// Names and types of the results.
    pub(super) schema: Arc<DFSchema>,
    /// Public bounds of the results, where known.
    pub(super) bounds: BTreeMap<String, ColumnRule>,
}

/// An admitted selection of each unit's first rows.
#[derive(Debug, Clone)]
pub(super) struct First {
    /// Input whose columns are the output columns, followed by the sort keys.
    pub(super) input: Input,
    pub(super) order: Vec<SortOptions>,
    pub(super) taken: Taken,
    /// Whether a row's number is among the columns.
    pub(super) numbered: bool,
    /// Output columns.
    pub(super) schema: Arc<DFSchema>,
    pub(super) bounds: BTreeMap<String, ColumnRule>,
}

/// Kind of a join, by its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pairs.
    Inner,
    /// Pairs, and the first input's rows without a pair.
    Outer,
    /// Pairs, and both inputs' rows without a pair.
    Full,
    /// The first input's rows with a pair.
    Semi,
    /// The first input's rows without a pair.
    Anti,
}

/// An admitted join on the unit.
#[derive(Debug, Clone)]
pub(super) struct UnitJoin {
    pub(super) kind: Kind,
    /// First input: columns, followed by keys.
    pub(super) first: Input,
    pub(super) second: Input,
    /// Number of key columns, which must be equal, at the end of each input.
    pub(super) keys: usize,
    /// Further condition on a pair, over [`UnitJoin::schema`].
    pub(super) condition: Option<Select>,
    /// Columns of the first input, columns of the second, and whether there is a row of each.
    pub(super) schema: Arc<DFSchema>,
    pub(super) bounds: BTreeMap<String, ColumnRule>,
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

    /// Returns the types of the selected columns.
    pub(super) fn kinds(&self) -> Result<Vec<DataType>, Refusal> {
        let schema = &self.select.schema;
        self.select.branches[0].columns.iter().map(|e| e.get_type(&**schema).map_err(|e| engine(&e))).collect()
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
