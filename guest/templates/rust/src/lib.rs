wit_bindgen::generate!({ path: "wit", world: "job" });

use tidegate::job::types::{Column, Values};

struct Job;

impl Guest for Job {
    /// The mean of the first column over these rows, and how many rows had it.
    fn contribute(rows: Rows) -> Vec<f64> {
        let values: Vec<f64> = (0..rows.len as usize).filter_map(|row| number(&rows.columns[0], row)).collect();
        tidegate::job::host::log(&format!("{} rows", values.len()));
        vec![values.iter().sum::<f64>() / values.len().max(1) as f64, values.len() as f64]
    }
}

/// A column's value in `row` as a number: flags are 0 and 1. `None` where it is missing, a text or bytes.
fn number(column: &Column, row: usize) -> Option<f64> {
    if !column.valid.is_empty() && !column.valid[row] {
        return None;
    }
    match &column.values {
        Values::F64s(v) => Some(v[row]),
        Values::S64s(v) => Some(v[row] as f64),
        Values::Bools(v) => Some(f64::from(u8::from(v[row]))),
        Values::Texts(_) | Values::Bytes(_) => None,
    }
}

export!(Job);
