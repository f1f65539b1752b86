//! Mean, variance and covariance of two columns, block by block: loops over whole columns, an element at a time or eight.
//!
//! Columns: two of floats without missing values. Parameters: `plain N` or `chunked N`, to make the passes N times.

mod moments;

use tidegate_guest::{Guest, Rows, floats, params};

struct Moments;

impl Guest for Moments {
    fn contribute(rows: Rows) -> Vec<f64> {
        let text = String::from_utf8(params()).unwrap_or_default();
        let (how, times) = text.split_once(' ').unwrap_or(("chunked", "1"));
        let (Some(a), Some(b)) = (rows.columns.first().and_then(floats), rows.columns.get(1).and_then(floats)) else { return vec![] };
        let moments = if how == "plain" { moments::plain } else { moments::chunked };
        moments(a, b, times.parse().unwrap_or(1)).to_vec()
    }
}

tidegate_guest::export!(Moments with_types_in tidegate_guest::bindings);
