//! Models over units, of whom one person has the extremes of floating point where all others have 1.

use super::jobs::Case;
use tidegate_fixtures::models::{
    Attr, Graph,
    elem::{F32, F64, I64},
};

/// What the one person has in each of the features.
const EXTREMES: [&str; 6] = ["1e308", "-1e308", "5e-324", "0.0 / 0.0", "1e-40", "NULL"];

/// The features, of which all but the one person have 1.
fn select() -> String {
    let column =
        |(i, extreme): (usize, &&str)| format!("CASE WHEN diag = 'rare' AND age = 42 THEN {extreme} ELSE 1.0 END AS x{i}");
    format!("SELECT {} FROM dataset", EXTREMES.iter().enumerate().map(column).collect::<Vec<_>>().join(", "))
}

/// A model of six numbers for six features: each is released, and its default is far from what all others have.
fn model(name: &str, graph: Graph) -> Case {
    let outputs: Vec<String> =
        (0..EXTREMES.len()).map(|i| format!("{{ name = \"y{i}\", lo = -2, hi = 2, reducer = \"sum\", default = -2 }}")).collect();
    let job = format!(
        "rho = 1e-2\n[onnx]\nmodel = \"PROGRAM\"\nselect = \"{}\"\noutput = \"score\"\nreduce = \"max\"\noutputs = [{}]\n",
        select(),
        outputs.join(", ")
    );
    Case { name: format!("model-{name}"), job, program: Some(graph.bytes()), answers: Some(true) }
}

fn features(elem: i32) -> Graph {
    Graph::new().input("x", elem, "rows,6")
}

/// The operator so many times, each on what the one before gave.
fn chain(op: &str, elem: i32, times: usize) -> Graph {
    let mut graph = features(elem);
    for i in 0..times {
        let (from, to) = (if i == 0 { "x".into() } else { format!("y{i}") }, format!("y{}", i + 1));
        graph = graph.node(op, &[&from], &[if i + 1 == times { "score" } else { &to }], &[]);
    }
    graph.output("score", elem)
}

pub(super) fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("exp", chain("Exp", F32, 3)),
        ("exp-of-doubles", chain("Exp", F64, 2)),
        ("log-of-doubles", chain("Log", F64, 1)),
        ("roots", chain("Sqrt", F32, 20)),
        ("sines", chain("Sin", F32, 8)),
        ("tangents", chain("Tan", F32, 8)),
        ("sigmoids", chain("Sigmoid", F32, 20)),
        ("softmax", chain("Softmax", F32, 2)),
        ("rounding", chain("Round", F64, 2)),
    ]
    .map(|(name, graph)| model(name, graph))
    .into();
    // A large double changes the last bit of its neighbour's sine: refused, on both sides alike.
    let sines = model("sines-of-doubles", chain("Sin", F64, 4));
    cases.push(Case { answers: Some(false), ..sines });
    let one = |value: f32| features(F32).floats("c", &[1], &[value]);
    cases.push(model("powers", one(3.7).node("Pow", &["x", "c"], &["score"], &[]).output("score", F32)));
    // What stays subnormal does so at every step.
    let mut shrinking = one(0.5);
    for i in 0..12 {
        let from = if i == 0 { "x".into() } else { format!("y{i}") };
        shrinking = shrinking.node("Mul", &[&from, "c"], &[&format!("y{}", i + 1)], &[]);
    }
    cases.push(model("subnormal-products", shrinking.node("Add", &["y12", "x"], &["score"], &[]).output("score", F32)));
    // The remainder as it is written where the operator is refused.
    let remainder = one(0.7).node("Div", &["x", "c"], &["q"], &[]).node("Floor", &["q"], &["f"], &[]);
    let remainder = remainder.node("Mul", &["f", "c"], &["m"], &[]).node("Sub", &["x", "m"], &["score"], &[]);
    cases.push(model("remainder", remainder.output("score", F32)));
    let whole = features(F32).node("Cast", &["x"], &["i"], &[("to", Attr::Int(I64.into()))]);
    cases.push(model("casts", whole.node("Cast", &["i"], &["score"], &[("to", Attr::Int(F32.into()))]).output("score", F32)));
    let layer = features(F32).weights("w", &[6, 6], 1e-38).node("MatMul", &["x", "w"], &["y"], &[]);
    cases.push(model("tiny-weights", layer.node("Tanh", &["y"], &["score"], &[]).output("score", F32)));
    let fmod = one(0.7).node("Mod", &["x", "c"], &["score"], &[("fmod", Attr::Int(1))]).output("score", F32);
    cases.push(Case { answers: Some(false), ..model("float-mod", fmod) });
    cases
}
