//! What is checked on the text and the syntax tree, before the planner recurses over it.

use datafusion::{
    execution::SessionState,
    sql::{
        parser::Statement as DfStatement,
        sqlparser::ast::{Expr, GroupByExpr, SetExpr, Statement, TableFactor},
    },
};
use tidegate_protocol::{Code, Refusal, limits};

/// The one table of a job.
pub(super) const TABLE: &str = "dataset";

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Program, message).at("program.query")
}

/// Length, nesting and operator count: the parser and planner recurse, so hostile text could overflow their stack.
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

/// Parses `sql` and returns the text that will be planned: rebuilt from the parts that are supported, so that nothing else can reach
/// the planner. A query that holds anything more is refused.
pub(super) fn canonical(state: &SessionState, sql: &str) -> Result<String, Refusal> {
    check_size(sql)?;
    // The parser's message quotes the buyer's own text only; no schema is known to it.
    let statement = state.sql_to_statement(sql, &datafusion::config::Dialect::Generic).map_err(|e| {
        let message = e.strip_backtrace();
        refuse(message.chars().take(300).collect::<String>())
    })?;
    let DfStatement::Statement(statement) = statement else { return Err(refuse("only SELECT is supported")) };
    let Statement::Query(query) = *statement else { return Err(refuse("only SELECT is supported")) };
    let whole = query.to_string();
    let SetExpr::Select(select) = *query.body else {
        return Err(refuse("set operations and VALUES are not supported").fix("Send one SELECT"));
    };
    let [from] = select.from.as_slice() else { return Err(refuse("FROM must name the one table `dataset`")) };
    match &from.relation {
        TableFactor::Table { name, .. } if from.joins.is_empty() && name.to_string().eq_ignore_ascii_case(TABLE) => {}
        _ => {
            return Err(
                refuse(format!("FROM {from} is not supported")).fix("Write FROM dataset, without alias, join or subquery")
            );
        }
    }
    let items = select.projection.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("SELECT {items} FROM {TABLE}");
    if let Some(filter) = &select.selection {
        text.push_str(&format!(" WHERE {filter}"));
    }
    if let GroupByExpr::Expressions(keys, modifiers) = &select.group_by
        && !keys.is_empty()
        && modifiers.is_empty()
        && !keys.iter().any(|k| matches!(k, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)))
    {
        text.push_str(&format!(" GROUP BY {}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
    }
    if !whole.eq_ignore_ascii_case(&text) {
        let rest: String = difference(&whole, &text).chars().take(80).collect();
        return Err(refuse(format!("unsupported here: {rest:?}")).fix(
            "Supported: SELECT … FROM dataset [WHERE …] [GROUP BY …]; sort, filter and limit the released result yourself",
        ));
    }
    Ok(text)
}

/// Where `whole` begins to differ from `text`.
fn difference<'a>(whole: &'a str, text: &str) -> &'a str {
    let same = whole.chars().zip(text.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).map(|(a, _)| a.len_utf8()).sum();
    whole[same..].trim()
}
