//! Group keys: which types they may have, and those that a job declares.

use datafusion::{arrow::datatypes::DataType, logical_expr::ExprSchemable as _};
use tidegate_protocol::{Refusal, job::Key, limits};

use super::{keys, refuse, select::Select};

/// Types of the keys called `names`, the first columns of `select`.
///
/// # Errors
/// A [`Refusal`] for types whose values have no one form that people and JSON can read.
pub(super) fn types(names: &[String], select: &Select) -> Result<Vec<DataType>, Refusal> {
    names
        .iter()
        .zip(&select.branches[0].columns)
        .map(|(name, expr)| {
            let kind = expr.get_type(&*select.schema).map_err(|e| refuse(e.strip_backtrace()))?;
            let fine = kind.is_integer()
                || kind.is_floating() && kind != DataType::Float16
                || kind.is_string()
                || keys::is_shown_as_text(&kind)
                || kind == DataType::Boolean;
            if !fine || kind == DataType::UInt64 {
                return Err(refuse(format!("cannot group by {name} of type {kind}"))
                    .fix("Group by integers, text, booleans, floats, dates, timestamps or decimals; CAST others"));
            }
            Ok(kind)
        })
        .collect()
}

/// Declared keys in the key columns' own types.
///
/// # Errors
/// A [`Refusal`] naming the row.
pub(super) fn declare(declared: &[Vec<Key>], types: &[DataType]) -> Result<Vec<Vec<Key>>, Refusal> {
    let bad = |row: usize, what: String| refuse(what).at(format!("program.keys[{row}]"));
    let mut seen = std::collections::HashSet::new();
    declared
        .iter()
        .enumerate()
        .map(|(row, key)| {
            if key.len() != types.len() {
                return Err(bad(row, format!("has {} values for {} keys", key.len(), types.len())));
            }
            let typed: Vec<Key> = key
                .iter()
                .zip(types)
                .map(|(key, kind)| match key {
                    Key::Int(i) if kind.is_floating() => Ok(Key::Float(*i as f64)),
                    // Zero has one form among the groups.
                    Key::Float(f) if kind.is_floating() && *f == 0.0 => Ok(Key::Float(0.0)),
                    Key::Text(t) if t.chars().count() > limits::KEY_CHARS => {
                        Err(bad(row, format!("has more than {} characters, which no group's key has", limits::KEY_CHARS)))
                    }
                    Key::Null => Ok(Key::Null),
                    Key::Int(_) if kind.is_integer() => Ok(key.clone()),
                    Key::Float(f) if kind.is_floating() && f.is_finite() => Ok(key.clone()),
                    Key::Text(_) if kind.is_string() => Ok(key.clone()),
                    // Dates and the like are written as text, and have one form each.
                    Key::Text(_) if keys::is_shown_as_text(kind) => {
                        keys::canonical_text(key, kind).ok_or_else(|| bad(row, format!("{key:?} is not of type {kind}")))
                    }
                    Key::Bool(_) if *kind == DataType::Boolean => Ok(key.clone()),
                    _ => Err(bad(row, format!("{key:?} is not of type {kind}"))),
                })
                .collect::<Result<_, _>>()?;
            if !seen.insert(format!("{typed:?}")) {
                return Err(bad(row, "appears twice".into()));
            }
            Ok(typed)
        })
        .collect()
}
