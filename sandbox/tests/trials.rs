//! What is proven of a model against the runtime before there is a row: shapes within it, and batches of rows that are nobody's.

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::{DynValue, Tensor, ValueType},
};
use tidegate_fixtures::models::{
    Attr::{Int, Ints},
    Graph,
    cases::{self, Expect},
    elem,
};
use tidegate_sandbox::onnx::{Column, Intermediates, NOWHERE, Runs, Spec, Values, Verdict, inline, inspect, rewrite};

use crate::common::{
    locked::{Alone, Locked},
    runtime::runtime,
    scores::{fragile, mixing},
};

/// Memory of slots, and what makes numbers of a slot's rows.
struct Slots<F> {
    spec: Spec,
    inputs: Vec<Vec<u8>>,
    busy: Vec<usize>,
    numbers: F,
}

const SLOTS: usize = 3;

impl<F: FnMut(&Spec, &[&[u8]]) -> Vec<f32>> Slots<F> {
    fn new(spec: &Spec, numbers: F) -> Self {
        let inputs = spec.inputs.iter().map(|c| vec![0; SLOTS * spec.most() as usize * c.bytes()]).collect();
        Self { spec: spec.clone(), inputs, busy: vec![], numbers }
    }
}

impl<F: FnMut(&Spec, &[&[u8]]) -> Vec<f32> + Send> Alone for Slots<F> {
    fn slots(&self) -> usize {
        SLOTS
    }

    fn write(&mut self, input: usize, places: &[u32], columns: &[Values<'_>]) {
        let Values::Rows(rows, first) = &columns[0] else { panic!("rows are expected as bytes") };
        let bytes = self.spec.inputs[input].bytes();
        for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            self.inputs[input][*place as usize * bytes..][..bytes].copy_from_slice(rows.value(first + i));
        }
    }

    fn submit(&mut self, slot: usize, runs: &[u32]) {
        assert_eq!(runs, [self.spec.most()], "batches of one size");
        self.busy.push(slot);
    }

    fn wait(&mut self) -> usize {
        self.busy[0]
    }

    fn read(&mut self, slot: usize) -> Vec<f32> {
        self.busy.retain(|busy| *busy != slot);
        let rows = self.spec.most() as usize;
        let mine = |(column, all): (&Column, &Vec<u8>)| {
            let bytes = rows * column.bytes();
            all[slot * bytes..][..bytes].to_vec()
        };
        let inputs: Vec<Vec<u8>> = self.spec.inputs.iter().zip(&self.inputs).map(mine).collect();
        (self.numbers)(&self.spec, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// A claim that a model over one input keeps rows apart, which nobody has proven.
fn claimed(kind: i32, size: u32, width: u64, trials: u32) -> Spec {
    Spec {
        inputs: vec![Column { name: "x".into(), elem: kind, size, row: vec![width], words: None }],
        output: "y".into(),
        numbers: 1,
        by_row: true,
        runs: Runs::Batches(64),
        bytes: 0,
        threads: 1,
        intermediates: Intermediates::default(),
        trials,
    }
}

/// How numbers follow from the values of a batch's rows.
type Of = fn(&[f64]) -> Vec<f64>;

/// Runs a batch of one value a row through `of`.
fn tried(spec: &Spec, of: Of) -> Result<(), String> {
    let numbers = move |spec: &Spec, inputs: &[&[u8]]| -> Vec<f32> {
        let value = |bytes: &[u8]| match spec.inputs[0].elem {
            elem::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
            _ => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
        };
        let rows: Vec<f64> = inputs[0].chunks_exact(spec.inputs[0].bytes()).map(value).collect();
        of(&rows).into_iter().map(|v| v as f32).collect()
    };
    let runner = Locked::shared(Slots::new(spec, numbers));
    spec.keeps_rows_apart(b"a model", &*runner).map_err(|e| e.to_string())
}

/// However rows depend on one another, some batch shows it; a row's place may matter, and so may the row.
#[test]
fn rows_that_follow_from_others_are_found() {
    fn each(rows: &[f64], with: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        rows.iter().enumerate().map(|(i, v)| with(i, *v)).collect()
    }
    let sound: [Of; 3] = [
        |rows| each(rows, |_, v| 2.0 * v),
        |rows| each(rows, |i, v| v + i as f64),
        |rows| each(rows, |_, v| if v.abs() > 1e20 { f64::NAN } else { 1.0 / v }),
    ];
    let unsound: [(&str, Of); 9] = [
        ("the first row", |rows| each(rows, |_, v| v + rows[0])),
        ("the last row", |rows| each(rows, |_, v| if rows[63] > 1e30 { v + 1.0 } else { v })),
        ("the row before", |rows| each(rows, |i, v| if i > 0 { v + rows[i - 1] } else { v })),
        ("the sum", |rows| each(rows, |_, v| v + rows.iter().sum::<f64>())),
        ("the largest", |rows| each(rows, |_, v| v - rows.iter().copied().fold(f64::MIN, f64::max))),
        ("NaN elsewhere", |rows| each(rows, |_, v| if rows.iter().any(|r| r.is_nan()) { f64::NAN } else { v })),
        ("infinity elsewhere", |rows| each(rows, |_, v| if rows.contains(&f64::INFINITY) { 0.0 } else { v })),
        ("empty places", |rows| each(rows, |_, v| v + rows.iter().filter(|r| **r == 0.0).count().saturating_sub(30) as f64)),
        ("the order", |rows| each(rows, |_, v| if rows[1] < rows[3] { v } else { -v })),
    ];
    let floats = claimed(elem::F32, 4, 1, 63);
    for of in sound {
        assert_eq!(tried(&floats, of), Ok(()));
    }
    for (name, of) in unsound {
        let Err(said) = tried(&floats, of) else { panic!("{name} is not seen") };
        assert!(said.contains("not independent in this runtime"), "{name}: {said}");
    }
    let whole = claimed(elem::I64, 8, 1, 63);
    assert_eq!(tried(&whole, sound[0]), Ok(()));
    let at_limits: [Of; 2] = [
        |rows| each(rows, |_, v| if rows.contains(&(i64::MIN as f64)) { 0.0 } else { v }),
        |rows| each(rows, |_, v| if rows.iter().any(|r| *r > 1e18) { 0.0 } else { v }),
    ];
    for of in at_limits {
        assert!(tried(&whole, of).is_err());
    }
    // Without trials nothing is run, as for a single row.
    assert_eq!(tried(&claimed(elem::F32, 4, 1, 0), unsound[0].1), Ok(()));
    assert_eq!(tried(&Spec { runs: Runs::Batches(1), ..floats }, |_| panic!("nothing is compared")), Ok(()));
}

/// The values that a model computes, and their shapes for the rows of a batch; nothing that is known before a run.
#[test]
fn shapes_within_a_model_are_those_of_its_batches() {
    let graph = Graph::new().opset(20).input("x", elem::F32, "rows,4").weights("w", &[4, 6], 1.0).ints("two", &[2], &[2, 3]);
    let graph = graph.node("MatMul", &["x", "w"], &["h"], &[]).node("Shape", &["x"], &["s"], &[("end", Int(1))]);
    let graph = graph.node("Concat", &["s", "two"], &["to"], &[("axis", Int(0))]).node("Reshape", &["h", "to"], &["r"], &[]);
    let graph = graph.node("Transpose", &["r"], &["t"], &[("perm", Ints(&[0, 2, 1]))]).node("Relu", &["t"], &["y"], &[]);
    let bytes = graph.output("y", elem::F32).bytes();
    let (_, spec) = Spec::of_batches(&bytes, "y", 16).unwrap();
    let shapes: Vec<(&str, &[u64])> =
        spec.intermediates.shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    assert_eq!(shapes, [("h", &[16, 6][..]), ("r", &[16, 2, 3]), ("t", &[16, 3, 2]), ("y", &[16, 3, 2])]);
    assert!(spec.trials > 0 && Spec::of_batches(&bytes, "y", 1).unwrap().1.trials == 0);
}

fn session(environment: &Environment, bytes: &[u8]) -> Result<Session, String> {
    let session = Session::builder(environment).unwrap().with_intra_threads(1).unwrap();
    session.with_deterministic_compute(true).unwrap().commit_from_memory(bytes).map_err(|e| e.to_string())
}

fn values(spec: &Spec, inputs: &[&[u8]]) -> Vec<(String, SessionInputValue<'static>)> {
    let value = |(column, bytes): (&Column, &&[u8])| {
        let shape: Vec<usize> = std::iter::once(spec.most() as usize).chain(column.row.iter().map(|n| *n as usize)).collect();
        macro_rules! of {
            ($kind:ty) => {{
                let each = bytes.chunks_exact(size_of::<$kind>()).map(|b| <$kind>::from_le_bytes(b.try_into().unwrap()));
                Tensor::from_array((shape, each.collect::<Vec<_>>())).unwrap().into()
            }};
        }
        let value: SessionInputValue<'static> = match column.elem {
            elem::F32 => of!(f32),
            elem::F64 => of!(f64),
            elem::I32 => of!(i32),
            elem::I64 => of!(i64),
            elem::U8 => of!(u8),
            _ => Tensor::from_array((shape, bytes.iter().map(|b| *b != 0).collect::<Vec<_>>())).unwrap().into(),
        };
        (column.name.clone(), value)
    };
    spec.inputs.iter().zip(inputs).map(value).collect()
}

fn floats(value: &DynValue) -> Vec<f32> {
    macro_rules! from {
        ($($kind:ty),*) => {
            $(if let Ok((_, data)) = value.try_extract_tensor::<$kind>() {
                return data.iter().map(|v| *v as f32).collect();
            })*
        };
    }
    from!(f32, f64, i64, i32, u8, i8);
    value.try_extract_tensor::<bool>().unwrap().1.iter().map(|v| f32::from(u8::from(*v))).collect()
}

/// Tries a model in the runtime, by a claim of whoever.
fn in_runtime(environment: &Environment, bytes: &[u8], spec: &Spec) -> Result<(), String> {
    let mut session = session(environment, bytes)?;
    let numbers = move |spec: &Spec, inputs: &[&[u8]]| match session.run(values(spec, inputs)) {
        Ok(outputs) => floats(&outputs[spec.output.as_str()]),
        Err(_) => vec![f32::NAN; (spec.most() * spec.numbers) as usize],
    };
    spec.keeps_rows_apart(bytes, &*Locked::shared(Slots::new(spec, numbers))).map_err(|e| e.to_string())
}

/// Compares the shapes within a model with the proof's.
fn shapes(environment: &Environment, bytes: &[u8], spec: &Spec) -> Result<(), String> {
    let mut session = session(environment, &[bytes, spec.intermediates.outputs.as_slice()].concat())?;
    let zeros: Vec<Vec<u8>> = spec.inputs.iter().map(|c| vec![0; spec.most() as usize * c.bytes()]).collect();
    let outputs = session.run(values(spec, &zeros.iter().map(Vec::as_slice).collect::<Vec<_>>())).map_err(|e| e.to_string())?;
    for (name, shape) in &spec.intermediates.shapes {
        let ValueType::Tensor { shape: found, .. } = outputs[name.as_str()].dtype() else {
            return Err(format!("{name}: no tensor"));
        };
        if found.iter().map(|n| *n as u64).ne(shape.iter().copied()) {
            return Err(format!("{name}: {:?}, {shape:?} is proven", &found[..]));
        }
    }
    Ok(())
}

/// Models that are proven, each with its name and an output.
fn proven() -> Vec<(String, Vec<u8>, String)> {
    let mut all: Vec<_> = cases::all()
        .iter()
        .filter(|case| case.expect == Expect::Rows)
        .map(|case| (case.name.clone(), case.graph.bytes(), "y".to_owned()))
        .collect();
    let folder = tidegate_fixtures::path("models/exported");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "onnx")) {
        let bytes = std::fs::read(path).unwrap();
        let beside = |name: &str, from: u64, many: u64| {
            Ok(std::fs::read(folder.join(name)).unwrap()[from as usize..(from + many) as usize].to_vec())
        };
        let whole = inline(&bytes, beside).unwrap().unwrap_or(bytes);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for output in inspect(&whole).outputs.into_iter().filter(|output| output.verdict == Verdict::RowIndependent) {
            all.push((name.clone(), whole.clone(), output.name));
        }
    }
    all
}

/// Each value within each proven model has the proof's shape in the runtime, and no row moves another, whatever it is.
#[test]
fn proofs_hold_of_the_runtime_before_there_is_a_row() {
    let Some(environment) = runtime() else { return };
    let (mut wrong, mut compared) = (vec![], 0);
    for (name, model, output) in proven() {
        for rows in [2, 16] {
            let (written, spec) = match Spec::of_batches(&model, &output, rows) {
                Ok(both) => both,
                Err(e) => {
                    wrong.push(format!("{name}: {e}"));
                    continue;
                }
            };
            compared += spec.intermediates.shapes.len();
            let spec = Spec { trials: spec.trials.min(18), ..spec };
            let seen = shapes(&environment, &written, &spec).and_then(|()| in_runtime(&environment, &written, &spec));
            wrong.extend(seen.err().map(|e| format!("{name}, {output} of {rows} rows: {e}")));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 500, "{compared}");
}

/// A model that is said to be proven and is not, because a rule was wrong, is found by its rows.
#[test]
fn a_false_proof_is_found() {
    let Some(environment) = runtime() else { return };
    // Rows meet where one of them is not finite, and nowhere else.
    let seldom =
        Graph::new().opset(20).input("x", elem::F32, "rows,5").floats("a", &[5, 1], &[1.0; 5]).floats("zero", &[], &[0.0]);
    let seldom = seldom.node("MatMul", &["x", "a"], &["h"], &[]).node("ReduceMax", &["h"], &["m"], &[("keepdims", Int(0))]);
    let seldom = seldom.node("Mul", &["m", "zero"], &["z"], &[]).node("Add", &["h", "z"], &["y"], &[]).output("y", elem::F32);
    let spec = claimed(elem::F32, 4, 5, 63);
    for graph in [mixing(), seldom] {
        let bytes = graph.bytes();
        assert!(Spec::of_batches(&bytes, "y", 64).unwrap_err().to_string().contains("may mix rows"));
        let said = in_runtime(&environment, &rewrite(&bytes, "y", Some(64)).unwrap(), &spec).unwrap_err();
        assert!(said.contains("not independent in this runtime"), "{said}");
    }
    let (written, spec) = Spec::of_batches(&fragile().bytes(), "y", 64).unwrap();
    assert_eq!((in_runtime(&environment, &written, &spec), spec.trials > 0), (Ok(()), true));
}
