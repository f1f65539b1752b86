//! Models over units' rows: what one unit adds does not depend on who else is there, to the last bit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "common/direct.rs"]
mod direct;
#[path = "common/runtime.rs"]
mod runtime;

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Int64Array, RecordBatch};
use common::{job, policy};
use direct::Direct;
use ort::environment::Environment;
use parquet::arrow::ArrowWriter;
use runtime::runtime;
use tidegate_fixtures::models::{
    Attr::{Float, Int},
    Graph,
    elem::{F32, I64},
    weights,
};
use tidegate_protocol::{
    ContentHash,
    job::{Blocks, Output, Program, Reducer, RowReduce, Split},
    policy::{ColumnRule, JobKind, Policy},
};
use tidegate_sandbox::{
    Admitted, Help, RunError, admit,
    onnx::{Inference, NOWHERE, Runs, Values},
    run, units,
};

const WIDTH: usize = 5;

/// Rows of one unit.
type Rows = Vec<Vec<f32>>;

/// Rows of these units, ordered by unit.
fn file(units: &[(i64, Rows)]) -> File {
    let rows = || units.iter().flat_map(|(unit, rows)| rows.iter().map(move |row| (*unit, row)));
    let mut columns = vec![("person".to_owned(), Arc::new(rows().map(|(unit, _)| unit).collect::<Int64Array>()) as ArrayRef)];
    for f in 0..WIDTH {
        columns.push((format!("f{f}"), Arc::new(rows().map(|(_, row)| row[f]).collect::<Float32Array>())));
    }
    let bytes = rows().map(|(_, row)| Some(row.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
    columns.push(("bytes".to_owned(), Arc::new(bytes.collect::<BinaryArray>())));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn some_units(many: u64) -> Vec<(i64, Rows)> {
    let rows = |unit: u64| (0..1 + unit * unit % 7).map(|row| weights(WIDTH, unit * 100 + row + 1, 2.0)).collect();
    (0..many).map(|unit| (unit as i64 * 3, rows(unit))).collect()
}

fn open_policy() -> Policy {
    let mut policy = policy();
    policy.kinds.push(JobKind::Onnx);
    for name in (0..WIDTH).map(|f| format!("f{f}")).chain(["bytes".into()]) {
        policy.columns.insert(name, ColumnRule { lo: None, hi: None });
    }
    policy
}

fn sum(lo: f64, hi: f64) -> Output {
    Output { name: "score".into(), lo, hi, reducer: Reducer::Sum, default: 0.0 }
}

struct Asked {
    select: String,
    label: Option<&'static str>,
    reduce: RowReduce,
    split: Split,
    outputs: Vec<Output>,
}

impl Default for Asked {
    fn default() -> Self {
        let select = format!("SELECT {} FROM dataset", (0..WIDTH).map(|f| format!("f{f}")).collect::<Vec<_>>().join(", "));
        Self { select, label: None, reduce: RowReduce::Mean, split: Split::Unit, outputs: vec![sum(-1.0, 1.0)] }
    }
}

fn admitted(model: &[u8], file: &File, asked: &Asked) -> Admitted {
    let program = Program::Onnx {
        model: ContentHash::of(model),
        select: asked.select.clone(),
        label: asked.label.map(str::to_owned),
        output: "y".into(),
        index: 0,
        reduce: asked.reduce,
        split: asked.split,
        outputs: asked.outputs.clone(),
    };
    admit(&job(program), &open_policy(), &units::schema(file).unwrap(), Some(model.to_vec().into())).unwrap()
}

fn lanes(environment: &Environment, model: &[u8], units: &[(i64, Rows)], asked: &Asked) -> Vec<i128> {
    let file = file(units);
    let admitted = admitted(model, &file, asked);
    let mut direct = Direct::new(environment, admitted.model().unwrap());
    let help = Help { inference: Some(&mut direct), ..Help::default() };
    run(&admitted, &[file], &[7; 32], help).unwrap().groups[0].lanes.clone()
}

/// A network whose last bit decides everything: a kernel that rounds otherwise at another place gives another number altogether.
fn fragile() -> Graph {
    let graph = Graph::new()
        .opset(20)
        .input("x", F32, "rows,5")
        .weights("a", &[5, 37], 1.7)
        .weights("b", &[37, 19], 1.3)
        .weights("c", &[19, 1], 1.1);
    let graph =
        graph.node("MatMul", &["x", "a"], &["h"], &[]).node("Tanh", &["h"], &["t"], &[]).node("MatMul", &["t", "b"], &["i"], &[]);
    let graph = graph.node("Erf", &["i"], &["e"], &[]).node("MatMul", &["e", "c"], &["l"], &[]).floats("k", &[], &[3e7]);
    graph.node("Mul", &["l", "k"], &["m"], &[]).node("Sin", &["m"], &["y"], &[]).output("y", F32)
}

/// The same, with every row's number moved a little by the largest of all: rows meet.
fn mixing() -> Graph {
    let graph =
        Graph::new().opset(20).input("x", F32, "rows,5").weights("a", &[5, 1], 1.0).node("MatMul", &["x", "a"], &["h"], &[]);
    let graph = graph.node("ReduceMax", &["h"], &["m"], &[("keepdims", Int(0))]).node("Sub", &["h", "m"], &["d"], &[]);
    graph.node("Sigmoid", &["d"], &["y"], &[]).output("y", F32)
}

/// Sums with a unit, less those without it, are those of the unit alone: whatever the model, whoever else is there.
#[test]
fn one_unit_moves_the_sums_by_what_it_adds_alone() {
    let Some(environment) = runtime() else { return };
    let units = some_units(600);
    let by_block = Split::Blocks(Blocks::of(40));
    for (name, graph, batches) in [("fragile", fragile(), true), ("mixing", mixing(), false)] {
        let model = graph.bytes();
        for reduce in [RowReduce::Mean, RowReduce::Max, RowReduce::Sum, RowReduce::Last] {
            let asked = Asked { reduce, ..Asked::default() };
            let runs = admitted(&model, &file(&units), &asked).model().unwrap().spec().runs;
            assert_eq!(matches!(runs, Runs::Batches(_)), batches, "{name}");
            let all = lanes(&environment, &model, &units, &asked);
            for gone in [0, 1, 299, 599] {
                let mut others = units.clone();
                let alone = vec![others.remove(gone)];
                let rest = lanes(&environment, &model, &others, &asked);
                let own = lanes(&environment, &model, &alone, &asked);
                let moved: Vec<i128> = all.iter().zip(&rest).map(|(a, b)| a - b).collect();
                assert_eq!(moved, own, "{name} {reduce:?} without unit {gone}");
            }
        }
        // By blocks it moves its own block's number alone: by no more than the whole of its range.
        let asked = Asked { split: by_block, ..Asked::default() };
        let all = lanes(&environment, &model, &units, &asked);
        for gone in [0, 299] {
            let mut others = units.clone();
            others.remove(gone);
            let rest = lanes(&environment, &model, &others, &asked);
            let moved: i128 = all.iter().zip(&rest).map(|(a, b)| (a - b).abs()).sum();
            let range = (2.0 / 2f64.powi(-19)) as i128;
            assert!(moved <= range, "{name} by blocks: {moved} of {range}");
        }
    }
}

/// In batches of any people's rows, and in a run for each person, the same comes out but for rounding.
#[test]
fn batches_and_runs_apart_agree() {
    let Some(environment) = runtime() else { return };
    let steady = |mixed: bool| {
        let graph = Graph::new().opset(20).input("x", F32, "rows,5").weights("a", &[5, 7], 1.0).weights("b", &[7, 2], 1.0);
        let graph = graph.node("MatMul", &["x", "a"], &["h"], &[]).node("Relu", &["h"], &["r"], &[]).node(
            "MatMul",
            &["r", "b"],
            &["s"],
            &[],
        );
        // Nothing of all rows' largest: no number changes, and nothing is proven.
        let graph = graph.node("ReduceMax", &["h"], &["m"], &[("keepdims", Int(0))]).floats("zero", &[], &[0.0]);
        let graph = graph.node("Mul", &["m", "zero"], &["z"], &[]).node("Add", &["s", "z"], &["t"], &[]);
        graph.node("Identity", &[if mixed { "t" } else { "s" }], &["y"], &[]).output("y", F32).bytes()
    };
    let units = some_units(300);
    for reduce in [RowReduce::Mean, RowReduce::Max, RowReduce::Sum, RowReduce::Last] {
        let outputs = vec![Output { reducer: Reducer::Vector { len: 2 }, ..sum(-8.0, 8.0) }];
        let asked = Asked { reduce, outputs, ..Asked::default() };
        let (a, b) = (lanes(&environment, &steady(false), &units, &asked), lanes(&environment, &steady(true), &units, &asked));
        let near = a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 300);
        assert!(near && a.iter().any(|v| *v != 0), "{reduce:?}: {a:?} {b:?}");
    }
}

/// A column of bytes holds what columns of numbers do.
#[test]
fn a_row_may_come_as_bytes() {
    let Some(environment) = runtime() else { return };
    let units = some_units(50);
    let model = fragile().bytes();
    let bytes = Asked { select: "SELECT bytes FROM dataset".into(), ..Asked::default() };
    assert_eq!(lanes(&environment, &model, &units, &bytes), lanes(&environment, &model, &units, &Asked::default()));
}

/// Words beyond the table, and numbers that are none, are one row's own trouble.
#[test]
fn no_row_ends_the_run_of_others() {
    let Some(environment) = runtime() else { return };
    let words =
        Graph::new().opset(20).input("x", I64, "rows,5").weights("t", &[9, 1], 1.0).node("Gather", &["t", "x"], &["e"], &[]);
    let words = words.ints("a", &[2], &[1, 2]).node("ReduceSum", &["e", "a"], &["y"], &[("keepdims", Int(0))]).output("y", F32);
    let plain =
        Graph::new().opset(20).input("x", F32, "rows,5").weights("a", &[5, 1], 1.0).node("MatMul", &["x", "a"], &["y"], &[]);
    for model in [words.bytes(), plain.output("y", F32).bytes(), fragile().bytes()] {
        let mut units = some_units(40);
        let asked = Asked::default();
        let before = lanes(&environment, &model, &units, &asked);
        for wild in [f32::NAN, f32::INFINITY, 1e30, -1e30, 12.0, -10.0] {
            units[20].1 = vec![vec![wild; WIDTH]];
            let after = lanes(&environment, &model, &units, &asked);
            let mut others = units.clone();
            let alone = lanes(&environment, &model, &[others.remove(20)], &asked);
            let rest = lanes(&environment, &model, &others, &asked);
            assert_eq!(after, rest.iter().zip(&alone).map(|(a, b)| a + b).collect::<Vec<_>>(), "{wild}");
            assert_eq!(before.len(), after.len());
        }
    }
}

/// A person with a value missing adds the same whether their row is the last that is read for now or not, label and all.
#[test]
fn a_missing_value_adds_the_same_wherever_it_is_read() {
    let Some(environment) = runtime() else { return };
    let words =
        Graph::new().opset(20).input("x", I64, "rows,1").weights("t", &[9, 2], 1.0).node("Gather", &["t", "x"], &["e"], &[]);
    let words =
        words.ints("a", &[1], &[1]).node("ReduceMax", &["e", "a"], &["y"], &[("keepdims", Int(0))]).output("y", F32).bytes();
    // No whole number: missing. The label is there.
    let units: Vec<(i64, Rows)> =
        (0..50u16).map(|i| (i.into(), vec![vec![if i % 2 == 0 { f32::NAN } else { 3.0 }, 1.0, 0.0, 0.0, 0.0]])).collect();
    let outputs = vec![Output { reducer: Reducer::Confusion { classes: 2 }, ..sum(0.0, 1.0) }];
    let asked = Asked { select: "SELECT f0, f1 FROM dataset".into(), label: Some("f1"), outputs, ..Asked::default() };
    let all = lanes(&environment, &words, &units, &asked);
    for gone in [0, 10, 11, 49] {
        let mut others = units.clone();
        let own = lanes(&environment, &words, &[others.remove(gone)], &asked);
        let rest = lanes(&environment, &words, &others, &asked);
        assert_eq!(all, rest.iter().zip(&own).map(|(a, b)| a + b).collect::<Vec<_>>(), "without {gone}");
    }
}

/// Scores against a label, and classes, by hand.
#[test]
fn labels_are_compared_with_what_the_model_says() {
    let Some(environment) = runtime() else { return };
    // Two numbers a row: f0, and ½ − f0. The class is 0 where f0 is at least ¼.
    let graph =
        Graph::new().opset(20).input("x", F32, "rows,1").floats("w", &[1, 2], &[1.0, -1.0]).floats("b", &[2], &[0.0, 0.5]);
    let model = graph.node("Gemm", &["x", "w", "b"], &["y"], &[("alpha", Float(1.0))]).output("y", F32).bytes();
    let units: Vec<(i64, Rows)> =
        (0..200u16).map(|i| (i.into(), vec![vec![f32::from(i) / 200.0, f32::from(i % 2), 0.0, 0.0, 0.0]])).collect();
    let asked = Asked {
        select: "SELECT f1 AS truth, f0 FROM dataset".into(),
        label: Some("truth"),
        outputs: vec![
            Output { reducer: Reducer::Confusion { classes: 2 }, ..sum(0.0, 1.0) },
            Output { name: "s".into(), reducer: Reducer::Scores { bins: 2, cut: 0.5 }, ..sum(0.0, 1.0) },
            Output { name: "c".into(), reducer: Reducer::Calibration { bins: 4 }, ..sum(0.0, 1.0) },
        ],
        ..Asked::default()
    };
    let lanes = lanes(&environment, &model, &units, &asked);
    // Half of each hundred and fifty are even, and half of each fifty.
    assert_eq!(lanes[..4], [75, 25, 75, 25], "(0 as 0), (0 as 1), (1 as 0), (1 as 1)");
    assert_eq!(lanes[4..8], [50, 50, 50, 50]);
    assert_eq!(lanes[8..], [25; 8]);
}

/// A run of one unit's rows begins at the same kind of address whatever lies before it in its slot: some kernels add up in another order otherwise.
#[test]
fn a_run_begins_where_its_address_says_nothing_of_others() {
    let model = mixing().bytes();
    let all = some_units(200);
    let file = file(&all);
    let admitted = admitted(&model, &file, &Asked::default());
    let spec = admitted.model().unwrap().spec();
    // Rows of twenty bytes: sixteen of them are a multiple of 64.
    assert_eq!(spec.step(), 16);
    let mut runner = Places { rows: spec.most(), slots: 12, ..Places::default() };
    let help = Help { inference: Some(&mut runner), ..Help::default() };
    run(&admitted, &[file], &[7; 32], help).unwrap();
    for (_, rows) in &all {
        let first: Vec<u32> = rows[0].iter().map(|v| v.to_bits()).collect();
        assert!(runner.seen[&first].iter().all(|place| place.is_multiple_of(16)), "{:?}", runner.seen[&first]);
    }
}

/// A runner that keeps where rows were.
#[derive(Default)]
struct Places {
    rows: u32,
    slots: usize,
    busy: Vec<(usize, usize)>,
    seen: BTreeMap<Vec<u32>, Vec<u32>>,
}

impl Inference for Places {
    fn slots(&self) -> usize {
        self.slots
    }
    fn write(&mut self, _: usize, places: &[u32], columns: &[Values<'_>]) {
        for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            let value = |column: &Values<'_>| {
                if let Values::F32(values) = column { values[i].to_bits() } else { panic!("floats are expected") }
            };
            self.seen.entry(columns.iter().map(value).collect()).or_default().push(place % self.rows);
        }
    }
    fn submit(&mut self, slot: usize, runs: &[u32]) -> Result<(), RunError> {
        self.busy.push((slot, runs.iter().sum::<u32>() as usize));
        Ok(())
    }
    fn wait(&mut self) -> Result<usize, RunError> {
        Ok(self.busy[self.busy.len() / 2].0)
    }
    fn read(&mut self, slot: usize, into: &mut Vec<f32>) {
        let at = self.busy.iter().position(|(busy, _)| *busy == slot).unwrap();
        *into = vec![0.5; self.busy.remove(at).1];
    }
}

/// Where a row is in its batch depends on its unit alone, however few slots there are.
#[test]
fn a_rows_place_is_its_units_own() {
    let model = fragile().bytes();
    let all = some_units(3000);
    let places = |units: &[(i64, Rows)], slots: usize| {
        let file = file(units);
        let admitted = admitted(&model, &file, &Asked::default());
        let rows = admitted.model().unwrap().spec().most();
        assert!(rows >= 64, "{rows}");
        let mut runner = Places { rows, slots, ..Places::default() };
        let help = Help { inference: Some(&mut runner), ..Help::default() };
        let sums = run(&admitted, &[file], &[7; 32], help).unwrap();
        assert_eq!(sums.groups[0].units, units.len() as i64);
        (runner.seen, sums.groups[0].lanes.clone())
    };
    let (before, lanes) = places(&all, 288);
    assert_eq!(before.len(), all.iter().map(|(_, rows)| rows.len()).sum::<usize>());
    // All places are used alike.
    let used: std::collections::BTreeSet<u32> = before.values().flatten().copied().collect();
    assert!(used.len() >= 64);
    for (slots, gone) in [(6, None), (12, Some(0)), (288, Some(1500))] {
        let mut units = all.clone();
        if let Some(gone) = gone {
            units.remove(gone);
        }
        let (after, same) = places(&units, slots);
        assert!(after.iter().all(|(row, place)| before[row] == *place));
        assert_eq!(same == lanes, gone.is_none());
    }
}
