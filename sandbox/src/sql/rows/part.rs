//! Rows made from a source's rows: filters and expressions, in parts.

use std::sync::Arc;

use datafusion::{
    arrow::{compute::SortOptions, datatypes::DataType},
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable as _},
};
use tidegate_protocol::{Refusal, limits};

use crate::sql::{input::Source, refuse, wrap::unalias};

/// Sort keys of rows: expressions in each part, and sort options.
pub(super) type Order = Vec<(Vec<Expr>, SortOptions)>;

/// Rows as seen by the aggregate.
#[derive(Debug)]
pub(in crate::sql) struct Rows {
    /// Rows made from a row of the source: a single part, or several by UNION ALL.
    pub(super) parts: Vec<Part>,
    pub(super) schema: Arc<DFSchema>,
    /// Source of the rows.
    pub(in crate::sql) source: Source,
    /// Number of public tables' rows held in memory by their keys.
    pub(super) looked_up: usize,
    /// Order by which rows are numbered within their unit.
    pub(super) numbers: Option<Order>,
}

/// Rows made from a row of the source.
#[derive(Debug)]
pub(super) struct Part {
    /// Condition on a row of the source for making a row.
    pub(super) filter: Option<Expr>,
    /// An expression over the source's columns for each field of the rows' schema.
    pub(super) columns: Vec<Expr>,
}

/// A part of the rows.
#[derive(Clone, Copy)]
pub(in crate::sql) struct PartOf<'a> {
    pub(super) part: &'a Part,
    pub(super) schema: &'a DFSchema,
}

impl Rows {
    /// Keeps only rows where `predicate` holds.
    pub(super) fn keep(&mut self, predicate: &Expr) -> Result<(), Refusal> {
        let predicates = self.resolve(predicate)?;
        for (part, predicate) in self.parts.iter_mut().zip(predicates) {
            part.filter = Some(match part.filter.take() {
                Some(before) => before.and(predicate),
                None => predicate,
            });
        }
        Ok(())
    }

    /// Iterates over the parts.
    pub(in crate::sql) fn parts(&self) -> impl Iterator<Item = PartOf<'_>> {
        self.parts.iter().map(|part| PartOf { part, schema: &self.schema })
    }

    /// Iterates over the parts' filters.
    pub(in crate::sql) fn filters(&self) -> impl Iterator<Item = Option<Expr>> {
        self.parts.iter().map(|part| part.filter.clone())
    }

    /// Resolves `expr` in each part.
    pub(in crate::sql) fn resolve(&self, expr: &Expr) -> Result<Vec<Expr>, Refusal> {
        self.parts().map(|part| part.resolve(expr)).collect()
    }

    /// Returns column `name` of the unit's table.
    pub(in crate::sql) fn column(name: String) -> Expr {
        Expr::Column(Column::new_unqualified(name))
    }
}

impl<'a> PartOf<'a> {
    /// Returns the expressions of the fields.
    pub(in crate::sql) fn columns(self) -> &'a [Expr] {
        &self.part.columns
    }

    /// Returns whether an expression is a date or time.
    pub(in crate::sql) fn is_time(self, expr: Option<&Expr>) -> bool {
        expr.and_then(|e| e.get_type(self.schema).ok()).is_some_and(|kind| kind.is_temporal())
    }

    /// Returns whether an expression is a length of time.
    pub(in crate::sql) fn is_length(self, expr: Option<&Expr>) -> bool {
        expr.and_then(|e| e.get_type(self.schema).ok())
            .is_some_and(|kind| matches!(kind, DataType::Duration(_) | DataType::Interval(_)))
    }

    pub(super) fn all(self, exprs: &[Expr]) -> Result<Vec<Expr>, Refusal> {
        exprs.iter().map(|e| self.resolve(e)).collect()
    }

    /// Rewrites `expr` over these rows as an expression over the source's columns.
    pub(in crate::sql) fn resolve(self, expr: &Expr) -> Result<Expr, Refusal> {
        let replace = |expr: Expr| match unalias(&expr) {
            Expr::Column(column) => {
                let at = self.schema.index_of_column(column)?;
                // The replacement for this column is already over the source.
                Ok(Transformed::new(self.part.columns[at].clone(), true, TreeNodeRecursion::Jump))
            }
            // An alias is replaced by the expression that it names.
            bare if matches!(expr, Expr::Alias(_)) => Ok(Transformed::yes(bare.clone())),
            _ => Ok(Transformed::no(expr)),
        };
        let resolved = expr.clone().transform_down(replace).map_err(refuse)?.data;
        let mut nodes = 0usize;
        let counted = resolved.apply(|_| {
            nodes += 1;
            Ok(if nodes > limits::SQL_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        counted.map_err(refuse)?;
        if nodes > limits::SQL_NODES {
            return Err(refuse("subqueries repeat expressions too often").fix("Name fewer columns from within one another"));
        }
        Ok(resolved)
    }
}
