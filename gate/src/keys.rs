//! The order of keys.

use std::cmp::Ordering;

use tidegate_protocol::job::Key;

/// Compares two keys: NULL sorts before truth values, numbers and texts, and numbers compare by value whatever their types.
pub(crate) fn compare_keys(a: &[Key], b: &[Key]) -> Ordering {
    let rank = |key: &Key| match key {
        Key::Null => 0,
        Key::Bool(_) => 1,
        Key::Int(_) | Key::Float(_) => 2,
        Key::Text(_) => 3,
    };
    let number = |key: &Key| match key {
        Key::Int(i) => *i as f64,
        Key::Float(f) => *f,
        Key::Bool(b) => f64::from(u8::from(*b)),
        _ => 0.0,
    };
    a.iter()
        .zip(b)
        .map(|(a, b)| match (a, b) {
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Int(a), Key::Int(b)) => a.cmp(b),
            _ => rank(a).cmp(&rank(b)).then(number(a).total_cmp(&number(b))),
        })
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}
