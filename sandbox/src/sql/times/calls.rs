//! Calls of date and time functions.

use std::sync::LazyLock;

use datafusion::logical_expr::{Expr, ScalarUDF, Signature, Volatility};

use super::{
    function::TimeFunction,
    what::{PARTS, What, others},
};

fn make(what: What, name: &'static str, aliases: &[&str]) -> ScalarUDF {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::new_from_impl(TimeFunction { what, name, aliases, signature })
}

/// Returns the functions available to queries by name.
pub(in crate::sql) fn named() -> &'static [ScalarUDF] {
    static ALL: LazyLock<Vec<ScalarUDF>> = LazyLock::new(|| {
        let parts = PARTS.iter().map(|(name, aliases)| make(What::Part(name), name, aliases));
        parts.chain(others().map(|(what, name, aliases)| make(what, name, aliases))).collect()
    });
    &ALL
}

/// Returns the operation of a date or time function; `None` for others.
pub(in crate::sql) fn of(function: &ScalarUDF) -> Option<&What> {
    function.inner().downcast_ref::<TimeFunction>().map(|f| &f.what)
}

/// Builds a call.
pub(super) fn call(what: What, name: &'static str, args: Vec<Expr>) -> Expr {
    make(what, name, &[]).call(args)
}
