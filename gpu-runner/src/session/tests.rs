use std::fs::File;

use tidegate_fixtures::models::{Attr::Int, Graph, elem, field, number, weights};

use super::*;
use crate::wire::Intermediates;

#[path = "../../../sandbox/tests/common/runtime.rs"]
mod runtime;

fn model(bytes: Vec<u8>, inputs: &[(&str, i32, u32, &[u64])], numbers: u32, rows: u32) -> Model {
    let input = |(name, elem, size, row): &(&str, i32, u32, &[u64])| Input {
        name: (*name).to_owned(),
        elem: *elem,
        size: *size,
        row: row.to_vec(),
    };
    Model {
        bytes,
        inputs: inputs.iter().map(input).collect(),
        output: "y".into(),
        numbers,
        by_row: true,
        rows,
        batched: false,
        step: 1,
        working: 1 << 20,
        threads: 1,
        cuda: None,
        unwalled: false,
        intermediates: None,
    }
}

fn memory(layout: &Layout) -> Shared {
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("rows", flags).unwrap());
    Shared::create(&file, layout.bytes()).unwrap()
}

/// Rows are read where they lie, of whatever type, each run its own: what a slot held before does not show.
#[test]
fn each_run_reads_its_own_rows() {
    let Some(environment) = runtime::runtime() else { return };
    warm_up(&environment, None).unwrap();
    let graph =
        Graph::new().opset(20).input("x", elem::F32, "rows,4").input("i", elem::I64, "rows,2").input("b", elem::BOOL, "rows,4");
    let graph = graph.weights("w", &[4, 3], 1.0).weights("t", &[9, 3], 1.0);
    let graph = graph.node("Cast", &["b"], &["f"], &[("to", Int(1))]).node("Mul", &["x", "f"], &["m"], &[]);
    let graph = graph.node("MatMul", &["m", "w"], &["h"], &[]).node("Gather", &["t", "i"], &["g"], &[]);
    let graph = graph.ints("a", &[1], &[1]).node("ReduceSum", &["g", "a"], &["s"], &[("keepdims", Int(0))]);
    let graph = graph.node("Add", &["h", "s"], &["y"], &[]).output("y", elem::F32);
    let model = model(graph.bytes(), &[("x", elem::F32, 4, &[4]), ("i", elem::I64, 8, &[2]), ("b", elem::BOOL, 1, &[4])], 3, 50);
    let layout = Layout::of(&model);
    let memory = memory(&layout);
    for slot in 0..3 {
        for row in 0..50 {
            memory.put_all(layout.row(slot, 0, row), &weights(4, (slot * 50 + row + 1) as u64, 2.0));
            memory.put_all(layout.row(slot, 1, row), &[(row % 9) as i64, (slot + 1) as i64]);
            memory.put_all(layout.row(slot, 2, row), &[1u8, (row % 2) as u8, 1, 0]);
        }
    }
    let mut scorer = Scorer::open(&environment, &model, &layout, &memory).unwrap();
    let mut numbers = |slot: usize, runs: &[u32]| {
        scorer.slot(slot, runs);
        let mut all = vec![];
        memory.get_all::<f32>(layout.out(slot), 3 * runs.iter().sum::<u32>() as usize, &mut all);
        memory.put_all(layout.out(slot), &vec![0f32; all.len()]);
        all
    };
    let mut seen = vec![];
    for slot in [0, 1, 2, 0] {
        let rows = numbers(slot, &[50]);
        assert!(rows.iter().any(|v| *v != 0.0) && rows.iter().all(|v| v.is_finite()));
        for (of, others) in seen.iter().enumerate() {
            assert_eq!(of == slot, *others == rows, "{of} and {slot}");
        }
        assert_eq!(numbers(slot, &[7, 7, 1, 20]), rows[..35 * 3], "{slot}");
        seen.push(rows);
    }
    // A place outside of what the model takes fails its own run.
    memory.put_all(layout.row(0, 1, 0), &[100i64, 100]);
    assert!(numbers(0, &[1]).iter().all(|v| v.is_nan()));
    assert!(numbers(1, &[50]).iter().all(|v| v.is_finite()));
}

/// What has no provider is refused, not run elsewhere.
#[test]
fn without_a_provider_a_model_for_a_gpu_does_not_load() {
    let Some(environment) = runtime::runtime() else { return };
    let graph = Graph::new().opset(20).input("x", elem::F32, "rows,4").node("Relu", &["x"], &["y"], &[]).output("y", elem::F32);
    let mut model = model(graph.bytes(), &[("x", elem::F32, 4, &[4])], 4, 8);
    let layout = Layout::of(&model);
    let memory = memory(&layout);
    assert!(Scorer::open(&environment, &model, &layout, &memory).is_ok());
    model.cuda = Some(crate::Cuda { memory: 1 << 30, tf32: false });
    let refused = Scorer::open(&environment, &model, &layout, &memory).map(|_| ()).unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("cuda"), "{refused}");
}

/// A row on which the runtime fails costs its own numbers, and no other row's, which are the same to the last bit.
#[test]
fn a_batch_that_fails_costs_the_rows_at_fault() {
    let Some(environment) = runtime::runtime() else { return };
    let graph = Graph::new().opset(20).input("x", elem::F32, "64,4").input("i", elem::I64, "64,1");
    let graph = graph.weights("w", &[4, 3], 1.0).weights("t", &[9, 3], 1.0).node("Gather", &["t", "i"], &["g"], &[]);
    let graph = graph.ints("a", &[1], &[1]).node("Squeeze", &["g", "a"], &["s"], &[]);
    let graph = graph.node("MatMul", &["x", "w"], &["h"], &[]).node("Add", &["h", "s"], &["y"], &[]).output("y", elem::F32);
    let inputs: [(&str, i32, u32, &[u64]); 2] = [("x", elem::F32, 4, &[4]), ("i", elem::I64, 8, &[1])];
    let model = Model { batched: true, ..model(graph.bytes(), &inputs, 3, 64) };
    let layout = Layout::of(&model);
    let memory = memory(&layout);
    let mut scorer = Scorer::open(&environment, &model, &layout, &memory).unwrap();
    let mut numbers = |at_fault: &[usize]| {
        for row in 0..64 {
            memory.put_all(layout.row(2, 0, row), &weights(4, row as u64 + 1, 2.0));
            memory.put_all(layout.row(2, 1, row), &[if at_fault.contains(&row) { 100 } else { row as i64 % 9 }]);
        }
        scorer.slot(2, &[64]);
        let mut all: Vec<f32> = vec![];
        memory.get_all(layout.out(2), 3 * 64, &mut all);
        all
    };
    let sound = numbers(&[]);
    assert!(sound.iter().all(|v| v.is_finite()));
    for at_fault in [&[0][..], &[63], &[13], &[31, 32], &[5, 6, 7, 40]] {
        for (row, (found, sound)) in numbers(at_fault).chunks(3).zip(sound.chunks(3)).enumerate() {
            if at_fault.contains(&row) {
                assert!(found.iter().all(|v| v.is_nan()), "{at_fault:?}: {row}");
            } else {
                assert_eq!(found, sound, "{at_fault:?}: {row}");
            }
        }
    }
    let all: Vec<usize> = (0..64).collect();
    assert!(numbers(&all).iter().all(|v| v.is_nan()));
    // Nothing of these rows is left in the slot.
    let mut left: Vec<i64> = vec![];
    memory.get_all(layout.row(2, 1, 0), 64, &mut left);
    assert!(left.iter().all(|i| *i == 0));
    assert_eq!(numbers(&[]), sound);
}

/// A model whose values have other shapes in the runtime than were claimed is found before it is run on anything.
#[test]
fn shapes_are_compared_with_those_claimed() {
    let Some(environment) = runtime::runtime() else { return };
    let graph = Graph::new().opset(20).input("x", elem::F32, "8,4").weights("w", &[4, 3], 1.0);
    let graph = graph.node("MatMul", &["x", "w"], &["h"], &[]).node("Transpose", &["h"], &["t"], &[]);
    let graph = graph.node("Transpose", &["t"], &["y"], &[]).output("y", elem::F32);
    let named = |name: &str| field(12, &[field(1, name.as_bytes()), field(2, &field(1, &number(1, 1)))].concat());
    let outputs = field(7, &[named("h"), named("t")].concat());
    let seen = |shapes: &[(&str, &[u64])]| {
        let shapes = shapes.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
        let intermediates = Some(Intermediates { outputs: outputs.clone(), shapes });
        let model = Model { batched: true, intermediates, ..model(graph.bytes(), &[("x", elem::F32, 4, &[4])], 3, 8) };
        let layout = Layout::of(&model);
        crate::shapes::check(&environment, &model, &layout, &memory(&layout)).map_err(|e| e.to_string())
    };
    assert_eq!(seen(&[]), Ok(()));
    assert_eq!(seen(&[("h", &[8, 3]), ("t", &[3, 8])]), Ok(()));
    for (name, shape) in [("h", &[3, 8][..]), ("t", &[8, 3]), ("t", &[24]), ("t", &[1, 3, 8])] {
        let said = seen(&[("h", &[8, 3]), (name, shape)]).unwrap_err();
        assert!(said.contains(&format!("{name:?}")) && said.contains("in the proof"), "{said}");
    }
    assert!(seen(&[("nowhere", &[8])]).is_err());
}
