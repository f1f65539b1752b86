//! Models over units' rows: what one unit adds does not depend on who else is there, to the last bit.

use std::collections::BTreeMap;

use tidegate_fixtures::models::{
    Attr::{Float, Int},
    Graph,
    elem::{F32, I64},
};
use tidegate_protocol::job::{Blocks, Output, Reducer, RowReduce, Split};
use tidegate_sandbox::{
    Help,
    onnx::{NOWHERE, Runs, Values},
    run,
};

use crate::common::{
    locked::{Alone, Locked},
    runtime::runtime,
    scores::{Asked, Rows, WIDTH, admitted, file, fragile, lanes, mixing, some_units, sum},
};

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
    let spec = admitted.loads().unwrap().1;
    // Rows of twenty bytes: sixteen of them are a multiple of 64.
    assert_eq!(spec.step(), 16);
    let runner = Locked::shared(Places { rows: spec.most(), slots: 12, ..Places::default() });
    let help = Help { inference: Some(runner.clone()), ..Help::default() };
    run(&admitted, &[file], &[7; 32], help).unwrap();
    let seen = &runner.lock().seen;
    for (_, rows) in &all {
        let first: Vec<u32> = rows[0].iter().map(|v| v.to_bits()).collect();
        assert!(seen[&first].iter().all(|place| place.is_multiple_of(16)), "{:?}", seen[&first]);
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

impl Alone for Places {
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
    fn submit(&mut self, slot: usize, runs: &[u32]) {
        self.busy.push((slot, runs.iter().sum::<u32>() as usize));
    }
    fn wait(&mut self) -> usize {
        self.busy[self.busy.len() / 2].0
    }
    fn read(&mut self, slot: usize) -> Vec<f32> {
        let at = self.busy.iter().position(|(busy, _)| *busy == slot).unwrap();
        vec![0.5; self.busy.remove(at).1]
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
        let rows = admitted.loads().unwrap().1.most();
        assert!(rows >= 64, "{rows}");
        let runner = Locked::shared(Places { rows, slots, ..Places::default() });
        let help = Help { inference: Some(runner.clone()), ..Help::default() };
        let sums = run(&admitted, &[file], &[7; 32], help).unwrap();
        assert_eq!(sums.groups[0].units, units.len() as i64);
        (std::mem::take(&mut runner.lock().seen), sums.groups[0].lanes.clone())
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
