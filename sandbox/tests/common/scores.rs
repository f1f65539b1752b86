//! Units with rows of numbers, models over them, and the sums that come of both.

use std::{fs::File, sync::Arc};

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Int64Array, RecordBatch};
use ort::environment::Environment;
use parquet::arrow::ArrowWriter;
use tidegate_fixtures::models::{Attr::Int, Graph, elem::F32, weights};
use tidegate_protocol::{
    ContentHash,
    job::{Output, Program, Reducer, RowReduce, Split},
    policy::{ColumnRule, JobKind, Policy},
};
use tidegate_sandbox::{Admitted, Help, admit, run, units};

use super::{direct::Direct, job, policy};

pub(crate) const WIDTH: usize = 5;

/// Rows of one unit.
pub(crate) type Rows = Vec<Vec<f32>>;

/// Rows of these units, ordered by unit.
pub(crate) fn file(units: &[(i64, Rows)]) -> File {
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

pub(crate) fn some_units(many: u64) -> Vec<(i64, Rows)> {
    let rows = |unit: u64| (0..1 + unit * unit % 7).map(|row| weights(WIDTH, unit * 100 + row + 1, 2.0)).collect();
    (0..many).map(|unit| (unit as i64 * 3, rows(unit))).collect()
}

pub(crate) fn open_policy() -> Policy {
    let mut policy = policy();
    policy.kinds.push(JobKind::Onnx);
    for name in (0..WIDTH).map(|f| format!("f{f}")).chain(["bytes".into()]) {
        policy.columns.insert(name, ColumnRule::default());
    }
    policy
}

pub(crate) fn sum(lo: f64, hi: f64) -> Output {
    Output { name: "score".into(), lo, hi, reducer: Reducer::Sum, default: 0.0 }
}

pub(crate) struct Asked {
    pub(crate) select: String,
    pub(crate) label: Option<&'static str>,
    pub(crate) reduce: RowReduce,
    pub(crate) split: Split,
    pub(crate) outputs: Vec<Output>,
}

impl Default for Asked {
    fn default() -> Self {
        let select = format!("SELECT {} FROM dataset", (0..WIDTH).map(|f| format!("f{f}")).collect::<Vec<_>>().join(", "));
        Self { select, label: None, reduce: RowReduce::Mean, split: Split::Unit, outputs: vec![sum(-1.0, 1.0)] }
    }
}

pub(crate) fn admitted(model: &[u8], file: &File, asked: &Asked) -> Admitted {
    let program = Program::Onnx {
        on: None,
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

pub(crate) fn lanes(environment: &Environment, model: &[u8], units: &[(i64, Rows)], asked: &Asked) -> Vec<i128> {
    let file = file(units);
    let admitted = admitted(model, &file, asked);
    let help = Help { inference: Some(Direct::shared(environment, admitted.loads().unwrap())), ..Help::default() };
    run(&admitted, &[file], &[7; 32], help).unwrap().groups[0].lanes.clone()
}

/// A network whose last bit decides everything: a kernel that rounds otherwise at another place gives another number altogether.
pub(crate) fn fragile() -> Graph {
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
pub(crate) fn mixing() -> Graph {
    let graph =
        Graph::new().opset(20).input("x", F32, "rows,5").weights("a", &[5, 1], 1.0).node("MatMul", &["x", "a"], &["h"], &[]);
    let graph = graph.node("ReduceMax", &["h"], &["m"], &[("keepdims", Int(0))]).node("Sub", &["h", "m"], &["d"], &[]);
    graph.node("Sigmoid", &["d"], &["y"], &[]).output("y", F32)
}
