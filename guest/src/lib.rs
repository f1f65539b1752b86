//! Toolkit for job authors: the WIT world ([`WIT`]), a Rust SDK (with [`nn`] for models), the C header ([`C_HEADER`]), and
//! examples in `guest/rust` and `guest/c`.
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

/// Types and functions of the world, generated from [`WIT`].
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "job", pub_export_macro: true, default_bindings_module: "tidegate_guest::bindings" });
}

/// Interface of a component to its model, generated from [`INFER_WIT`].
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod models {
    wit_bindgen::generate!({ path: "wit", world: "models", generate_all });
}

#[cfg(feature = "host")]
pub mod component;
pub mod nn;
#[cfg(feature = "host")]
mod preview1;
#[cfg(feature = "host")]
pub mod template;

pub use bindings::{
    Guest, export,
    tidegate::job::{
        host::{data, data_len, log, params},
        types::{Column, Rows, Values},
    },
};

/// Text of the world `tidegate:job`.
pub const WIT: &str = include_str!("../wit/job.wit");

/// Text of the worlds of components with a model. It follows [`WIT`] in one package.
pub const INFER_WIT: &str = include_str!("../wit/infer.wit");

/// Text of WASI-NN.
pub const NN_WIT: &str = include_str!("../wit/deps/nn/nn.wit");

/// Canonical ABI for freestanding C guests.
pub const C_HEADER: &str = include_str!("../c/tidegate_guest.h");

/// Returns a column's value in `row` as a number, where flags are 0 and 1. `None` for a missing value, text, bytes, or a row
/// beyond the end.
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

/// Returns a column of floats as a slice, for loops over all rows. `None` for missing values or another type.
pub fn floats(column: &Column) -> Option<&[f64]> {
    match &column.values {
        Values::F64s(values) if column.valid.iter().all(|valid| *valid) => Some(values),
        _ => None,
    }
}

/// Decodes the little-endian 64-bit floats in `bytes`, such as weights written by numpy's `astype("<f8").tobytes()`. An
/// incomplete float at the end is ignored.
pub fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).filter_map(|b| Some(f64::from_le_bytes(b.try_into().ok()?))).collect()
}

/// Decodes 32-bit floats, otherwise as [`f64s`].
pub fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).filter_map(|b| Some(f32::from_le_bytes(b.try_into().ok()?))).collect()
}

/// Splits values into groups of eight and a remainder. Fuel is charged per loop iteration, so eight values per iteration cost
/// next to nothing.
pub fn eights(values: &[f64]) -> (impl Iterator<Item = &[f64; 8]>, &[f64]) {
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder();
    (chunks.filter_map(|chunk| chunk.try_into().ok()), rest)
}

#[cfg(test)]
mod tests {
    use super::{Column, Values, eights, f32s, f64s, floats, number};

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let bytes: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).chain([7]).collect();
        assert_eq!(f64s(&bytes), [1.5, -2.0]);
        assert_eq!(f32s(&[1.5f32, -2.0].map(f32::to_le_bytes).concat()), [1.5, -2.0]);
        assert!(f64s(&[0; 7]).is_empty());
    }

    #[test]
    fn all_values_come_in_order() {
        let values: Vec<f64> = (0..19).map(f64::from).collect();
        let (many, rest) = eights(&values);
        let all: Vec<f64> = many.flatten().chain(rest).copied().collect();
        assert_eq!((all, rest.len()), (values.clone(), 3));
        let column = |valid: Vec<bool>| Column { name: "x".into(), values: Values::F64s(values.clone()), valid };
        assert_eq!(floats(&column(vec![])), Some(&values[..]));
        assert_eq!(floats(&column(vec![false; 19])), None);
    }

    #[test]
    fn a_missing_value_is_not_its_placeholder() {
        let column = Column { name: "x".into(), values: Values::S64s(vec![3, 0]), valid: vec![true, false] };
        assert_eq!([number(&column, 0), number(&column, 1), number(&column, 2)], [Some(3.0), None, None]);
        let text = Column { name: "x".into(), values: Values::Texts(vec!["3".into()]), valid: vec![] };
        assert_eq!(number(&text, 0), None);
    }
}
