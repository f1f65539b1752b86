//! Names of casts beside what they are of.
//!
//! The engine calls a cast like its argument, so `AVG(x)` and `AVG(CAST(x AS INT))` would be two columns of one name, as would the
//! keys of `GROUP BY x, CAST(x AS INT)`. A text with such columns is planned again with each cast within [`NAMED`], which gives its first argument and is called like the cast. It
//! is taken off where expressions are made total.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DataFusionError, SchemaError, tree_node::TreeNodeRecursion},
    error::Result,
    logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
    sql::{
        parser::{DFParser, Statement as DfStatement},
        sqlparser::{
            ast::{Expr as Written, FunctionArg, FunctionArgExpr, FunctionArguments, VisitMut, VisitorMut},
            dialect::GenericDialect,
        },
    },
};

/// Name of the function.
pub(super) const NAMED: &str = "named_cast";

/// Creates the function.
pub(super) fn named() -> ScalarUDF {
    ScalarUDF::new_from_impl(Named { signature: Signature::any(2, Volatility::Immutable) })
}

/// First of two arguments, named as a cast to the type that the second one names.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Named {
    signature: Signature,
}

fn lacking() -> DataFusionError {
    DataFusionError::Plan(format!("{NAMED} takes two arguments"))
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        NAMED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [of, Expr::Literal(kind, _)] = args else { return Err(lacking()) };
        Ok(format!("CAST({} AS {})", of.schema_name(), kind.try_as_str().flatten().unwrap_or_default()))
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        kinds.first().cloned().ok_or_else(lacking)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().ok_or_else(lacking)
    }
}

/// Returns whether two columns of a plan would have one name.
pub(super) fn same_name(e: &DataFusionError) -> bool {
    match e.find_root() {
        DataFusionError::Collection(all) => all.first().is_some_and(same_name),
        DataFusionError::SchemaError(e, _) => {
            matches!(**e, SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. })
        }
        root => root.message().contains("require unique expression names"),
    }
}

/// Returns whether an aggregate of a plan has several keys under one name.
///
/// The engine refuses this only if neither key is a plain column: a column's name has its table beside it.
pub(super) fn same_keys(plan: &LogicalPlan) -> Result<bool> {
    let mut same = false;
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::Aggregate(aggregate) = plan {
            let mut names = BTreeSet::new();
            same |= !aggregate.schema.iter().all(|field| names.insert(Column::from(field).flat_name()));
        }
        Ok(if same { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(same)
}

/// Gives each cast of a statement a name of its own.
pub(super) fn apart(mut statement: DfStatement) -> DfStatement {
    if let DfStatement::Statement(inner) = &mut statement {
        let _ = VisitMut::visit(&mut **inner, &mut Apart);
    }
    statement
}

/// Visitor to put casts within [`NAMED`], except of literals.
struct Apart;

impl VisitorMut for Apart {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Written) -> ControlFlow<()> {
        let Written::Cast { expr: of, data_type, .. } = &*expr else { return ControlFlow::Continue(()) };
        if matches!(**of, Written::Value(_) | Written::UnaryOp { .. }) {
            return ControlFlow::Continue(());
        }
        let call = format!("{NAMED}(x, '{}')", data_type.to_string().to_uppercase().replace('\'', "''"));
        let parsed = DFParser::parse_sql_into_expr_with_dialect(&call, &GenericDialect {});
        if let Ok(Written::Function(mut call)) = parsed.map(|parsed| parsed.expr) {
            if let FunctionArguments::List(list) = &mut call.args
                && let Some(first) = list.args.first_mut()
            {
                *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(expr.clone()));
            }
            *expr = Written::Function(call);
        }
        ControlFlow::Continue(())
    }
}
