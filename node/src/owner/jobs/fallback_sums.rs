//! Replacement for the sums of a failed worker: the public default of each block, or no units at all.

use tidegate_gate::{Plan, Sums};
use tidegate_protocol::job::{Output, Program, Split};

/// Builds the sums for `program`, whose release is planned as `plan`.
pub(crate) fn sums(program: &Program, plan: &Plan) -> Sums {
    let (Program::Wasm { split, outputs, .. } | Program::Onnx { split, outputs, .. }) = program else { return Sums::default() };
    let Split::Blocks(blocks) = split else { return Sums::default() };
    let values = Output::defaults(outputs);
    let mut group = plan.group(vec![]);
    for _ in 0..blocks.number {
        if plan.close_vector(&mut group, &values, &values).is_err() {
            return Sums::default();
        }
    }
    Sums { groups: vec![group] }
}
