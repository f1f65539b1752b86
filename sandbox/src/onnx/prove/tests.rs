//! Graphs put together at random: what is proven of a tensor, and its shape, against the runtime.

use ort::{
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
    value::Tensor as Value,
};
use tidegate_fixtures::models::{
    Attr::{self, Int as Whole, Ints},
    Graph, elem, weights,
};

use super::{
    super::{proto, strict},
    tensor::{Dim, Elem, Flow, Tensor, count},
    *,
};

#[path = "../../../tests/common/runtime.rs"]
mod runtime;

/// Numbers that look drawn by chance.
struct Lots(u64);

impl Lots {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n.max(1)
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

fn known(graph: &Graph) -> Option<HashMap<String, Tensor>> {
    let model = strict::read(&graph.bytes()).unwrap();
    let inner = model.graph.clone().unwrap();
    let width: Vec<u64> = graph.inputs[0].2.split(',').skip(1).map(|n| n.parse().unwrap()).collect();
    follow(&model, &inner, vec![("x".into(), rows_input(Elem::F32, &width))]).ok().map(|found| found.tensors)
}

/// A number that the proof would follow and its type does not hold is no fact: the runtime saturates or wraps around.
#[test]
fn known_numbers_are_those_of_their_types() {
    let graph = |elem: i32, factors: &[i64]| {
        let graph = Graph::new().opset(18).input("x", elem::F32, "rows,4").ints("f", &[factors.len() as i64], factors);
        let graph = graph.node("Cast", &["f"], &["c"], &[("to", Whole(elem.into()))]);
        graph
            .node("ReduceProd", &["c"], &["p"], &[("keepdims", Whole(1))])
            .node("Relu", &["x"], &["y"], &[])
            .output("y", elem::F32)
    };
    let product = |elem: i32, factors: &[i64]| {
        known(&graph(elem, factors)).and_then(|tensors| tensors["p"].ints.clone()).map(|ints| (ints[0].times, ints[0].power))
    };
    let (i32s, i64s) = (Elem::I32.number(), Elem::I64.number());
    assert_eq!(product(i32s, &[641, 670]), Some((641 * 670, 0)));
    assert_eq!(known(&graph(i32s, &[641, 670])).unwrap()["p"].elem, Elem::I32);
    assert_eq!(product(i32s, &[641, 6_700_417]), None, "2^32 + 1");
    assert_eq!(product(i64s, &[641, 6_700_417]), Some(((1 << 32) + 1, 0)));
    assert_eq!(product(i64s, &[1 << 40, 1 << 40]), None);
    // A part of it may leave the type, in whatever order they are multiplied.
    assert_eq!(product(i32s, &[1 << 20, 1 << 20, 0]), None);
}

/// A byte other than 0 and 1 is true to one operator and its own number to another.
#[test]
fn truth_values_of_a_model_are_0_and_1() {
    let stored = |bytes: &[u8], ints: &[i32]| {
        let tensor = proto::TensorProto {
            dims: vec![(bytes.len() + ints.len()) as i64],
            data_type: Some(Elem::Bool.number()),
            raw_data: (!bytes.is_empty()).then(|| bytes.to_vec()),
            int32_data: ints.to_vec(),
            ..proto::TensorProto::default()
        };
        constant::tensor(&tensor)
            .ok()
            .and_then(|tensor| tensor.ints)
            .map(|ints| ints.iter().map(|int| int.times).collect::<Vec<_>>())
    };
    assert_eq!(stored(&[0, 1], &[]), Some(vec![0, 1]));
    assert_eq!(stored(&[], &[1, 0]), Some(vec![1, 0]));
    assert_eq!(stored(&[0, 2], &[]), None);
    assert_eq!(stored(&[], &[1, -1]), None);
}

/// Multiples of the number of rows stay small beside their type, whatever the number.
#[test]
fn known_multiples_of_rows_are_small() {
    let product = |times: i64| {
        let graph = Graph::new().opset(18).input("x", elem::F32, "rows,4").node("Shape", &["x"], &["s"], &[("end", Whole(1))]);
        let graph = graph.ints("t", &[1], &[times]).node("Concat", &["s", "t"], &["b"], &[("axis", Whole(0))]);
        let graph = graph.node("ReduceProd", &["b"], &["p"], &[]).node("Relu", &["x"], &["y"], &[]).output("y", elem::F32);
        known(&graph).and_then(|tensors| tensors["p"].ints.clone()).map(|ints| (ints[0].times, ints[0].power))
    };
    assert_eq!(product(3), Some((3, 1)));
    assert_eq!(product(1 << 62), None);
}

/// The runtime pads pools by `auto_pad` as if they had no dilation.
#[test]
fn dilated_pools_say_their_pads() {
    let pooled = |dilation: i64, auto: &str| {
        let window: [(&str, Attr<'_>); 4] = [
            ("kernel_shape", Ints(&[3])),
            ("dilations", Ints(&[dilation])),
            ("auto_pad", Attr::Text(auto)),
            ("strides", Ints(&[1])),
        ];
        let graph = Graph::new().opset(18).input("x", elem::F32, "rows,1,16").node("MaxPool", &["x"], &["y"], &window);
        known(&graph.output("y", elem::F32)).is_some()
    };
    assert!(pooled(1, "SAME_UPPER") && pooled(2, "VALID"));
    assert!(!pooled(2, "SAME_UPPER") && !pooled(2, "SAME_LOWER"));
}

/// The runtime computes doubles two at a time, and a large one changes the last bit of the other.
#[test]
fn waves_are_of_floats_of_32_bits() {
    let followed = |operator: &str, kind: i32, of: Elem| {
        let graph = Graph::new().input("x", kind, "rows,4").node(operator, &["x"], &["y"], &[]).output("y", kind);
        let model = strict::read(&graph.bytes()).unwrap();
        follow(&model, model.graph.as_ref().unwrap(), vec![("x".into(), rows_input(of, &[4]))]).map_err(|e| e.why)
    };
    for operator in ["Sin", "Cos"] {
        assert!(followed(operator, elem::F32, Elem::F32).is_ok());
        let why = followed(operator, elem::F64, Elem::F64).err().unwrap();
        assert!(why.contains("neighbours"), "{operator}: {why}");
    }
    assert!(followed("Exp", elem::F64, Elem::F64).is_ok());
}

/// With PROBIT, the runtime leaves one of two scores as it was in memory.
#[test]
fn no_classifier_leaves_scores_unwritten() {
    let followed = |transform: &str| {
        let attributes: [(&str, Attr<'_>); 4] = [
            ("coefficients", Attr::Floats(&[1.0])),
            ("intercepts", Attr::Floats(&[0.0])),
            ("classlabels_ints", Ints(&[0, 1])),
            ("post_transform", Attr::Text(transform)),
        ];
        let graph = Graph::new().input("x", elem::F32, "rows,1");
        let graph = graph.node("ml:LinearClassifier", &["x"], &["label", "y"], &attributes);
        let model = strict::read(&graph.output("y", elem::F32).bytes()).unwrap();
        follow(&model, model.graph.as_ref().unwrap(), vec![("x".into(), rows_input(Elem::F32, &[1]))]).map_err(|e| e.why)
    };
    assert!(followed("LOGISTIC").is_ok(), "{:?}", followed("LOGISTIC").err());
    let why = followed("PROBIT").err().unwrap();
    assert!(why.contains("unwritten"), "{why}");
}

/// One more node, on `from`, which is `tensor`; its output is `to`.
fn step(lots: &mut Lots, graph: Graph, from: &str, other: &str, tensor: &Tensor, to: &str) -> Graph {
    let rank = tensor.rank();
    let axis = lots.below(rank.max(1)) as i64;
    let size = |at: usize| tensor.dims.get(at).and_then(|d| d.known()).unwrap_or(1) as i64;
    let last = size(rank.saturating_sub(1));
    let c = format!("{to}c");
    match lots.below(22) {
        0 => graph.node(lots.of(&["Relu", "Tanh", "Neg", "Sigmoid", "Abs"]), &[from], &[to], &[]),
        1 => {
            let mut dims: Vec<i64> = (0..rank).map(|at| if lots.below(2) == 0 { 1 } else { size(at) }).collect();
            dims.drain(..lots.below(rank + 1));
            graph.weights(&c, &dims, 1.0).node(lots.of(&["Add", "Mul", "Max"]), &[from, &c], &[to], &[])
        }
        2 => graph.node(lots.of(&["Add", "Sub", "Mul", "Min"]), &[from, other], &[to], &[]),
        3 => graph.weights(&c, &[last, 1 + lots.below(3) as i64], 1.0).node("MatMul", &[from, &c], &[to], &[]),
        4 => {
            let before = size(rank.saturating_sub(2));
            graph.weights(&c, &[1 + lots.below(3) as i64, before], 1.0).node("MatMul", &[&c, from], &[to], &[])
        }
        5 => {
            let mut perm: Vec<i64> = (0..rank as i64).collect();
            for i in (1..rank).rev() {
                perm.swap(i, lots.below(i + 1));
            }
            graph.node("Transpose", &[from], &[to], &[("perm", Ints(&perm))])
        }
        6 => {
            let mut dims: Vec<i64> = match lots.below(5) {
                0 => vec![0, -1],
                1 => vec![-1, last],
                2 => vec![-1, 2, 3],
                3 => (0..rank).map(|at| if at == axis as usize { -1 } else { size(at) }).rev().collect(),
                _ => vec![0, 2, -1],
            };
            if lots.below(4) == 0 {
                dims.reverse();
            }
            graph.ints(&c, &[dims.len() as i64], &dims).node("Reshape", &[from, &c], &[to], &[])
        }
        7 => graph.node(lots.of(&["Softmax", "LogSoftmax"]), &[from], &[to], &[("axis", Whole(axis))]),
        8 => {
            let keep = [("keepdims", Whole(lots.below(2) as i64))];
            graph.ints(&c, &[1], &[axis]).node(lots.of(&["ReduceSum", "ReduceMax", "ReduceMean"]), &[from, &c], &[to], &keep)
        }
        9 => graph.node("Concat", &[from, lots.of(&[from, other])], &[to], &[("axis", Whole(axis))]),
        10 => {
            let (start, end) = (lots.below(3) as i64, lots.of(&[1, 2, 3, i64::MAX]));
            let graph = graph.ints(&c, &[1], &[start]).ints(&format!("{c}e"), &[1], &[end]).ints(&format!("{c}a"), &[1], &[axis]);
            let graph = graph.ints(&format!("{c}t"), &[1], &[lots.of(&[1, 1, 2])]);
            graph.node("Slice", &[from, &c, &format!("{c}e"), &format!("{c}a"), &format!("{c}t")], &[to], &[])
        }
        11 => {
            let at: &[i64] = lots.of(&[&[0][..], &[0, 1], &[-1]]);
            graph.ints(&c, &[at.len() as i64], at).node("Gather", &[from, &c], &[to], &[("axis", Whole(axis))])
        }
        12 => graph.ints(&c, &[], &[0]).node("Gather", &[from, &c], &[to], &[("axis", Whole(axis))]),
        13 => graph.ints(&c, &[1], &[lots.below(rank + 1) as i64]).node("Unsqueeze", &[from, &c], &[to], &[]),
        14 => graph.ints(&c, &[1], &[axis]).node("Squeeze", &[from, &c], &[to], &[]),
        15 => {
            let repeats: Vec<i64> = (0..rank).map(|_| 1 + i64::from(lots.below(4) == 0)).collect();
            graph.ints(&c, &[rank as i64], &repeats).node("Tile", &[from, &c], &[to], &[])
        }
        16 => {
            let pads: Vec<i64> = (0..2 * rank).map(|i| i64::from(i % rank != 0 && lots.below(3) == 0)).collect();
            graph.ints(&c, &[2 * rank as i64], &pads).node("Pad", &[from, &c], &[to], &[])
        }
        17 => graph.ints(&c, &[], &[axis]).node("CumSum", &[from, &c], &[to], &[]),
        18 => {
            let t = format!("{to}t");
            let mut perm: Vec<i64> = (0..rank as i64).collect();
            if rank >= 2 {
                perm.swap(rank - 1, rank - 2);
            }
            let graph = graph.node("Transpose", &[from], &[&t], &[("perm", Ints(&perm))]);
            graph.node("MatMul", &if lots.below(2) == 0 { [from, &t] } else { [&t, from] }, &[to], &[])
        }
        19 => graph.weights(&c, &[last], 1.0).node(
            "LayerNormalization",
            &[from, &c],
            &[to],
            &[("axis", Whole(-1 - lots.below(2) as i64))],
        ),
        20 => {
            let i = format!("{to}i");
            let graph = graph.node("ArgMax", &[from], &[&i], &[("axis", Whole(axis)), ("keepdims", Whole(lots.below(2) as i64))]);
            graph.node("Cast", &[&i], &[to], &[("to", Whole(1))])
        }
        _ => {
            let dims: Vec<i64> = (0..rank).map(|at| if size(at) == 1 && at > 0 { 1 + lots.below(3) as i64 } else { 1 }).collect();
            graph.ints(&c, &[rank as i64], &dims).node("Expand", &[from, &c], &[to], &[])
        }
    }
}

/// A graph, its last tensor's name, and what is known of that.
fn draw(lots: &mut Lots) -> (Graph, String, Tensor) {
    let dims = lots.of(&["rows,6", "rows,2,3", "rows,1,6", "rows,3,2,2"]);
    let mut graph = Graph::new().opset(20).input("x", elem::F32, dims);
    let mut names = vec!["x".to_owned()];
    let mut tensors = known(&graph).unwrap();
    let length = 2 + lots.below(6);
    for _ in 0..60 {
        if names.len() > length {
            break;
        }
        let to = format!("t{}", names.len());
        let (from, other) = (names.last().unwrap().clone(), names[lots.below(names.len())].clone());
        let tensor = tensors[&from].clone();
        let next = step(lots, graph.clone(), &from, &other, &tensor, &to);
        if let Some(after) = known(&next)
            && after.get(&to).is_some_and(|t| count(&t.dims).is_ok_and(|n| n.times < 5000))
        {
            (graph, tensors) = (next, after);
            names.push(to);
        }
    }
    let last = names.pop().unwrap();
    let tensor = tensors[&last].clone();
    (graph, last, tensor)
}

const ROWS: usize = 5;

fn size(dim: &Dim, rows: u64) -> i64 {
    (dim.times * rows.pow(dim.power.into())) as i64
}

fn run(session: &mut Session, dims: &str, rows: &[Vec<f32>]) -> Result<(Vec<i64>, Vec<f32>), String> {
    let shape: Vec<usize> = std::iter::once(rows.len()).chain(dims.split(',').skip(1).map(|n| n.parse().unwrap())).collect();
    let x = Value::from_array((shape, rows.concat())).unwrap();
    let outputs = session.run(ort::inputs![x]).map_err(|e| format!("not run: {e}"))?;
    let (shape, data) = outputs["y"].try_extract_tensor::<f32>().unwrap();
    Ok((shape.to_vec(), data.to_vec()))
}

fn check(environment: &Environment, graph: &Graph, last: &str, tensor: &Tensor) -> Result<(), String> {
    // Rows first, so that each has its numbers together.
    let axis = tensor.axis().unwrap_or(0);
    let mut perm: Vec<i64> = (0..tensor.rank() as i64).collect();
    perm[..=axis].rotate_right(usize::from(tensor.rank() > 0));
    let mut dims = tensor.dims.clone();
    dims[..=axis].rotate_right(1);
    let graph = graph.clone().node("Transpose", &[last], &["y"], &[("perm", Ints(&perm))]).output("y", elem::F32);
    // As it is written: the runtime's optimizer dies of some of these graphs.
    let session = Session::builder(environment).unwrap().with_optimization_level(GraphOptimizationLevel::Disable).unwrap();
    let session = session.with_intra_threads(1).unwrap().commit_from_memory(&graph.bytes());
    let mut session = session.map_err(|e| format!("not loaded: {e}"))?;
    let input = &graph.inputs[0].2;
    let width: usize = input.split(',').skip(1).map(|n| n.parse::<usize>().unwrap()).product();
    let rows: Vec<Vec<f32>> = (0..ROWS as u64).map(|row| weights(width, row + 3, 2.0)).collect();
    let (shape, before) = run(&mut session, input, &rows)?;
    let wanted: Vec<i64> = dims.iter().map(|d| size(d, ROWS as u64)).collect();
    if shape != wanted {
        return Err(format!("shape {shape:?}, {wanted:?} was found"));
    }
    if tensor.axis().is_none() {
        return Ok(());
    }
    let each = before.len() / ROWS;
    let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
    for changed in [0, 2, ROWS - 1] {
        for value in [0.7, -1e20, f32::NAN] {
            let mut other = rows.clone();
            other[changed] = (0..width).map(|i| value * (i + 1) as f32).collect();
            let (_, after) = run(&mut session, input, &other)?;
            let moved = (0..ROWS).find(|r| *r != changed && !same(&before[r * each..][..each], &after[r * each..][..each]));
            if let Some(row) = moved {
                return Err(format!("row {row} moved with row {changed}"));
            }
        }
        let mut fewer = rows.clone();
        fewer.remove(changed);
        let (shape, after) = run(&mut session, input, &fewer)?;
        let wanted: Vec<i64> = dims.iter().map(|d| size(d, ROWS as u64 - 1)).collect();
        if shape != wanted {
            return Err(format!("shape {shape:?} of fewer rows, {wanted:?} was found"));
        }
        let near = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).all(|(a, b)| a == b || (a - b).abs() <= 1e-4 * a.abs().max(1.0) || a.is_nan() && b.is_nan())
        };
        let moved = (0..ROWS - 1).find(|r| {
            let old = r + usize::from(*r >= changed);
            !near(&before[old * each..][..each], &after[r * each..][..each])
        });
        if let Some(row) = moved {
            return Err(format!("row {row} of fewer is another"));
        }
    }
    Ok(())
}

#[test]
fn what_is_proven_of_graphs_drawn_at_random_holds() {
    let Some(environment) = runtime::runtime() else { return };
    let (mut proven, mut mixed, mut wrong) = (0, 0, vec![]);
    for seed in 1..2500u64 {
        let mut lots = Lots(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (graph, last, tensor) = draw(&mut lots);
        match tensor.flow {
            _ if tensor.rank() == 0 || last == "x" => continue,
            Flow::Rows(_) => proven += 1,
            _ => mixed += 1,
        }
        if let Err(e) = check(&environment, &graph, &last, &tensor) {
            wrong.push(format!("seed {seed}: {:?} {}: {e}", tensor.flow, tensor::show(&tensor.dims)));
        }
    }
    assert!(wrong.is_empty(), "{} of {proven} proven and {mixed} others:\n{}", wrong.len(), wrong.join("\n"));
    assert!(proven > 700 && mixed > 300, "{proven} proven, {mixed} mixed");
}
