//! Types of group keys, and the keys declared by a job.

use datafusion::{arrow::datatypes::DataType, logical_expr::ExprSchemable as _};
use tidegate_protocol::{Refusal, job::Key, limits};

use super::{keys, kinds, refuse, said::engine, select::Select};

/// Returns the types of the keys called `names`, the first columns of `select`.
///
/// # Errors
/// Returns a [`Refusal`] for types whose values have no single form that people and JSON can read.
pub(super) fn types(names: &[String], select: &Select) -> Result<Vec<DataType>, Refusal> {
    names
        .iter()
        .zip(&select.branches[0].columns)
        .map(|(name, expr)| {
            let kind = expr.get_type(&*select.schema).map_err(|e| engine(&e))?;
            if !keys::may_be_key(&kind) {
                return Err(refuse(format!("cannot group by {name}: it is of type {}", kinds::kind(&kind)))
                    .fix("Group by integers, text, booleans, floats, dates, timestamps or decimals; CAST others"));
            }
            Ok(kind)
        })
        .collect()
}

/// Converts the declared keys of the columns called `names` to the form of groups' keys.
///
/// # Errors
/// Returns a [`Refusal`] that names row, column and type: a key that its column cannot have would only ever be an empty group.
pub(super) fn declare(declared: &[Vec<Key>], names: &[String], types: &[DataType]) -> Result<Vec<Vec<Key>>, Refusal> {
    let bad = |row: usize, what: String| refuse(what).at(format!("program.keys[{row}]"));
    let mut seen = std::collections::HashSet::new();
    declared
        .iter()
        .enumerate()
        .map(|(row, key)| {
            if key.len() != types.len() {
                let what = format!("has {} values for {} keys", key.len(), types.len());
                let fix = format!("Write a value for each of: {}. A key that GROUP BY has twice is one", names.join(", "));
                return Err(bad(row, what).fix(fix));
            }
            let one = |((key, kind), name): ((&Key, &DataType), &String)| {
                if matches!(key, Key::Text(text) if text.chars().count() > limits::KEY_CHARS) {
                    let what = format!("the key of {name} has more than {} characters, which no group's has", limits::KEY_CHARS);
                    return Err(bad(row, what).fix("Group by something shorter"));
                }
                let typed = keys::exact(key, kind).and_then(|array| keys::value(&array, 0).ok());
                typed.ok_or_else(|| {
                    let what = format!("{key} is no value of {name}, which is of type {}", kinds::kind(kind));
                    bad(row, what).fix(keys::example(kind))
                })
            };
            let typed: Vec<Key> = key.iter().zip(types).zip(names).map(one).collect::<Result<_, _>>()?;
            if !seen.insert(format!("{typed:?}")) {
                return Err(bad(row, "appears twice".into()));
            }
            Ok(typed)
        })
        .collect()
}
