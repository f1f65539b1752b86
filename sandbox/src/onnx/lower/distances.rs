//! Rewriting of the only supported loop: distances to the points stored in a model, as scikit-learn's exporter writes nearest
//! neighbours.
//!
//! The loop is a `Scan` over the points, with all rows beside each point, whose body subtracts, squares (or takes absolute
//! values) and sums; the output has a line for each point. It is rewritten as a single difference of rows and points.

use prost::Message as _;

use super::make::{self, Fresh};
use crate::onnx::{
    proto::{GraphProto, NodeProto, TensorProto},
    prove::known_ints,
};

/// Maximum bytes of a loop body for decoding: each part takes much more memory once decoded.
const BODY: usize = 4096;

/// Rewrites each such loop; others stay, and are refused as loops.
pub(super) fn lower(graph: &mut GraphProto, fresh: &mut Fresh) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    let scans = std::mem::take(&mut graph.node);
    for node in &scans {
        let used = |name: &String| !name.is_empty() && scans.iter().any(|other| other.input.contains(name));
        let (Some(square), [x, points], [rows, lines]) = (squares(node), node.input.as_slice(), node.output.as_slice()) else {
            nodes.push(node.clone());
            continue;
        };
        if used(rows) {
            nodes.push(node.clone());
            continue;
        }
        let [beside, apart, each, sums] = [(); 4].map(|()| fresh.name());
        let middle = fresh.ints(&mut graph.initializer, &[1]);
        let last = fresh.ints(&mut graph.initializer, &[2]);
        // [rows, 1, features] minus [points, features].
        nodes.push(make::node(node, "Unsqueeze", vec![x.clone(), middle], beside.clone(), vec![]));
        nodes.push(make::node(node, "Sub", vec![beside, points.clone()], apart.clone(), vec![]));
        nodes.push(if square {
            make::node(node, "Mul", vec![apart.clone(), apart], each.clone(), vec![])
        } else {
            make::node(node, "Abs", vec![apart], each.clone(), vec![])
        });
        nodes.push(make::node(node, "ReduceSum", vec![each, last], sums.clone(), vec![make::int("keepdims", 0)]));
        nodes.push(make::node(node, "Transpose", vec![sums], lines.clone(), vec![make::list("perm", vec![1, 0])]));
    }
    graph.node = nodes;
}

/// Returns whether a loop sums squares rather than absolute values of differences; `None` for any other loop.
fn squares(scan: &NodeProto) -> Option<bool> {
    let one = |name: &str| make::attribute(scan, name);
    if make::op(scan) != ("Scan", false) || scan.attribute.len() != 2 || one("num_scan_inputs")?.i != Some(1) {
        return None;
    }
    let body = one("body")?.g.as_deref().filter(|body| body.len() <= BODY)?;
    let body = GraphProto::decode(body).ok()?;
    let name = |list: &[crate::onnx::proto::ValueInfoProto], at: usize| list.get(at)?.name.clone();
    let (rows, point) = (name(&body.input, 0)?, name(&body.input, 1)?);
    let (kept, mut made) = (name(&body.output, 0)?, name(&body.output, 1)?);
    if body.input.len() != 2 || body.output.len() != 2 {
        return None;
    }
    let from = |name: &str| body.node.iter().find(|node| node.output.iter().eq([name]));
    let is = |node: &NodeProto, op: &str| make::op(node) == (op, false);
    let mut looked = 0;
    // Goes back through nodes that merely pass a value on.
    let mut back = |mut name: String| {
        while let Some(node) = from(&name).filter(|node| is(node, "Identity") && looked < 16) {
            looked += 1;
            name = node.input.first()?.clone();
        }
        Some(name)
    };
    if back(kept)? != rows {
        return None;
    }
    made = back(made)?;
    let sum = from(&made)?;
    if make::attribute(sum, "keepdims")?.i != Some(0) || axes(sum, &body.initializer)? != [1] {
        return None;
    }
    let inner = from(&back(sum.input.first()?.clone())?)?;
    let (difference, square) = match (is(sum, "ReduceSumSquare"), is(sum, "ReduceSum") && is(inner, "Abs")) {
        (true, _) => (inner, true),
        (_, true) => (from(inner.input.first()?)?, false),
        _ => return None,
    };
    (is(difference, "Sub") && difference.input.iter().eq([&rows, &point])).then_some(square)
}

fn axes(sum: &NodeProto, tensors: &[TensorProto]) -> Option<Vec<i64>> {
    match (make::attribute(sum, "axes"), sum.input.get(1)) {
        (Some(axes), None) => Some(axes.ints.clone()),
        (None, Some(name)) => known_ints(tensors.iter().find(|t| t.name.as_ref() == Some(name))?),
        _ => None,
    }
}
