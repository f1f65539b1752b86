//! Arbitrary bytes as an ONNX model: refused or admitted, never loaded, never a panic.
//!
//! A rewritten model that was understood is understood again, as the same model.
use tidegate_protocol::{
    ContentHash,
    job::{Program, RowReduce, Split},
};
use tidegate_sandbox::onnx::{Verdict, inspect, rewrite};

use crate::{job, outputs, policy, table};

/// Inspects an input.
pub fn look(bytes: &[u8]) {
    let seen = inspect(bytes);
    assert_eq!(seen.verdict == Verdict::Reject, seen.refused.is_some());
    for output in seen.outputs.iter().filter(|output| output.verdict != Verdict::Reject) {
        let written = rewrite(bytes, &output.name, None).unwrap();
        let again = inspect(&written);
        assert_eq!(again.outputs.iter().map(|o| (o.verdict, o.numbers)).collect::<Vec<_>>(), [(output.verdict, output.numbers)]);
    }
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    look(bytes);
    let job = job(Program::Onnx {
        on: None,
        model: ContentHash::of(bytes),
        select: "SELECT x, n FROM dataset".into(),
        label: None,
        split: Split::Unit,
        output: "y".into(),
        index: 0,
        reduce: RowReduce::Max,
        outputs: outputs(),
    });
    let (_, schema) = table();
    let _ = tidegate_sandbox::admit(&job, &policy(), &schema, Some(bytes.to_vec().into()));
}
