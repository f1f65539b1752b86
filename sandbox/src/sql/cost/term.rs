//! Worst cases of expressions: operations for a row, and the longest possible text.

use std::fmt;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{BinaryExpr, Expr, Operator},
};
use tidegate_protocol::{Refusal, limits, manifest::ROW_TABLE};

use super::{
    case::Term,
    reach::Texts,
    weights::{self, COLUMN},
};
use crate::sql::{
    kinds, refuse, times,
    written::{is_inner, written},
};

/// Costliest part of an expression, as shown.
#[derive(Debug, Clone)]
pub(super) struct Heavy {
    work: u64,
    shown: String,
}

impl Heavy {
    pub(super) fn new(work: u64, expr: &Expr) -> Self {
        Self { work, shown: written(expr) }
    }
}

impl fmt::Display for Heavy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, with {} operations a row", self.shown, self.work)
    }
}

/// Returns whether the query's text has an expression: not if it is a column of a subquery or a join, or reads the column with a
/// row's table, which no text names.
fn is_written(expr: &Expr) -> bool {
    let inner = matches!(expr, Expr::Column(column) if is_inner(&column.name));
    !inner && !expr.column_refs().iter().any(|column| column.name == ROW_TABLE)
}

/// Returns the costlier of two.
pub(super) fn heavier(a: Option<Heavy>, b: Option<Heavy>) -> Option<Heavy> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.work >= b.work { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Source of expressions.
pub(super) struct Over<'a> {
    schema: &'a DFSchema,
    /// Longest texts of the source's columns.
    texts: &'a Texts,
    /// Operations for copying a row's columns, as CASE and AND do if only some rows go on.
    copied: u64,
}

impl<'a> Over<'a> {
    /// Creates the source of expressions evaluated on the same rows.
    pub(super) fn new<'e>(schema: &'a DFSchema, texts: &'a Texts, exprs: impl Iterator<Item = &'e Expr>) -> Self {
        let read: std::collections::BTreeSet<&str> =
            exprs.flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
        let text = |name: &str| {
            let long = schema.field_with_unqualified_name(name).is_ok_and(|field| weights::is_text(field.data_type()));
            if long { texts.get(name).copied().unwrap_or(4 * limits::TEXT_CHARS as u64) } else { 0 }
        };
        let copied = read.iter().map(|name| 4 + text(name) / 4).sum();
        Self { schema, texts, copied }
    }

    /// Returns the operations for copying a row's columns.
    pub(super) fn copied(&self) -> u64 {
        self.copied
    }

    /// Returns the type of an expression.
    fn kind(&self, expr: &Expr) -> Result<DataType, Refusal> {
        weights::kind(expr, self.schema)
    }

    /// Computes the worst case of `expr`.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for an expression without a worst case.
    pub(super) fn term<'e>(&self, expr: &'e Expr) -> Result<Term<'e>, Refusal> {
        let mut parts: Vec<&'e Expr> = Vec::new();
        let part = &mut parts;
        match expr {
            Expr::Column(column) => {
                let kind = self.kind(expr)?;
                if kind.is_nested() || matches!(kind, DataType::RunEndEncoded(..)) {
                    return Err(refuse(format!(
                        "column {} of type {} is not supported: it is of any length",
                        column.name,
                        kinds::kind(&kind)
                    ))
                    .fix("Publish what is asked for as columns of their own"));
                }
                let bytes = if weights::is_text(&kind) {
                    self.texts.get(&column.name).copied().unwrap_or(4 * limits::TEXT_CHARS as u64)
                } else {
                    0
                };
                return Ok(Term { work: 1, bytes, once: 0, patterns: 0, heavy: None });
            }
            Expr::Literal(value, _) => {
                return Ok(Term { work: 1, bytes: literal_bytes(value), once: 0, patterns: 0, heavy: None });
            }
            Expr::Alias(alias) => return self.term(&alias.expr),
            Expr::Not(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsTrue(e)
            | Expr::IsFalse(e)
            | Expr::IsNotTrue(e)
            | Expr::IsNotFalse(e)
            | Expr::Negative(e) => part.push(e),
            Expr::TryCast(cast) => part.push(&cast.expr),
            Expr::Cast(cast) => part.push(&cast.expr),
            Expr::Between(b) => part.extend([&*b.expr, &*b.low, &*b.high]),
            Expr::InList(list) => part.extend(std::iter::once(&*list.expr).chain(&list.list)),
            Expr::Like(like) => part.extend([&*like.expr, &*like.pattern]),
            Expr::Case(case) => {
                part.extend(case.expr.as_deref());
                part.extend(case.when_then_expr.iter().flat_map(|(when, then)| [&**when, &**then]));
                part.extend(case.else_expr.as_deref());
            }
            Expr::BinaryExpr(binary) => part.extend([&*binary.left, &*binary.right]),
            Expr::ScalarFunction(call) => part.extend(&call.args),
            other => return Err(refuse(format!("{} has no known cost", written(other)))),
        }
        let terms = parts.iter().map(|part| self.term(part)).collect::<Result<Vec<_>, _>>()?;
        let (mine, bytes) = self.own(expr, &parts, &terms)?;
        let mut all = Term { work: mine, bytes, once: 0, patterns: 0, heavy: is_written(expr).then_some((mine, expr)) };
        if let Expr::ScalarFunction(call) = expr
            && let Some(pattern) = crate::sql::matching::pattern(&call.func)
        {
            (all.once, all.patterns) = (pattern.once, 1);
        }
        for term in terms {
            all.work = all.work.saturating_add(term.work);
            all.once = all.once.saturating_add(term.once);
            all.patterns += term.patterns;
            if term.heavy.map(|heavy| heavy.0) > all.heavy.map(|heavy| heavy.0) {
                all.heavy = term.heavy;
            }
        }
        Ok(all)
    }

    /// Returns an expression's own operations, and its longest possible text.
    fn own(&self, expr: &Expr, parts: &[&Expr], terms: &[Term<'_>]) -> Result<(u64, u64), Refusal> {
        let bytes = |i: usize| terms.get(i).map_or(0, |term| term.bytes);
        let longest = terms.iter().map(|term| term.bytes).max().unwrap_or(0);
        let shortest = terms.iter().map(|term| term.bytes).min().unwrap_or(0);
        let of = |what: &dyn Fn(&DataType) -> bool| parts.iter().any(|e| self.kind(e).is_ok_and(|kind| what(&kind)));
        Ok(match expr {
            Expr::TryCast(cast) => weights::cast(&self.kind(parts[0])?, cast.field.data_type(), bytes(0))?,
            Expr::Cast(cast) => weights::cast(&self.kind(parts[0])?, cast.field.data_type(), bytes(0))?,
            Expr::Between(_) => (20 + longest / 4, 0),
            Expr::InList(list) => {
                let plain = list.list.iter().all(|e| matches!(e, Expr::Literal(..)));
                let each = if plain { 4 } else { 12 + bytes(0) / 4 };
                (20 + bytes(0) / 2 + each * list.list.len() as u64, 0)
            }
            // Patterns with a wildcard inside are functions.
            Expr::Like(_) => (20 + bytes(0) / 2, 0),
            Expr::Case(case) => {
                let then = case.when_then_expr.iter().map(|(_, then)| &**then).chain(case.else_expr.as_deref());
                let text = |e: &Expr| parts.iter().position(|part| std::ptr::eq(*part, e)).map_or(0, bytes);
                let longest = then.map(text).max().unwrap_or(0);
                let branches = case.when_then_expr.len() as u64 + 1;
                (branches * (12 + self.copied + bytes(0) / 8) + longest, longest)
            }
            Expr::BinaryExpr(BinaryExpr { op, .. }) => match op {
                // If few rows go on, they are copied.
                Operator::And | Operator::Or => (8 + self.copied, 0),
                _ if of(&weights::is_wide) => (2000, 0),
                _ if of(&DataType::is_decimal) => (50, 0),
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => (4, 0),
                Operator::StringConcat => {
                    let both = bytes(0).saturating_add(bytes(1));
                    (30 + both / 4, both)
                }
                _ => (8 + shortest / 4, 0),
            },
            Expr::ScalarFunction(call) => match times::of(&call.func) {
                Some(what) => {
                    let zoned = |e: &&&Expr| self.kind(e).is_ok_and(|kind| matches!(kind, DataType::Timestamp(_, Some(_))));
                    let zones = parts.iter().filter(zoned).count();
                    times::cost(what, zones as u64, zones == 1 && parts.len() > 1)
                }
                None => weights::function(call, terms, COLUMN)?,
            },
            _ => (3, 0),
        })
    }
}

fn literal_bytes(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => {
            bytes.len() as u64
        }
        value => value.try_as_str().flatten().map_or(0, str::len) as u64,
    }
}
