//! Memory use of a row while expressions are evaluated.
//!
//! An expression holds the results of its first operands until the last is evaluated, so nested functions over texts hold one
//! text per level, and nested CASE or AND hold one copy of the remaining rows per level. The number of rows in a batch follows
//! from that: if it allowed for a single text only, one person's long texts could outgrow a worker.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator},
};

use super::batch::width;
use crate::{RunError, sql::Select};

/// Returns the maximum bytes of a row's intermediate results, beside the columns read and the columns made.
///
/// # Errors
/// Returns [`RunError::Engine`] for an expression that admission should have refused.
pub(crate) fn on_the_way(select: &Select, schema: &DFSchema) -> Result<usize, RunError> {
    let kinds = |read: &[&str]| -> Vec<DataType> {
        let fields = schema.fields().iter().filter(|field| read.contains(&field.name().as_str()));
        fields.map(|field| field.data_type().clone()).collect()
    };
    let copy = width(&kinds(&select.read().collect::<Vec<_>>()));
    let exprs = select.branches.iter().flat_map(|branch| branch.filter.iter().chain(&branch.columns));
    exprs.map(|expr| peak(expr, schema, copy)).try_fold(0, |most, one| Ok(most.max(one?.0)))
}

/// Returns the peak bytes held while an expression is evaluated, the bytes of its result and its type.
///
/// `copy` is the size of a row of the columns read.
fn peak(expr: &Expr, schema: &DFSchema, copy: usize) -> Result<(usize, usize, DataType), RunError> {
    match expr {
        Expr::Alias(alias) => return peak(&alias.expr, schema, copy),
        // Columns are counted where they are stored; a literal is shared by all rows.
        Expr::Column(_) | Expr::Literal(..) => return Ok((0, 0, expr.get_type(schema)?)),
        _ => {}
    }
    let mut parts = Vec::new();
    expr.apply_children(|part| {
        parts.push(part);
        Ok(TreeNodeRecursion::Continue)
    })?;
    let copies = matches!(expr, Expr::Case(_) | Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }));
    let (mut held, mut most, mut kinds) = (if copies { copy } else { 0 }, 0, vec![]);
    for part in parts {
        let (on_the_way, result, kind) = peak(part, schema, copy)?;
        most = most.max(held + on_the_way);
        held += result;
        kinds.push(kind);
    }
    let kind = match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. }) => DataType::Utf8,
        // Anything but a text is small, so the exact numeric type does not matter.
        Expr::BinaryExpr(_) => DataType::Float64,
        Expr::Cast(cast) => cast.field.data_type().clone(),
        Expr::TryCast(cast) => cast.field.data_type().clone(),
        Expr::ScalarFunction(call) => call.func.return_type(&kinds).or_else(|_| expr.get_type(schema))?,
        Expr::Case(_) => kinds.iter().find(|kind| width(std::slice::from_ref(kind)) > 64).cloned().unwrap_or(DataType::Float64),
        Expr::Negative(_) => kinds.pop().unwrap_or(DataType::Float64),
        _ => DataType::Boolean,
    };
    let result = width(std::slice::from_ref(&kind));
    Ok((most.max(held + result), result, kind))
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{Field, Schema},
        functions::expr_fn::{concat, lower},
        logical_expr::{col, lit, when},
    };
    use tidegate_protocol::limits;

    use super::*;

    const TEXT: usize = 4 * limits::TEXT_CHARS;

    fn schema() -> DFSchema {
        let columns = [("note", DataType::Utf8), ("age", DataType::Float64)].map(|(name, kind)| Field::new(name, kind, true));
        DFSchema::try_from(Schema::new(columns.to_vec())).unwrap()
    }

    fn held(expr: &Expr) -> usize {
        peak(expr, &schema(), TEXT + 8).unwrap().0
    }

    /// A nest whose levels wait for one another holds a text for each; one whose levels do not holds two.
    #[test]
    fn what_waits_is_counted() {
        let (mut waiting, mut passing) = (col("note"), col("note"));
        for level in 1..40usize {
            // The first has come, and waits for the second.
            waiting = concat(vec![lower(col("note")), waiting]);
            passing = lower(passing);
            assert!(held(&waiting) >= (level + 1) * TEXT, "{level}: {}", held(&waiting));
            assert!(held(&passing) <= 2 * TEXT, "{level}: {}", held(&passing));
        }
        assert!(held(&(col("age") + lit(1.0)).gt(lit(2.0))) < 64, "numbers are small");
        assert_eq!(held(&lower(lit("a text"))), TEXT, "what is made of a literal may be a text a row");
    }

    /// Where some rows go on they are copied, at each level.
    #[test]
    fn copies_are_counted() {
        let mut nest = col("age").gt(lit(0.0));
        for level in 1..20usize {
            nest = when(col("age").gt(lit(level as f64)), nest).otherwise(lit(false)).unwrap();
            assert!(held(&nest) >= level * TEXT, "{level}: {}", held(&nest));
        }
    }
}
