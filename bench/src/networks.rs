//! Models of common shapes, with meaningless weights.

use tidegate_fixtures::models::{
    Attr::{self, Floats, Int, Ints, Texts},
    Graph,
    elem::{F32, I64},
};

/// Path at which `bench/minilm.py` puts a real model: like [`encoder`], with the weights of all-MiniLM-L6-v2.
pub(crate) const MINILM: &str = "target/minilm.onnx";

/// Builds an MLP: 8 features, two hidden layers of 64, a single score.
pub(crate) fn mlp() -> Graph {
    let mut graph = Graph::new().input("x", F32, "rows,8");
    let mut from = "x".to_owned();
    for (i, (a, b)) in [(8, 64), (64, 64), (64, 1)].into_iter().enumerate() {
        let (w, c, h, y) = (format!("w{i}"), format!("c{i}"), format!("h{i}"), format!("y{i}"));
        graph = graph.weights(&w, &[a, b], 0.5).weights(&c, &[b], 0.5).node("Gemm", &[&from, &w, &c], &[&h], &[]);
        graph = graph.node(if b == 1 { "Sigmoid" } else { "Relu" }, &[&h], &[&y], &[]);
        from = y;
    }
    graph.output("y2", F32)
}

/// Builds the same model plus zero times the maximum over all rows: no number changes, but nothing can be proven.
pub(crate) fn unproven() -> Graph {
    let graph = mlp().node("ReduceMax", &["x"], &["m"], &[("keepdims", Int(0))]).floats("zero", &[], &[0.0]);
    graph.node("Mul", &["m", "zero"], &["z"], &[]).node("Add", &["y2", "z"], &["y"], &[]).output("y", F32)
}

/// Builds 100 trees of depth 6 over 8 features.
pub(crate) fn trees() -> Graph {
    const DEPTH: u32 = 6;
    let inner = (1i64 << DEPTH) - 1;
    let nodes = (1i64 << (DEPTH + 1)) - 1;
    let values = tidegate_fixtures::models::weights(100 * nodes as usize, 5, 1.0);
    let each = |of: &dyn Fn(i64, i64) -> i64| {
        (0..100).flat_map(|t| (0..nodes).map(move |n| (t, n))).map(|(t, n)| of(t, n)).collect::<Vec<_>>()
    };
    let leaves: Vec<(i64, i64)> = (0..100).flat_map(|t| (inner..nodes).map(move |n| (t, n))).collect();
    let modes: Vec<&str> = (0..100 * nodes).map(|i| if i % nodes < inner { "BRANCH_LEQ" } else { "LEAF" }).collect();
    let below = |n: i64, side: i64| if n < inner { 2 * n + side } else { 0 };
    let (tree, node) = (each(&|t, _| t), each(&|_, n| n));
    let (feature, yes, no) = (each(&|t, n| (t * 7 + n * 3).rem_euclid(8)), each(&|_, n| below(n, 1)), each(&|_, n| below(n, 2)));
    let (leaf_tree, leaf_node): (Vec<i64>, Vec<i64>) = leaves.iter().copied().unzip();
    let weights = tidegate_fixtures::models::weights(leaves.len(), 6, 0.02);
    let targets = vec![0; leaves.len()];
    let attributes: [(&str, Attr<'_>); 12] = [
        ("nodes_treeids", Ints(&tree)),
        ("nodes_nodeids", Ints(&node)),
        ("nodes_featureids", Ints(&feature)),
        ("nodes_values", Floats(&values)),
        ("nodes_modes", Texts(&modes)),
        ("nodes_truenodeids", Ints(&yes)),
        ("nodes_falsenodeids", Ints(&no)),
        ("target_treeids", Ints(&leaf_tree)),
        ("target_nodeids", Ints(&leaf_node)),
        ("target_ids", Ints(&targets)),
        ("target_weights", Floats(&weights)),
        ("n_targets", Int(1)),
    ];
    Graph::new().input("x", F32, "rows,8").node("ml:TreeEnsembleRegressor", &["x"], &["y"], &attributes).output("y", F32)
}

/// Builds the layers of ResNet-18 (He et al. 2015) on images of 224 × 224, batch normalisation folded in.
pub(crate) fn resnet() -> Graph {
    let mut graph = Graph::new().input("x", F32, "rows,3,224,224");
    let mut number = 0;
    let mut conv = |graph: Graph, from: &str, (inputs, outputs): (i64, i64), (size, stride): (i64, i64)| {
        number += 1;
        let (w, c, y) = (format!("w{number}"), format!("c{number}"), format!("v{number}"));
        let pad = size / 2;
        let graph = graph.weights(&w, &[outputs, inputs, size, size], 0.1).weights(&c, &[outputs], 0.1);
        let around = [pad, pad, pad, pad];
        (graph.node("Conv", &[from, &w, &c], &[&y], &[("pads", Ints(&around)), ("strides", Ints(&[stride, stride]))]), y)
    };
    let (next, first) = conv(graph, "x", (3, 64), (7, 2));
    graph = next.node("Relu", &[&first], &["r0"], &[]).node(
        "MaxPool",
        &["r0"],
        &["p0"],
        &[("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("pads", Ints(&[1, 1, 1, 1]))],
    );
    let (mut from, mut width) = ("p0".to_owned(), 64);
    for block in 0..8 {
        let outputs = 64 << (block / 2);
        let stride = if outputs == width { 1 } else { 2 };
        let (a, b, s, y) = (format!("a{block}"), format!("b{block}"), format!("s{block}"), format!("y{block}"));
        let (next, one) = conv(graph, &from, (width, outputs), (3, stride));
        let (next, two) = conv(next.node("Relu", &[&one], &[&a], &[]), &a, (outputs, outputs), (3, 1));
        let (next, kept) = if stride == 1 { (next, from) } else { conv(next, &from, (width, outputs), (1, 2)) };
        graph = next.node("Identity", &[&two], &[&b], &[]).node("Add", &[&b, &kept], &[&s], &[]).node("Relu", &[&s], &[&y], &[]);
        (from, width) = (y, outputs);
    }
    let graph =
        graph.weights("w", &[512, 10], 0.1).node("GlobalAveragePool", &[&from], &["g"], &[]).node("Flatten", &["g"], &["f"], &[]);
    graph.node("MatMul", &["f", "w"], &["y"], &[]).output("y", F32)
}

/// Builds a 6-layer encoder of width 384 with 12 heads over 128 words: the shape of MiniLM (Wang et al. 2020).
pub(crate) fn encoder() -> Graph {
    const WIDTH: i64 = 384;
    let mut graph = Graph::new()
        .input("x", I64, "rows,128")
        .weights("words", &[3000, WIDTH], 1.0)
        .weights("places", &[1, 128, WIDTH], 1.0)
        .ints("apart", &[4], &[0, 128, 12, 32])
        .ints("joined", &[3], &[0, 128, WIDTH])
        .ints("one", &[1], &[1])
        .floats("root", &[], &[32f32.sqrt()])
        .node("Gather", &["words", "x"], &["e"], &[])
        .node("Add", &["e", "places"], &["h0"], &[]);
    for layer in 0..6 {
        let name = |what: &str| format!("{what}{layer}");
        let dense = |graph: Graph, from: &str, to: &str, (a, b): (i64, i64)| {
            let (w, c, m) = (name(&format!("{to}w")), name(&format!("{to}c")), name(&format!("{to}m")));
            let graph = graph.weights(&w, &[a, b], 0.1).weights(&c, &[b], 0.1).node("MatMul", &[from, &w], &[&m], &[]);
            graph.node("Add", &[&m, &c], &[&name(to)], &[])
        };
        let norm = |graph: Graph, (a, b): (&str, &str), to: &str| {
            let (s, c, sum) = (name(&format!("{to}s")), name(&format!("{to}b")), name(&format!("{to}sum")));
            let graph = graph.weights(&s, &[WIDTH], 1.0).weights(&c, &[WIDTH], 1.0).node("Add", &[a, b], &[&sum], &[]);
            graph.node("LayerNormalization", &[&sum, &s, &c], &[to], &[])
        };
        let from = format!("h{layer}");
        for (what, perm) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
            graph = dense(graph, &from, what, (WIDTH, WIDTH)).node(
                "Reshape",
                &[&name(what), "apart"],
                &[&name(&format!("{what}r"))],
                &[],
            );
            graph =
                graph.node("Transpose", &[&name(&format!("{what}r"))], &[&name(&format!("{what}t"))], &[("perm", Ints(&perm))]);
        }
        graph = graph.node("MatMul", &[&name("qt"), &name("kt")], &[&name("qk")], &[]);
        graph = graph.node("Div", &[&name("qk"), "root"], &[&name("scaled")], &[]).node(
            "Softmax",
            &[&name("scaled")],
            &[&name("soft")],
            &[],
        );
        graph = graph.node("MatMul", &[&name("soft"), &name("vt")], &[&name("av")], &[]);
        graph = graph.node("Transpose", &[&name("av")], &[&name("at")], &[("perm", Ints(&[0, 2, 1, 3]))]);
        graph = graph.node("Reshape", &[&name("at"), "joined"], &[&name("aj")], &[]);
        graph = norm(dense(graph, &name("aj"), "o", (WIDTH, WIDTH)), (&from, &name("o")), &name("n"));
        graph = dense(graph, &name("n"), "f", (WIDTH, 4 * WIDTH)).node("Gelu", &[&name("f")], &[&name("g")], &[]);
        graph = norm(dense(graph, &name("g"), "d", (4 * WIDTH, WIDTH)), (&name("n"), &name("d")), &format!("h{}", layer + 1));
    }
    graph.opset(20).node("ReduceMean", &["h6", "one"], &["y"], &[("keepdims", Int(0))]).output("y", F32)
}
