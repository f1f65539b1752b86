//! What a job author needs: the WIT world ([`WIT`]), a Rust SDK, the C header ([`C_HEADER`]), and examples in `guest/rust` and `guest/c`.
//!
//! ```
//! use tidegate_guest::{Guest, Rows, number};
//!
//! struct Mean;
//! impl Guest for Mean {
//!     fn contribute(rows: Rows) -> Vec<f64> {
//!         let values: Vec<f64> = (0..rows.len as usize).filter_map(|row| number(&rows.columns[0], row)).collect();
//!         vec![values.iter().sum::<f64>() / values.len().max(1) as f64]
//!     }
//! }
//! tidegate_guest::export!(Mean with_types_in tidegate_guest::bindings);
//! ```
//!
//! # Goals
//! - One world, versioned, that every guest language can target.
//!
//! # Non-goals
//! - Running guests (`sandbox`).

/// The world's types and functions, generated from [`WIT`].
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "job", pub_export_macro: true, default_bindings_module: "tidegate_guest::bindings" });
}

pub use bindings::{
    Guest, export,
    tidegate::job::{
        host::{log, params},
        types::{Column, Rows, Values},
    },
};

/// The world `tidegate:job`, as text.
pub const WIT: &str = include_str!("../wit/job.wit");

/// The canonical ABI for freestanding C guests.
pub const C_HEADER: &str = include_str!("../c/tidegate_guest.h");

/// A column's value in `row` as a number: flags are 0 and 1. `None` where it is missing, a text, bytes, or beyond the rows.
pub fn number(column: &Column, row: usize) -> Option<f64> {
    if !column.valid.is_empty() && !column.valid.get(row).copied().unwrap_or_default() {
        return None;
    }
    match &column.values {
        Values::F64s(v) => v.get(row).copied(),
        Values::S64s(v) => v.get(row).map(|v| *v as f64),
        Values::Bools(v) => v.get(row).map(|v| f64::from(u8::from(*v))),
        Values::Texts(_) | Values::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Values, number};

    #[test]
    fn a_missing_value_is_not_its_placeholder() {
        let column = Column { name: "x".into(), values: Values::S64s(vec![3, 0]), valid: vec![true, false] };
        assert_eq!([number(&column, 0), number(&column, 1), number(&column, 2)], [Some(3.0), None, None]);
        let text = Column { name: "x".into(), values: Values::Texts(vec!["3".into()]), valid: vec![] };
        assert_eq!(number(&text, 0), None);
    }
}
