//! Reads of the dataset: filters and row expressions, all total.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable as _},
};
use tidegate_protocol::{Refusal, limits};

use super::{
    cost::Reach,
    exact::{checked, exact, lossless, one_number},
    expr::total,
    refuse,
    said::engine,
};

/// One of the rows made from a row of the dataset.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Condition under which the row is made.
    pub filter: Option<Expr>,
    /// Values of the row.
    pub columns: Vec<Expr>,
}

/// Filters and row expressions.
#[derive(Debug, Clone)]
pub struct Select {
    /// A single branch, or several if queries are combined by UNION ALL.
    pub branches: Vec<Branch>,
    /// Names of the columns.
    pub names: Vec<String>,
    pub(crate) schema: Arc<DFSchema>,
    /// Name of the unit's column; empty if the source has no such column.
    pub(crate) unit: String,
    /// Extent to which the dataset's rows are read.
    pub(crate) reach: Reach,
}

impl Select {
    /// Returns the names of the source's columns read by the select.
    pub(crate) fn read(&self) -> impl Iterator<Item = &str> {
        let exprs = self.branches.iter().flat_map(|branch| branch.filter.iter().chain(&branch.columns));
        exprs.flat_map(Expr::column_refs).map(|column| column.name.as_str())
    }

    /// Builds a select over a source with this schema, in which `unit` cannot be read.
    ///
    /// Filters are made total; columns are total already, and get a common type in all branches.
    pub(super) fn new(
        names: Vec<String>,
        branches: Vec<(Option<Expr>, Vec<Expr>)>,
        schema: Arc<DFSchema>,
        unit: &str,
    ) -> Result<Self, Refusal> {
        if names.len() > limits::COLUMNS {
            return Err(refuse(format!("more than {} columns", limits::COLUMNS)));
        }
        let mut branches = branches
            .into_iter()
            .map(|(filter, columns)| {
                let filter = filter.map(|f| exact(total(f, unit)?, &schema)).transpose()?;
                let columns = columns.into_iter().map(|c| exact(c, &schema)).collect::<Result<_, Refusal>>()?;
                Ok(Branch { filter, columns })
            })
            .collect::<Result<Vec<_>, Refusal>>()?;
        for i in 0..names.len() {
            if branches.len() > 1 {
                branches.iter().try_for_each(|branch| lossless(&branch.columns[i], &schema))?;
            }
            one_number(branches.iter_mut().map(|branch| &mut branch.columns[i]), &schema);
            let kinds = branches.iter().map(|b| b.columns[i].get_type(&*schema)).collect::<Result<Vec<_>, _>>();
            let kinds = kinds.map_err(|e| engine(&e))?;
            if kinds.windows(2).all(|two| two[0] == two[1]) {
                continue;
            }
            // Making an expression total may change its type, as sums of integers become floats.
            if kinds.iter().any(|k| matches!(k, DataType::Timestamp(..))) {
                let times = branches.iter_mut().map(|branch| &mut branch.columns[i]);
                one_time(times, &kinds, &schema)?;
                continue;
            }
            let numbers = kinds.iter().all(|k| k.is_numeric() || k.is_null());
            let first = kinds.into_iter().find(|k| !k.is_null());
            let one = if numbers { DataType::Float64 } else { first.unwrap_or(DataType::Null) };
            for branch in &mut branches {
                branch.columns[i] = checked(branch.columns[i].clone(), one.clone(), &schema);
            }
        }
        // For joined rows and for rows of units, the unit is known without a column.
        let unit = if schema.has_column_with_unqualified_name(unit) { unit } else { "" };
        Ok(Self { branches, names, unit: unit.to_owned(), schema, reach: Reach::default() })
    }
}

/// Casts times of different types to a common type, in microseconds.
fn one_time<'e>(times: impl Iterator<Item = &'e mut Expr>, kinds: &[DataType], schema: &DFSchema) -> Result<(), Refusal> {
    let zone = kinds.iter().find_map(|kind| if let DataType::Timestamp(_, zone) = kind { Some(zone.clone()) } else { None });
    let one = DataType::Timestamp(TimeUnit::Microsecond, zone.flatten());
    for (time, kind) in times.zip(kinds) {
        let finer = matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _)) && !matches!(time, Expr::Literal(..));
        if finer {
            return Err(refuse("UNION ALL of times in nanoseconds and of others is not supported: no type holds both"));
        }
        *time = checked(time.clone(), one.clone(), schema);
    }
    Ok(())
}
