//! Conversion of an ONNX job into parameters of the standard scoring component (`guest/rust/scoring`).

use std::fmt::Write as _;

use tidegate_protocol::job::RowReduce;

use super::{Model, Runs, admit::Takes, prove::tensor::Elem};

impl Model {
    /// Returns the parameters with which the standard component gives the same contributions as the direct path.
    pub fn standard(&self) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| _ = writeln!(text, "{words}");
        if let Runs::Batches(rows) = self.spec.runs {
            line(format_args!("rows {rows}"));
        }
        if !self.spec.by_row {
            line(format_args!("together"));
        }
        for input in &self.spec.inputs {
            let kind = match Elem::of(input.elem) {
                Some(Elem::F64) => "f64",
                Some(Elem::I32) => "i32",
                Some(Elem::I64) => "i64",
                Some(Elem::U8) => "u8",
                Some(Elem::Bool) => "bool",
                _ => "f32",
            };
            let row: Vec<String> = input.row.iter().map(u64::to_string).collect();
            let row = if row.is_empty() { ".".to_owned() } else { row.join(",") };
            line(format_args!("input {kind} {row} {}", input.name));
        }
        if let Some(label) = &self.label {
            line(format_args!("label {label}"));
        }
        let reduce = match self.reduce {
            RowReduce::Mean => "mean",
            RowReduce::Max => "max",
            RowReduce::Sum => "sum",
            RowReduce::Last => "last",
        };
        line(format_args!("reduce {reduce}"));
        for takes in &self.takes {
            match takes {
                Takes::Numbers(from, many) => line(format_args!("take {from} {many}")),
                Takes::Labelled(at) => line(format_args!("labelled {at}")),
                Takes::Class => line(format_args!("class")),
            }
        }
        text
    }
}
