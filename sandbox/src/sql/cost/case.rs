//! Worst case of an expression.

use datafusion::logical_expr::Expr;

/// Worst case of an expression with parts of lifetime `'e`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term<'e> {
    /// Operations for a row: of the parts, and the expression's own. For a CASE, of all branches.
    pub(super) work: u64,
    /// Bytes of the longest possible text; 0 for other types.
    pub(super) bytes: u64,
    /// Operations done once, whatever the rows.
    pub(super) once: u64,
    /// Number of patterns searched for.
    pub(super) patterns: usize,
    /// Part with the most operations of its own.
    pub(super) heavy: Option<(u64, &'e Expr)>,
}
