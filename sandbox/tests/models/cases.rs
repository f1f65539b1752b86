//! A model for each operator of the list, and more where it may go wrong, each with what is to be found of it.

use tidegate_fixtures::models::{
    Attr::{self, Float, Floats, Int, Ints, Tensor, Text, Texts, Whole},
    Graph,
    elem::{BOOL, F32, F64, I8, I32, I64, U8},
};

/// What is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Proven, and rows do not meet.
    Rows,
    /// Not proven, and rows do meet.
    Mixes,
    /// Not proven, though rows do not meet.
    Unproven,
    /// Refused, with these words.
    Refused(&'static str),
}
use Expect::{Mixes, Refused, Rows, Unproven};

pub(crate) struct Case {
    pub(crate) name: String,
    /// Operators that it is a case of.
    pub(crate) of: Vec<String>,
    pub(crate) graph: Graph,
    pub(crate) expect: Expect,
}

/// One operator on `x` of this shape.
fn one(op: &str, dims: &str, attributes: &[(&str, Attr<'_>)], expect: Expect) -> Case {
    with(op, dims, &["x"], attributes, expect, |g| g)
}

/// One operator on these inputs, among them `x` of this shape, and others that `more` adds.
fn with(
    op: &str,
    dims: &str,
    inputs: &[&str],
    attributes: &[(&str, Attr<'_>)],
    expect: Expect,
    more: impl FnOnce(Graph) -> Graph,
) -> Case {
    let graph = more(Graph::new().opset(23).input("x", F32, dims)).node(op, inputs, &["y"], attributes).output("y", F32);
    Case { name: format!("{op} on {dims} {attributes:?}"), of: vec![op.to_owned()], graph, expect }
}

/// A graph of several operators.
fn chain(name: &str, of: &[&str], graph: Graph, expect: Expect) -> Case {
    Case { name: name.to_owned(), of: of.iter().map(|s| (*s).to_owned()).collect(), graph: graph.output("y", F32), expect }
}

fn x(dims: &str) -> Graph {
    Graph::new().opset(23).input("x", F32, dims)
}

/// A small tree: feature 0 against ½, then feature 2 against 0.
const TREE: [(&str, Attr<'static>); 8] = [
    ("nodes_treeids", Ints(&[0, 0, 0, 0, 0])),
    ("nodes_nodeids", Ints(&[0, 1, 2, 3, 4])),
    ("nodes_featureids", Ints(&[0, 0, 2, 0, 0])),
    ("nodes_values", Floats(&[0.5, 0.0, 0.0, 0.0, 0.0])),
    ("nodes_modes", Texts(&["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"])),
    ("nodes_truenodeids", Ints(&[1, 0, 3, 0, 0])),
    ("nodes_falsenodeids", Ints(&[2, 0, 4, 0, 0])),
    ("nodes_missing_value_tracks_true", Ints(&[0, 0, 0, 0, 0])),
];
const TARGETS: [(&str, Attr<'static>); 5] = [
    ("target_treeids", Ints(&[0, 0, 0])),
    ("target_nodeids", Ints(&[1, 3, 4])),
    ("target_ids", Ints(&[0, 0, 0])),
    ("target_weights", Floats(&[1.0, 2.0, 3.0])),
    ("n_targets", Int(1)),
];
const CLASSES: [(&str, Attr<'static>); 5] = [
    ("class_treeids", Ints(&[0, 0, 0])),
    ("class_nodeids", Ints(&[1, 3, 4])),
    ("class_ids", Ints(&[0, 1, 2])),
    ("class_weights", Floats(&[1.0, 2.0, 3.0])),
    ("classlabels_int64s", Ints(&[0, 1, 2])),
];

/// A tree with some attributes in others' place.
fn tree(changed: &[(&'static str, Attr<'static>)], expect: Expect) -> Case {
    let all = TREE
        .iter()
        .chain(&TARGETS)
        .map(|(name, value)| changed.iter().find(|(n, _)| n == name).unwrap_or(&(*name, *value)).to_owned());
    let mut case = one("ml:TreeEnsembleRegressor", "rows,3", &all.collect::<Vec<_>>(), expect);
    case.name = format!("tree with {changed:?}");
    case
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = vec![];
    elementwise(&mut cases);
    products(&mut cases);
    along(&mut cases);
    moved(&mut cases);
    picked(&mut cases);
    quantised(&mut cases);
    classic(&mut cases);
    networks(&mut cases);
    cases
}

fn elementwise(cases: &mut Vec<Case>) {
    for op in [
        "Abs",
        "Ceil",
        "Floor",
        "Neg",
        "Reciprocal",
        "Relu",
        "Round",
        "Sign",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cos",
        "Cosh",
        "Erf",
        "Exp",
        "Log",
        "Sigmoid",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
        "Mish",
        "HardSwish",
        "Celu",
        "Elu",
        "Gelu",
        "HardSigmoid",
        "LeakyRelu",
        "Selu",
        "Shrink",
        "ThresholdedRelu",
        "Identity",
        "Dropout",
        "Clip",
    ] {
        cases.push(one(op, "rows,3", &[], Rows));
        cases.push(one(op, "rows,2,3", &[], Rows));
    }
    for op in ["IsNaN", "IsInf"] {
        cases.push(chain(
            op,
            &[op, "Cast"],
            x("rows,3").node(op, &["x"], &["q"], &[]).node("Cast", &["q"], &["y"], &[("to", Int(1))]),
            Rows,
        ));
    }
    for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
        let graph = x("rows,3").floats("c", &[3], &[0.0, 0.1, 0.2]).node(op, &["x", "c"], &["q"], &[]);
        cases.push(chain(op, &[op], graph.node("Cast", &["q"], &["y"], &[("to", Int(1))]), Rows));
    }
    for op in ["And", "Or", "Xor"] {
        let graph =
            x("rows,3").node("Greater", &["x", "zero"], &["p"], &[]).floats("zero", &[], &[0.0]).node("Not", &["p"], &["n"], &[]);
        let graph = graph.bytes_of("t", BOOL, &[3], &[1, 0, 1]).node(op, &["n", "t"], &["q"], &[]);
        cases.push(chain(op, &[op, "Not"], graph.node("Cast", &["q"], &["y"], &[("to", Int(1))]), Rows));
    }
    for op in ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "PRelu", "Mod"] {
        let fmod: &[(&str, Attr<'_>)] = if op == "Mod" { &[("fmod", Int(1))] } else { &[] };
        cases.push(with(op, "rows,3", &["x", "c"], fmod, Rows, |g| g.floats("c", &[3], &[0.5, 2.0, 3.0])));
        cases.push(with(op, "rows,3", &["x", "c"], fmod, Rows, |g| g.floats("c", &[1, 1], &[0.5])));
        cases.push(with(op, "rows,3", &["x", "x"], fmod, Rows, |g| g));
        cases.push(with(op, "rows,3", &["x", "c"], fmod, Refused("do not fit"), |g| g.weights("c", &[4, 3], 1.0)));
    }
    // A row of one against a column of all.
    let turned = x("rows,1").node("Transpose", &["x"], &["t"], &[]).node("Add", &["x", "t"], &["s"], &[]);
    let axes = |g: Graph| g.ints("axes", &[1], &[1]);
    cases.push(chain("x + xᵀ", &["Add"], axes(turned).node("ReduceSum", &["s", "axes"], &["y"], &[]), Mixes));
    let whole = |dims: &str| Graph::new().opset(23).input("x", I64, dims);
    let cast = |g: Graph| g.node("Cast", &["q"], &["y"], &[("to", Int(1))]);
    for (op, by, expect) in [
        ("Div", 3, Rows),
        ("Div", 0, Refused("divides whole numbers")),
        ("Div", -1, Refused("divides whole numbers")),
        ("Mod", 3, Rows),
        ("Mod", 0, Refused("divides whole numbers")),
    ] {
        cases.push(chain(
            "whole",
            &[op],
            cast(whole("rows,2").ints("c", &[1], &[by]).node(op, &["x", "c"], &["q"], &[])),
            expect,
        ));
    }
    let by_rows = cast(whole("rows,2").node("Div", &["x", "x"], &["q"], &[]));
    cases.push(chain("a row divides whole numbers", &["Div"], by_rows, Refused("divides whole numbers")));
    cases.push(chain("BitwiseNot", &["BitwiseNot"], cast(whole("rows,2").node("BitwiseNot", &["x"], &["q"], &[])), Rows));
    let chosen = x("rows,3").floats("zero", &[], &[0.0]).node("Less", &["x", "zero"], &["c"], &[]);
    cases.push(chain("Where", &["Where"], chosen.node("Where", &["c", "x", "zero"], &["y"], &[]), Rows));
    cases.push(with("Clip", "rows,3", &["x", "lo", "hi"], &[], Rows, |g| g.floats("lo", &[], &[-0.1]).floats("hi", &[], &[0.1])));
    // A bound that is computed of all rows.
    let bound = x("rows,1").node("ReduceMin", &["x"], &["m"], &[("keepdims", Int(0))]);
    cases.push(chain("Clip by all", &["Clip"], bound.node("Clip", &["x", "", "m"], &["y"], &[]), Mixes));
    let trained = |g: Graph| g.floats("r", &[], &[0.5]).bytes_of("t", BOOL, &[], &[1]);
    cases.push(with("Dropout", "rows,3", &["x", "r", "t"], &[], Refused("training mode"), trained));
    let still = |g: Graph| g.floats("r", &[], &[0.5]).bytes_of("t", BOOL, &[], &[0]);
    cases.push(with("Dropout", "rows,3", &["x", "r", "t"], &[], Rows, still));
    for elem in [F64, I32, I64, U8, BOOL] {
        let graph = Graph::new().opset(23).input("x", elem, "rows,3").node("Cast", &["x"], &["y"], &[("to", Int(1))]);
        cases.push(chain(&format!("input of type {elem}"), &["Cast"], graph, Rows));
    }
}

fn products(cases: &mut Vec<Case>) {
    let w = |dims: &'static [i64]| move |g: Graph| g.weights("w", dims, 1.0);
    cases.push(with("MatMul", "rows,4", &["x", "w"], &[], Rows, w(&[4, 3])));
    cases.push(with("MatMul", "rows,2,4", &["x", "w"], &[], Rows, w(&[4, 3])));
    cases.push(with("MatMul", "rows,2,4", &["x", "w"], &[], Rows, w(&[1, 4, 3])));
    cases.push(with("MatMul", "rows,4", &["x", "w"], &[], Rows, w(&[4])));
    cases.push(with("MatMul", "rows,4", &["x", "w"], &[], Refused("rows are axis 1"), w(&[1, 4, 3])));
    cases.push(with("MatMul", "rows,2,4", &["w", "x"], &[], Rows, w(&[3, 2])));
    cases.push(with("MatMul", "rows,2,4", &["w", "x"], &[], Rows, w(&[2])));
    cases.push(with("MatMul", "rows,2,4", &["x", "w"], &[], Refused("do not fit"), w(&[5, 4, 3])));
    cases.push(with("MatMul", "rows,4", &["x", "w"], &[], Refused("do not fit"), w(&[3, 4])));
    // Attention of each row over its own parts, and over other rows.
    let own =
        x("rows,3,4").node("Transpose", &["x"], &["t"], &[("perm", Ints(&[0, 2, 1]))]).node("MatMul", &["x", "t"], &["y"], &[]);
    cases.push(chain("x·xᵀ within a row", &["MatMul", "Transpose"], own, Rows));
    let all = x("rows,4").node("Transpose", &["x"], &["t"], &[]).node("MatMul", &["x", "t"], &["s"], &[]).node(
        "MatMul",
        &["s", "x"],
        &["y"],
        &[],
    );
    cases.push(chain("x·xᵀ·x over rows", &["MatMul"], all, Mixes));
    let gram = x("rows,4").node("Transpose", &["x"], &["t"], &[]).node("MatMul", &["t", "x"], &["g"], &[]).node(
        "MatMul",
        &["x", "g"],
        &["y"],
        &[],
    );
    cases.push(chain("x·(xᵀ·x)", &["MatMul"], gram, Mixes));
    cases.push(with("Gemm", "rows,4", &["x", "w", "c"], &[("alpha", Float(0.5))], Rows, |g| {
        g.weights("w", &[4, 3], 1.0).weights("c", &[3], 1.0)
    }));
    cases.push(with("Gemm", "rows,4", &["x", "w"], &[("transB", Int(1))], Rows, w(&[3, 4])));
    cases.push(with("Gemm", "rows,4", &["x", "w", "c"], &[], Refused("do not fit"), |g| {
        g.weights("w", &[4, 3], 1.0).weights("c", &[5, 3], 1.0)
    }));
    let turned = x("rows,4").node("Transpose", &["x"], &["t"], &[]).weights("w", &[4, 3], 1.0);
    cases.push(chain("Gemm of xᵀ turned", &["Gemm"], turned.node("Gemm", &["t", "w"], &["y"], &[("transA", Int(1))]), Rows));
    let image = "rows,2,5,5";
    let k = |dims: &'static [i64]| move |g: Graph| g.weights("w", dims, 1.0).weights("b", &[4], 1.0);
    cases.push(with("Conv", image, &["x", "w", "b"], &[("pads", Ints(&[1, 1, 1, 1]))], Rows, k(&[4, 2, 3, 3])));
    cases.push(with(
        "Conv",
        image,
        &["x", "w"],
        &[("strides", Ints(&[2, 1])), ("dilations", Ints(&[2, 1]))],
        Rows,
        k(&[4, 2, 2, 3]),
    ));
    cases.push(with("Conv", image, &["x", "w"], &[("group", Int(2)), ("auto_pad", Text("SAME_UPPER"))], Rows, k(&[4, 1, 3, 3])));
    cases.push(with("Conv", image, &["x", "w"], &[], Refused("do not fit"), k(&[4, 3, 3, 3])));
    cases.push(with("Conv", image, &["x", "w"], &[], Refused("window is larger"), k(&[4, 2, 7, 3])));
    cases.push(with("Conv", "rows,2,9", &["x", "w"], &[("auto_pad", Text("VALID"))], Rows, w(&[4, 2, 3])));
    // Rows as the axis of space: neighbours meet.
    let line =
        x("rows,3").node("Transpose", &["x"], &["t"], &[]).ints("a", &[1], &[0]).node("Unsqueeze", &["t", "a"], &["u"], &[]);
    let line = line.weights("w", &[2, 3, 1], 1.0).node("Conv", &["u", "w"], &["c"], &[]);
    cases.push(chain("Conv along rows", &["Conv"], line, Refused("a fixed one is needed")));
    for op in ["AveragePool", "MaxPool"] {
        cases.push(one(op, image, &[("kernel_shape", Ints(&[2, 2]))], Rows));
        cases.push(one(
            op,
            image,
            &[("kernel_shape", Ints(&[2, 3])), ("strides", Ints(&[2, 2])), ("ceil_mode", Int(1)), ("pads", Ints(&[1, 1, 0, 1]))],
            Rows,
        ));
        cases.push(one(
            op,
            image,
            &[("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("auto_pad", Text("SAME_LOWER"))],
            Rows,
        ));
    }
    let places = x(image).node("MaxPool", &["x"], &["p", "i"], &[("kernel_shape", Ints(&[2, 2]))]);
    cases.push(chain(
        "places of MaxPool",
        &["MaxPool"],
        places.node("Cast", &["i"], &["y"], &[("to", Int(1))]),
        Refused("asks for 2 outputs"),
    ));
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        cases.push(one(op, image, &[], Rows));
    }
    for (op, gates) in [("LSTM", 4), ("GRU", 3)] {
        let cell = |g: Graph| g.weights("W", &[1, gates * 2, 3], 1.0).weights("R", &[1, gates * 2, 2], 1.0);
        let hidden: &[(&str, Attr<'_>)] = &[("hidden_size", Int(2))];
        let back = |g: Graph| g.node("Transpose", &["h"], &["y"], &[("perm", Ints(&[1, 0, 2]))]);
        let timely = cell(x("rows,4,3")).node("Transpose", &["x"], &["t"], &[("perm", Ints(&[1, 0, 2]))]);
        cases.push(chain(op, &[op], back(timely.node(op, &["t", "W", "R"], &["", "h"], hidden)), Rows));
        // The first axis is time: rows are taken for it.
        let rows = cell(x("rows,4,3")).node(op, &["x", "W", "R"], &["a"], hidden);
        cases.push(chain(
            &format!("{op} along rows"),
            &[op],
            rows.node("Transpose", &["a"], &["y"], &[]),
            Refused("a fixed one is needed"),
        ));
    }
}

fn along(cases: &mut Vec<Case>) {
    for op in ["Softmax", "LogSoftmax", "Hardmax", "LpNormalization"] {
        cases.push(one(op, "rows,3", &[], Rows));
        cases.push(one(op, "rows,2,3", &[("axis", Int(1))], Rows));
        cases.push(one(op, "rows,3", &[("axis", Int(0))], Mixes));
        cases.push(one(op, "rows,3", &[("axis", Int(-2))], Mixes));
        cases.push(one(op, "rows,3", &[("axis", Int(2))], Refused("axis 2 is not one of 2")));
    }
    for (axis, expect) in [(1, Rows), (0, Mixes)] {
        cases.push(with("CumSum", "rows,3", &["x", "a"], &[], expect, |g| g.ints("a", &[], &[axis])));
    }
    let scale = |dims: &'static [i64]| move |g: Graph| g.weights("s", dims, 1.0).weights("b", dims, 1.0);
    for op in ["LayerNormalization", "RMSNormalization"] {
        let inputs: &[&str] = if op == "LayerNormalization" { &["x", "s", "b"] } else { &["x", "s"] };
        cases.push(with(op, "rows,2,3", inputs, &[], Rows, scale(&[3])));
        cases.push(with(op, "rows,2,3", inputs, &[("axis", Int(1))], Rows, scale(&[2, 3])));
        cases.push(with(op, "rows,3", inputs, &[("axis", Int(0))], Mixes, scale(&[3])));
    }
    cases.push(one("MeanVarianceNormalization", "rows,2,3,3", &[("axes", Ints(&[2, 3]))], Rows));
    cases.push(one("MeanVarianceNormalization", "rows,2,3,3", &[], Mixes));
    let statistics = |g: Graph| ["s", "b", "m"].iter().fold(g, |g, n| g.weights(n, &[2], 1.0)).floats("v", &[2], &[1.0, 2.0]);
    let inputs = &["x", "s", "b", "m", "v"];
    cases.push(with("BatchNormalization", "rows,2,4", inputs, &[], Rows, statistics));
    cases.push(with("BatchNormalization", "rows,2", inputs, &[], Rows, statistics));
    cases.push(with(
        "BatchNormalization",
        "rows,2,4",
        inputs,
        &[("training_mode", Int(1))],
        Refused("training mode"),
        statistics,
    ));
    cases.push(with("InstanceNormalization", "rows,2,4,4", &["x", "s", "b"], &[], Rows, scale(&[2])));
    cases.push(with("GroupNormalization", "rows,4,3,3", &["x", "s", "b"], &[("num_groups", Int(2))], Rows, scale(&[4])));
    cases.push(one("LRN", "rows,4,3,3", &[("size", Int(3))], Rows));
    for op in [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    ] {
        cases.push(with(op, "rows,2,3", &["x", "a"], &[], Rows, |g| g.ints("a", &[2], &[1, -1])));
        cases.push(with(op, "rows,2,3", &["x", "a"], &[("keepdims", Int(0))], Rows, |g| g.ints("a", &[1], &[1])));
        let all = x("rows,3").node(op, &["x"], &["m"], &[("keepdims", Int(0))]).node("Add", &["x", "m"], &["y"], &[]);
        cases.push(chain(&format!("{op} of all"), &[op], all, Mixes));
    }
    cases.push(with("ReduceSum", "rows,3", &["x"], &[("noop_with_empty_axes", Int(1))], Rows, |g| g));
    for op in ["ArgMax", "ArgMin"] {
        for (axis, expect) in [(Some(1), Rows), (None, Mixes)] {
            let axis: Vec<(&str, Attr<'_>)> = axis.map(|a| ("axis", Int(a))).into_iter().collect();
            let graph = x("rows,3").node(op, &["x"], &["i"], &axis).node("Cast", &["i"], &["f"], &[("to", Int(1))]);
            cases.push(chain(&format!("{op} {axis:?}"), &[op], graph.node("Add", &["x", "f"], &["y"], &[]), expect));
        }
    }
    let largest = x("rows,5").ints("k", &[1], &[2]).node("TopK", &["x", "k"], &["y", "i"], &[]);
    cases.push(chain("TopK", &["TopK"], largest, Rows));
    cases.push(with("TopK", "rows,5", &["x", "k"], &[("axis", Int(0))], Refused("a fixed one is needed"), |g| {
        g.ints("k", &[1], &[2])
    }));
    cases.push(with("TopK", "rows,5", &["x", "k"], &[], Refused("more values than there are"), |g| g.ints("k", &[1], &[6])));
}

fn moved(cases: &mut Vec<Case>) {
    let to = |shape: &'static [i64]| move |g: Graph| g.ints("s", &[shape.len() as i64], shape);
    for (dims, shape, expect) in [
        ("rows,6", &[-1, 2, 3][..], Rows),
        ("rows,6", &[0, 3, 2], Rows),
        ("rows,2,3", &[-1, 6], Rows),
        ("rows,2,3", &[0, -1], Rows),
        // Two rows a row, and three.
        ("rows,6", &[-1, 3], Rows),
        ("rows,2,3", &[-1], Rows),
        ("rows,6", &[-1, 12], Refused("cannot be brought to")),
        ("rows,6", &[5, 6], Refused("cannot be brought to")),
        ("rows,6", &[2, -1], Refused("rows do not come first")),
    ] {
        cases.push(with("Reshape", dims, &["x", "s"], &[], expect, to(shape)));
    }
    // [rows, 2] as if it were [2, rows].
    let shape = x("rows,2").node("Shape", &["x"], &["n"], &[("start", Int(0)), ("end", Int(1))]).ints("two", &[1], &[2]);
    let turned = shape.node("Concat", &["two", "n"], &["s"], &[("axis", Int(0))]).node("Reshape", &["x", "s"], &["r"], &[]);
    cases.push(chain(
        "Reshape to [2, rows]",
        &["Reshape", "Shape", "Concat"],
        turned.node("Transpose", &["r"], &["y"], &[]),
        Mixes,
    ));
    // How exporters flatten: by the shape of what they have.
    let n =
        x("rows,2,3").node("Shape", &["x"], &["sh"], &[]).ints("zero", &[], &[0]).node("Gather", &["sh", "zero"], &["n"], &[]);
    let n = n.ints("a0", &[1], &[0]).node("Unsqueeze", &["n", "a0"], &["n1"], &[]).ints("open", &[1], &[-1]);
    let flat = n.node("Concat", &["n1", "open"], &["s"], &[("axis", Int(0))]).node("Reshape", &["x", "s"], &["y"], &[]);
    cases.push(chain("Reshape by Shape", &["Reshape", "Shape", "Gather", "Unsqueeze"], flat, Rows));
    cases.push(one("Flatten", "rows,2,3", &[], Rows));
    cases.push(one("Flatten", "rows,2,3", &[("axis", Int(2))], Rows));
    cases.push(one("Flatten", "rows,2", &[("axis", Int(0))], Refused("rows are axis 1")));
    let axes = |list: &'static [i64]| move |g: Graph| g.ints("a", &[list.len() as i64], list);
    cases.push(with("Squeeze", "rows,1,3", &["x", "a"], &[], Rows, axes(&[1])));
    cases.push(with("Squeeze", "rows,1,3", &["x", "a"], &[], Refused("longer than one"), axes(&[0])));
    cases.push(with("Squeeze", "rows,1,3", &["x"], &[], Refused("names no axes"), |g| g));
    cases.push(with("Unsqueeze", "rows,3", &["x", "a"], &[], Rows, axes(&[1, -1])));
    cases.push(with("Unsqueeze", "rows,3", &["x", "a"], &[], Refused("rows are axis 1"), axes(&[0])));
    cases.push(one("Transpose", "rows,2,3", &[("perm", Ints(&[0, 2, 1]))], Rows));
    cases.push(one("Transpose", "rows,3", &[], Refused("rows are axis 1")));
    cases.push(with("Concat", "rows,3", &["x", "x"], &[("axis", Int(1))], Rows, |g| g));
    cases.push(with("Concat", "rows,3", &["x", "x"], &[("axis", Int(0))], Unproven, |g| g));
    cases.push(with("Concat", "rows,3", &["x", "c"], &[("axis", Int(1))], Refused("do not fit"), |g| {
        g.weights("c", &[4, 2], 1.0)
    }));
    let halves = x("rows,4").node("Split", &["x"], &["a", "b"], &[("axis", Int(1)), ("num_outputs", Int(2))]);
    cases.push(chain("Split", &["Split"], halves.node("Sub", &["a", "b"], &["y"], &[]), Rows));
    let uneven = x("rows,5").ints("s", &[2], &[2, 3]).node("Split", &["x", "s"], &["a", "y"], &[("axis", Int(1))]);
    cases.push(chain("Split in two sizes", &["Split"], uneven, Rows));
    let by_rows = x("rows,4").node("Split", &["x"], &["y", "b"], &[("num_outputs", Int(2))]);
    cases.push(chain("Split of rows", &["Split"], by_rows, Refused("a fixed one is needed")));
    cases.push(with("Expand", "rows,1", &["x", "s"], &[], Rows, to(&[1, 4])));
    cases.push(with("Expand", "rows,3", &["x", "s"], &[], Refused("do not fit"), to(&[5, 3])));
    // A constant beside each row.
    let beside = x("rows,3").node("Shape", &["x"], &["n"], &[("start", Int(0)), ("end", Int(1))]).ints("two", &[1], &[2]);
    let beside = beside.node("Concat", &["n", "two"], &["s"], &[("axis", Int(0))]).weights("c", &[1, 2], 1.0);
    let beside = beside.node("Expand", &["c", "s"], &["e"], &[]);
    cases.push(chain("Expand by Shape", &["Expand"], beside.node("Concat", &["x", "e"], &["y"], &[("axis", Int(1))]), Rows));
    cases.push(with("Tile", "rows,3", &["x", "s"], &[], Rows, to(&[1, 2])));
    cases.push(with("Tile", "rows,3", &["x", "s"], &[], Unproven, to(&[2, 1])));
    cases.push(with("Pad", "rows,3", &["x", "s"], &[], Rows, to(&[0, 1, 0, 2])));
    cases.push(with("Pad", "rows,3", &["x", "s"], &[("mode", Text("reflect"))], Rows, to(&[0, 1, 0, 2])));
    cases.push(with("Pad", "rows,3", &["x", "s"], &[("mode", Text("edge"))], Rows, to(&[0, 1, 0, 2])));
    cases.push(with("Pad", "rows,3", &["x", "s"], &[], Refused("a fixed one is needed"), to(&[1, 0, 0, 0])));
    cases.push(one("DepthToSpace", "rows,8,2,2", &[("blocksize", Int(2))], Rows));
    cases.push(one("SpaceToDepth", "rows,2,4,4", &[("blocksize", Int(2))], Rows));
    cases.push(one("Trilu", "rows,3,3", &[], Rows));
    cases.push(one("Trilu", "rows,3", &[], Mixes));
}

fn picked(cases: &mut Vec<Case>) {
    let cut = |starts: &'static [i64], ends: &'static [i64], axes: &'static [i64], steps: &'static [i64]| {
        let n = starts.len() as i64;
        move |g: Graph| g.ints("s", &[n], starts).ints("e", &[n], ends).ints("a", &[n], axes).ints("t", &[n], steps)
    };
    let inputs = &["x", "s", "e", "a", "t"];
    for (starts, ends, axes, steps, expect) in [
        (&[1][..], &[3][..], &[1][..], &[1][..], Rows),
        (&[-1], &[-9], &[1], &[-2], Rows),
        (&[0, 0], &[i64::MAX, 2], &[0, 1], &[1, 1], Rows),
        (&[0], &[1], &[0], &[1], Mixes),
        (&[1], &[i64::MAX], &[0], &[1], Refused("cuts rows")),
        (&[0], &[i64::MAX], &[0], &[2], Refused("cuts rows")),
        (&[3], &[1], &[1], &[1], Refused("nothing is left")),
    ] {
        let mut case = with("Slice", "rows,5", inputs, &[], expect, cut(starts, ends, axes, steps));
        case.name = format!("Slice {starts:?} {ends:?} {axes:?} {steps:?}");
        // Of a single row: what it is to others.
        if expect == Mixes {
            let first = cut(starts, ends, axes, steps)(x("rows,5")).node("Slice", inputs, &["f"], &[]);
            case = chain("the first row to all", &["Slice"], first.node("Sub", &["x", "f"], &["y"], &[]), Mixes);
        }
        cases.push(case);
    }
    let at = |dims: &'static [i64], places: &'static [i64]| move |g: Graph| g.ints("i", dims, places);
    cases.push(with("Gather", "rows,3", &["x", "i"], &[("axis", Int(1))], Rows, at(&[2], &[2, -3])));
    cases.push(with("Gather", "rows,3", &["x", "i"], &[("axis", Int(1))], Rows, at(&[], &[1])));
    cases.push(with("Gather", "rows,2,3", &["x", "i"], &[("axis", Int(2))], Rows, at(&[2, 2], &[0, 1, 2, 0])));
    cases.push(with("Gather", "rows,3", &["x", "i"], &[("axis", Int(1))], Refused("is not there"), at(&[1], &[3])));
    let first = x("rows,3").ints("i", &[1], &[0]).node("Gather", &["x", "i"], &["f"], &[]);
    cases.push(chain("Gather of the first row", &["Gather"], first.node("Sub", &["x", "f"], &["y"], &[]), Mixes));
    // A table's row for each word; words that are not in it must not end the run of all.
    let words = |elem: i32| Graph::new().opset(23).input("x", elem, "rows,4").weights("table", &[7, 3], 1.0);
    for elem in [I64, I32] {
        cases.push(chain("embedding", &["Gather"], words(elem).node("Gather", &["table", "x"], &["y"], &[]), Rows));
    }
    let by_rows = x("rows,3").node("Cast", &["x"], &["i"], &[("to", Int(7))]).node("Gather", &["x", "i"], &["y"], &[]);
    cases.push(chain("a row says which row", &["Gather"], by_rows, Refused("by what rows say")));
    let own = |axis: i64| {
        let graph = x("rows,3").node("Cast", &["x"], &["i"], &[("to", Int(7))]);
        graph.node("GatherElements", &["x", "i"], &["y"], &[("axis", Int(axis))])
    };
    cases.push(chain("GatherElements", &["GatherElements"], own(1), Rows));
    cases.push(chain("GatherElements of rows", &["GatherElements"], own(0), Refused("a fixed one is needed")));
    let hot = Graph::new().opset(23).input("x", I64, "rows,2").ints("d", &[], &[3]).floats("v", &[2], &[0.0, 1.0]);
    cases.push(chain("OneHot", &["OneHot"], hot.clone().node("OneHot", &["x", "d", "v"], &["y"], &[]), Rows));
    cases.push(chain("OneHot first", &["OneHot"], hot.node("OneHot", &["x", "d", "v"], &["y"], &[("axis", Int(1))]), Rows));
    cases.push(with("ml:ArrayFeatureExtractor", "rows,4", &["x", "i"], &[], Rows, at(&[2], &[3, 1])));
    cases.push(with("ml:ArrayFeatureExtractor", "rows,4", &["x", "i"], &[], Refused("not there"), at(&[1], &[4])));
    // How many rows there are, as a number.
    let counted = x("rows,3").node("Shape", &["x"], &["s"], &[("start", Int(0)), ("end", Int(1))]).node(
        "Cast",
        &["s"],
        &["f"],
        &[("to", Int(1))],
    );
    cases.push(chain("how many rows", &["Shape"], counted.node("Add", &["x", "f"], &["y"], &[]), Mixes));
    let size = x("rows,3").node("Size", &["x"], &["s"], &[]).node("Cast", &["s"], &["f"], &[("to", Int(1))]);
    cases.push(chain("how many values", &["Size"], size.node("Add", &["x", "f"], &["y"], &[]), Mixes));
    // A row's place.
    let n = x("rows,1").node("Shape", &["x"], &["s"], &[("start", Int(0)), ("end", Int(1))]).ints("a", &[1], &[0]).node(
        "Squeeze",
        &["s", "a"],
        &["n"],
        &[],
    );
    let place = n.ints("z", &[], &[0]).ints("o", &[], &[1]).node("Range", &["z", "n", "o"], &["r"], &[]).ints("b", &[1], &[1]);
    let place = place.node("Unsqueeze", &["r", "b"], &["u"], &[]).node("Cast", &["u"], &["f"], &[("to", Int(1))]);
    cases.push(chain("a row's place", &["Range"], place.node("Add", &["x", "f"], &["y"], &[]), Mixes));
    let fixed =
        x("rows,3").ints("z", &[], &[0]).ints("n", &[], &[3]).ints("o", &[], &[1]).node("Range", &["z", "n", "o"], &["r"], &[]);
    let fixed = fixed.node("Cast", &["r"], &["f"], &[("to", Int(1))]).node("Mul", &["x", "f"], &["y"], &[]);
    cases.push(chain("Range", &["Range"], fixed, Rows));
    let constant = x("rows,2").node("Constant", &[], &["c"], &[("value", Tensor(&[2], &[1.0, 2.0]))]);
    cases.push(chain("Constant", &["Constant"], constant.node("Mul", &["x", "c"], &["y"], &[]), Rows));
    let zeros = x("rows,3").node("Shape", &["x"], &["s"], &[]).node(
        "ConstantOfShape",
        &["s"],
        &["z"],
        &[("value", Tensor(&[1], &[2.0]))],
    );
    cases.push(chain("ConstantOfShape", &["ConstantOfShape"], zeros.node("Add", &["x", "z"], &["y"], &[]), Rows));
    // PyTorch's expand: −1 keeps a dimension.
    let wanted =
        x("rows,1").node("Constant", &[], &["w"], &[("value", Whole(&[2], &[-1, 4]))]).node("Shape", &["w"], &["r"], &[]);
    let wanted = wanted.node("ConstantOfShape", &["r"], &["ones"], &[("value", Whole(&[1], &[1]))]).ints("m", &[], &[-1]);
    let wanted = wanted.node("Equal", &["w", "m"], &["q"], &[]).node("Where", &["q", "ones", "w"], &["s"], &[]);
    cases.push(chain(
        "Expand as exporters write it",
        &["Expand", "Where", "Equal"],
        wanted.node("Expand", &["x", "s"], &["y"], &[]),
        Rows,
    ));
    let computed = x("rows,3").node("Cast", &["x"], &["i"], &[("to", Int(7))]).node("Reshape", &["x", "i"], &["y"], &[]);
    cases.push(chain("a shape by values", &["Reshape"], computed, Refused("would depend on values")));
}

fn quantised(cases: &mut Vec<Case>) {
    let scale = |g: Graph| g.floats("s", &[], &[0.05]).bytes_of("z", U8, &[], &[128]);
    let there = scale(x("rows,3")).node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    cases.push(chain(
        "QuantizeLinear",
        &["QuantizeLinear", "DequantizeLinear"],
        there.node("DequantizeLinear", &["q", "s", "z"], &["y"], &[]),
        Rows,
    ));
    let each = x("rows,3").floats("s", &[3], &[0.05, 0.1, 0.2]).bytes_of("z", I8, &[3], &[0, 1, 2]).node(
        "QuantizeLinear",
        &["x", "s", "z"],
        &["q"],
        &[],
    );
    cases.push(chain("by columns", &["QuantizeLinear"], each.node("DequantizeLinear", &["q", "s", "z"], &["y"], &[]), Rows));
    let own = x("rows,3").node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[]).node(
        "DequantizeLinear",
        &["q", "s", "z"],
        &["y"],
        &[],
    );
    cases.push(chain("DynamicQuantizeLinear", &["DynamicQuantizeLinear"], own, Mixes));
    let w = |g: Graph| {
        g.bytes_of("w", I8, &[3, 2], &[1, 2, 3, 255, 254, 253]).bytes_of("zw", I8, &[], &[0]).floats("sw", &[], &[0.1])
    };
    let product = w(scale(x("rows,3"))).node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    let integer = product.clone().node("MatMulInteger", &["q", "w", "z", "zw"], &["p"], &[]).node(
        "Cast",
        &["p"],
        &["y"],
        &[("to", Int(1))],
    );
    cases.push(chain("MatMulInteger", &["MatMulInteger"], integer, Rows));
    let linear = product.node("QLinearMatMul", &["q", "s", "z", "w", "sw", "zw", "s", "z"], &["p"], &[]);
    cases.push(chain("QLinearMatMul", &["QLinearMatMul"], linear.node("DequantizeLinear", &["p", "s", "z"], &["y"], &[]), Rows));
    let k = |g: Graph| {
        g.bytes_of("w", U8, &[2, 1, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]).floats("sw", &[], &[0.1]).bytes_of("zw", U8, &[], &[3])
    };
    let image = k(scale(x("rows,1,4,4"))).node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    let integer =
        image.clone().node("ConvInteger", &["q", "w", "z", "zw"], &["p"], &[]).node("Cast", &["p"], &["y"], &[("to", Int(1))]);
    cases.push(chain("ConvInteger", &["ConvInteger"], integer, Rows));
    let linear = image.node("QLinearConv", &["q", "s", "z", "w", "sw", "zw", "s", "z"], &["p"], &[]);
    cases.push(chain("QLinearConv", &["QLinearConv"], linear.node("DequantizeLinear", &["p", "s", "z"], &["y"], &[]), Rows));
}

fn classic(cases: &mut Vec<Case>) {
    cases.push(tree(&[], Rows));
    for (changed, words) in [
        (("nodes_featureids", Ints(&[0, 0, 3, 0, 0])), "asks for feature 3, rows have 3"),
        (("nodes_featureids", Ints(&[0, 0, -1, 0, 0])), "asks for feature -1"),
        (("nodes_truenodeids", Ints(&[1, 0, 9, 0, 0])), "not there"),
        (("nodes_truenodeids", Ints(&[1, 0, 0, 0, 0])), "no root"),
        (("nodes_truenodeids", Ints(&[1, 0, 1, 0, 0])), "two parents"),
        (("nodes_values", Floats(&[0.5])), "not of one length"),
        (("nodes_modes", Texts(&["BRANCH_LEQ", "LEAF", "BRANCH_MEMBER", "LEAF", "LEAF"])), "not known"),
        (("target_ids", Ints(&[0, 0, 1])), "a score that is not there"),
        (("target_nodeids", Ints(&[1, 3, 7])), "of a node that is not there"),
    ] {
        cases.push(tree(&[changed], Refused(words)));
    }
    let classifier: Vec<_> = TREE.iter().chain(&CLASSES).copied().collect();
    let graph = x("rows,3").node("ml:TreeEnsembleClassifier", &["x"], &["l", "y"], &classifier);
    cases.push(chain("TreeEnsembleClassifier", &["ml:TreeEnsembleClassifier"], graph.clone(), Rows));
    let label = x("rows,3").node("ml:TreeEnsembleClassifier", &["x"], &["l", "s"], &classifier);
    cases.push(chain("its label", &["ml:TreeEnsembleClassifier"], label.node("Cast", &["l"], &["y"], &[("to", Int(1))]), Rows));
    let linear: &[(&str, Attr<'_>)] =
        &[("coefficients", Floats(&[1.0, -2.0, 0.5, 0.1, 0.2, 0.3])), ("intercepts", Floats(&[0.1, 0.2]))];
    let named: Vec<_> =
        linear.iter().copied().chain([("classlabels_ints", Ints(&[0, 1])), ("post_transform", Text("SOFTMAX"))]).collect();
    let graph = x("rows,3").node("ml:LinearClassifier", &["x"], &["l", "y"], &named);
    cases.push(chain("LinearClassifier", &["ml:LinearClassifier"], graph, Rows));
    let texts: Vec<_> = linear.iter().copied().chain([("classlabels_strings", Texts(&["a", "b"]))]).collect();
    let graph = x("rows,3").node("ml:LinearClassifier", &["x"], &["l", "y"], &texts);
    cases.push(chain("classes of text", &["ml:LinearClassifier"], graph, Refused("by text")));
    let two: Vec<_> = linear.iter().copied().chain([("targets", Int(2))]).collect();
    cases.push(one("ml:LinearRegressor", "rows,3", &two, Rows));
    cases.push(one("ml:LinearRegressor", "rows,4", &two, Refused("6 coefficients for rows of 4")));
    cases.push(one("ml:Scaler", "rows,3", &[("offset", Floats(&[0.1, 0.2, 0.3])), ("scale", Floats(&[1.0, 2.0, 3.0]))], Rows));
    cases.push(one(
        "ml:Scaler",
        "rows,3",
        &[("offset", Floats(&[0.1, 0.2])), ("scale", Floats(&[1.0]))],
        Refused("does not fit"),
    ));
    cases.push(one(
        "ml:Imputer",
        "rows,3",
        &[("imputed_value_floats", Floats(&[0.5])), ("replaced_value_float", Float(f32::NAN))],
        Rows,
    ));
    for norm in ["MAX", "L1", "L2"] {
        cases.push(one("ml:Normalizer", "rows,3", &[("norm", Text(norm))], Rows));
    }
    // It ends a run on NaN: one row's value would end that of all.
    cases.push(one("ml:Binarizer", "rows,3", &[("threshold", Float(0.1))], Refused("not on the list")));
    let coded = Graph::new().opset(23).input("x", I64, "rows,2");
    let table: &[(&str, Attr<'_>)] =
        &[("keys_int64s", Ints(&[0, 1])), ("values_floats", Floats(&[0.5, 1.5])), ("default_float", Float(-1.0))];
    cases.push(chain("LabelEncoder", &["ml:LabelEncoder"], coded.node("ml:LabelEncoder", &["x"], &["y"], table), Rows));
}

/// Small networks of the kinds that people bring.
fn networks(cases: &mut Vec<Case>) {
    let mlp = x("rows,4").weights("w1", &[4, 8], 1.0).weights("b1", &[8], 1.0).weights("w2", &[8, 1], 1.0);
    let mlp = mlp.node("Gemm", &["x", "w1", "b1"], &["h"], &[]).node("Relu", &["h"], &["r"], &[]).node(
        "MatMul",
        &["r", "w2"],
        &["l"],
        &[],
    );
    cases.push(chain("MLP", &[], mlp.node("Sigmoid", &["l"], &["y"], &[]), Rows));
    let block = x("rows,3,8,8").weights("k1", &[4, 3, 3, 3], 0.5).weights("k2", &[4, 4, 3, 3], 0.5).weights("w", &[4, 2], 1.0);
    let block = block.node("Conv", &["x", "k1"], &["c"], &[("pads", Ints(&[1, 1, 1, 1]))]).node("Relu", &["c"], &["r"], &[]);
    let block = block.node("Conv", &["r", "k2"], &["d"], &[("pads", Ints(&[1, 1, 1, 1]))]).node("Add", &["c", "d"], &["s"], &[]);
    let block = block.node("GlobalAveragePool", &["s"], &["g"], &[]).node("Flatten", &["g"], &["f"], &[]);
    cases.push(chain("residual network", &[], block.node("MatMul", &["f", "w"], &["y"], &[]), Rows));
    // Words to vectors, attention of each row over its own words with a mask, mean over words.
    let heads = |g: Graph, from: &str, to: &str, perm: &'static [i64]| {
        let (split, w) = (format!("{to}_s"), format!("w{to}"));
        g.weights(&w, &[6, 6], 1.0)
            .node("MatMul", &[from, &w], &[&format!("{to}_m")], &[])
            .node("Reshape", &[&format!("{to}_m"), "heads"], &[&split], &[])
            .node("Transpose", &[&split], &[to], &[("perm", Ints(perm))])
    };
    let words = Graph::new().opset(23).input("x", I64, "rows,5").input("mask", F32, "rows,5").weights("table", &[11, 6], 1.0);
    let words =
        words.ints("heads", &[4], &[0, 5, 2, 3]).ints("joined", &[3], &[0, 5, 6]).node("Gather", &["table", "x"], &["e"], &[]);
    let words = words.weights("p", &[1, 5, 6], 1.0).node("Add", &["e", "p"], &["h"], &[]);
    let words = heads(heads(heads(words, "h", "q", &[0, 2, 1, 3]), "h", "k", &[0, 2, 3, 1]), "h", "v", &[0, 2, 1, 3]);
    let words = words.node("MatMul", &["q", "k"], &["qk"], &[]).ints("m12", &[2], &[1, 2]).node(
        "Unsqueeze",
        &["mask", "m12"],
        &["m4"],
        &[],
    );
    let words = words.node("Add", &["qk", "m4"], &["masked"], &[]).node("Softmax", &["masked"], &["a"], &[]).node(
        "MatMul",
        &["a", "v"],
        &["av"],
        &[],
    );
    let words =
        words.node("Transpose", &["av"], &["t"], &[("perm", Ints(&[0, 2, 1, 3]))]).node("Reshape", &["t", "joined"], &["o"], &[]);
    let words =
        words.node("Add", &["h", "o"], &["r"], &[]).weights("s", &[6], 1.0).weights("b", &[6], 1.0).ints("one", &[1], &[1]);
    let words = words.node("LayerNormalization", &["r", "s", "b"], &["n"], &[]).node(
        "ReduceMean",
        &["n", "one"],
        &["y"],
        &[("keepdims", Int(0))],
    );
    cases.push(chain("transformer within a row", &[], words, Rows));
    // As if rows were the words of one sentence.
    let over =
        x("rows,4").weights("w", &[4, 4], 1.0).node("MatMul", &["x", "w"], &["k"], &[]).node("Transpose", &["k"], &["t"], &[]);
    let over = over.node("MatMul", &["x", "t"], &["s"], &[]).node("Softmax", &["s"], &["a"], &[]);
    cases.push(chain("attention over rows", &[], over.node("MatMul", &["a", "x"], &["y"], &[]), Mixes));
    // Other rows count only where one has a rare value: no try would show it.
    let rare = x("rows,1").floats("limit", &[], &[1e20]).node("ReduceMax", &["x"], &["m"], &[("keepdims", Int(0))]);
    let rare = rare.node("Greater", &["m", "limit"], &["q"], &[]).node("Cast", &["q"], &["f"], &[("to", Int(1))]);
    cases.push(chain("a rare value", &[], rare.node("Add", &["x", "f"], &["y"], &[]), Mixes));
    for op in [
        "If",
        "Loop",
        "Scan",
        "NonZero",
        "Unique",
        "Compress",
        "RandomNormal",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
        "SequenceAt",
        "Optional",
        "StringConcat",
        "TfIdfVectorizer",
        "EyeLike",
    ] {
        cases.push(one(op, "rows,3", &[], Refused("not on the list")));
    }
    cases.push(one("com.microsoft:FusedGemm", "rows,3", &[], Refused("of domain")));
    cases.push(one("Relu", "rows,3", &[("surprise", Int(1))], Refused("not known: \"surprise\"")));
    let dangling = x("rows,3").node("Add", &["x", "nothing"], &["y"], &[]);
    cases.push(chain("what is not there", &[], dangling, Refused("not computed before it")));
    let twice = x("rows,3").node("Relu", &["x"], &["y"], &[]).node("Neg", &["x"], &["y"], &[]);
    cases.push(chain("computed twice", &[], twice, Refused("computed twice")));
    let bomb = |n: i64| {
        x("rows,3").ints("s", &[2], &[n, n]).node("ConstantOfShape", &["s"], &["c"], &[]).node(
            "ReduceSum",
            &["c"],
            &["r"],
            &[("keepdims", Int(0))],
        )
    };
    cases.push(chain("a shape bomb", &[], bomb(1 << 20).node("Add", &["x", "r"], &["y"], &[]), Refused("a tensor of more than")));
    let mut many = x("rows,3").ints("t", &[2], &[1, 2]);
    for i in 0..40 {
        let (from, to) = (if i == 0 { "x".to_owned() } else { format!("a{i}") }, format!("a{}", i + 1));
        many = many.node("Tile", &[&from, "t"], &[&to], &[]);
    }
    cases.push(chain("a bomb of Tiles", &[], many.node("Relu", &["a40"], &["y"], &[]), Refused("a tensor of more than")));
}
