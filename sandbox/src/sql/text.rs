//! Checks on the text and the syntax tree, before the planner recurses over them.

use std::ops::ControlFlow;

use datafusion::{
    config::Dialect,
    execution::SessionState,
    sql::{
        parser::Statement as DfStatement,
        sqlparser::ast::{
            DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Query,
            Select, Statement, TableFactor, Value, ValueWithSpan, Visit as _, VisitMut, Visitor, VisitorMut,
        },
    },
};
use tidegate_protocol::{Refusal, limits};

use super::{casts::NAMED, place, refuse, said::engine, spelled::Spelled, times};

/// Checks length, nesting and operator count: the parser and planner recurse, so hostile text could overflow their stack.
fn check_size(sql: &str) -> Result<(), Refusal> {
    if sql.len() > limits::SQL_BYTES {
        return Err(refuse(format!("the text is longer than {} bytes", limits::SQL_BYTES)));
    }
    let (mut depth, mut operators) = (0usize, 0usize);
    for token in sql.bytes() {
        match token {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'|' | b'=' | b'<' | b'>' | b'!' => operators += 1,
            _ => {}
        }
        if depth > limits::SQL_DEPTH {
            return Err(refuse(format!("brackets nest deeper than {}", limits::SQL_DEPTH)));
        }
    }
    let words = sql
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| ["and", "or", "not", "case", "when", "between", "union", "like"].contains(&w.to_ascii_lowercase().as_str()));
    operators += words.count();
    if operators > limits::SQL_OPERATORS {
        return Err(refuse(format!("more than {} operators", limits::SQL_OPERATORS)).fix("Split the query"));
    }
    Ok(())
}

/// Parses a single SELECT. Clauses ignored silently by the planner are refused: the planned query is the written one.
pub(super) fn parse(state: &SessionState, sql: &str) -> Result<DfStatement, Refusal> {
    check_size(sql)?;
    // The parser's message quotes only the buyer's own text; the parser knows no schema.
    let mut statement = state.sql_to_statement(sql, &Dialect::Generic).map_err(|e| engine(&e))?;
    if let DfStatement::Statement(inner) = &mut statement {
        let _ = VisitMut::visit(&mut **inner, &mut Units);
        let _ = VisitMut::visit(&mut **inner, &mut Spelled);
    }
    let DfStatement::Statement(inner) = &statement else { return Err(refuse("only SELECT is supported")) };
    let Statement::Query(query) = &**inner else { return Err(refuse("only SELECT is supported")) };
    if let ControlFlow::Break(clause) = query.visit(&mut Clauses) {
        return Err(refuse(format!("{clause} is not supported")));
    }
    match query.visit(&mut Calls(state)) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

/// Visitor to quote units of time written as bare words, as in other engines: `datediff(day, a, b)`.
struct Units;

impl VisitorMut for Units {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr
            && ["date_diff", "datediff"].contains(&name.to_string().to_lowercase().as_str())
            && list.args.len() == 3
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
            && let Expr::Identifier(word) = first
            && word.quote_style.is_none()
            && times::is_unit(&word.value)
        {
            *first = Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(word.value.clone()), span: word.span });
        }
        ControlFlow::Continue(())
    }
}

/// Visitor to find a clause outside the allow-list.
struct Clauses;

impl Visitor for Clauses {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<&'static str> {
        let Query { with, locks, for_clause, settings, format_clause, pipe_operators, .. } = query;
        let found = [
            (with.as_ref().is_some_and(|w| w.recursive), "a recursive CTE"),
            (!locks.is_empty(), "FOR UPDATE"),
            (for_clause.is_some(), "FOR"),
            (settings.is_some(), "SETTINGS"),
            (format_clause.is_some(), "FORMAT"),
            (!pipe_operators.is_empty(), "the pipe operator"),
        ];
        first(&found)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<&'static str> {
        let found = [
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "SELECT INTO"),
            (!select.optimizer_hints.is_empty() || select.select_modifiers.is_some(), "a hint"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty() || !select.distribute_by.is_empty() || !select.sort_by.is_empty(), "CLUSTER BY"),
            (select.value_table_mode.is_some(), "SELECT AS"),
        ];
        first(&found)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<&'static str> {
        match factor {
            TableFactor::Table {
                args, with_hints, version, with_ordinality, partitions, json_path, sample, index_hints, ..
            } => {
                let found = [
                    (args.is_some(), "a table function"),
                    (sample.is_some(), "TABLESAMPLE"),
                    (version.is_some(), "a table version"),
                    (!with_hints.is_empty() || !index_hints.is_empty(), "a hint"),
                    (*with_ordinality || !partitions.is_empty() || json_path.is_some(), "this form of FROM"),
                ];
                first(&found)
            }
            TableFactor::Derived { lateral: false, sample: None, .. } => ControlFlow::Continue(()),
            _ => ControlFlow::Break("this form of FROM"),
        }
    }
}

/// Visitor to find a function call of which the planner would ignore a part.
struct Calls<'s>(&'s SessionState);

impl Visitor for Calls<'_> {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        self.ignored(call).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

impl Calls<'_> {
    /// Explains which part of a call would be ignored.
    fn ignored(&self, call: &Function) -> Option<Refusal> {
        let name = call.name.0.last()?.as_ident()?.value.to_lowercase();
        let said = |what: String, fix: String| Some(place::of_call(refuse(what), &name).fix(fix));
        // A cast beside its key is planned under this name, and is called like the cast: nothing else may be.
        if name == NAMED {
            return said(format!("function {name} is unknown"), "Write CAST(x AS INT)".to_owned());
        }
        if call.parameters != FunctionArguments::None {
            return said(format!("{name} has two lists of arguments"), format!("Write one: {name}(…)"));
        }
        let list = match &call.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(_) => {
                return said(format!("{name} of a query without brackets is not supported"), format!("Write {name}((SELECT …))"));
            }
            FunctionArguments::None => return None,
        };
        let order = list.clauses.iter().find_map(|clause| match clause {
            FunctionArgumentClause::OrderBy(order) => order.first(),
            _ => None,
        });
        let nulls = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_)));
        let of_rows =
            [(list.duplicate_treatment == Some(DuplicateTreatment::Distinct), "DISTINCT"), (call.filter.is_some(), "FILTER")];
        let of_order = [
            (call.over.is_some(), "OVER"),
            (!call.within_group.is_empty(), "WITHIN GROUP"),
            (call.null_treatment.is_some() || nulls, "NULLS"),
            (order.is_some(), "ORDER BY"),
        ];
        let written = |found: &[(bool, &'static str)]| found.iter().find(|(there, _)| *there).map(|(_, clause)| *clause);
        if self.0.scalar_functions().contains_key(&name) {
            let clause = written(&of_rows).or_else(|| written(&of_order))?;
            return said(
                format!("{name} is no aggregate, and takes no {clause}"),
                format!("Leave {clause} out, or write it after the aggregate's brackets, as in SUM({name}(…)) FILTER (WHERE …)"),
            );
        }
        let aggregate = self.0.aggregate_functions().get(&name);
        // As a window, these are the engine's own functions of windows.
        let moves = matches!(name.as_str(), "first_value" | "last_value" | "nth_value");
        if call.over.is_some() && (aggregate.is_none() || moves) {
            let clause = written(&of_rows)?;
            return said(
                format!("{name} over a window takes no {clause}"),
                format!("Leave {clause} out, and choose rows in a subquery: SELECT … FROM (SELECT … WHERE …)"),
            );
        }
        // The planner takes the value from the order.
        if let (Some(order), [value, _, ..]) = (order, list.args.as_slice())
            && aggregate.is_some_and(|aggregate| aggregate.supports_within_group_clause())
            && order.expr.to_string() != value.to_string()
        {
            return said(
                format!("{name} is of one value, and has {value} and {}", order.expr),
                format!("Write {name}(0.9) WITHIN GROUP (ORDER BY x)"),
            );
        }
        None
    }
}

fn first(found: &[(bool, &'static str)]) -> ControlFlow<&'static str> {
    found.iter().find(|(there, _)| *there).map_or(ControlFlow::Continue(()), |(_, clause)| ControlFlow::Break(clause))
}
