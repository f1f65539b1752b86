//! Any bytes as an ONNX model: refused or admitted, never loaded, never a panic.
use crate::{job, outputs, policy, table};
use tidegate_protocol::{
    ContentHash,
    job::{Program, RowReduce},
};

/// One input.
pub fn run(bytes: &[u8]) {
    let job = job(Program::Onnx {
        model: ContentHash::of(bytes),
        select: "SELECT x, n FROM dataset".into(),
        label: None,
        split: tidegate_protocol::job::Split::Unit,
        output: "y".into(),
        index: 0,
        reduce: RowReduce::Max,
        outputs: outputs(),
    });
    let (_, schema) = table();
    let _ = tidegate_sandbox::admit(&job, &policy(), &schema, Some(bytes.to_vec().into()));
}
