//! Models beside components: WASI-NN, and the standard scoring component against the direct path.

use std::sync::OnceLock;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ort::environment::Environment;
use tidegate_fixtures::models::{
    Attr::{Int, Ints},
    Graph,
    elem::{F32, I64},
};
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Blocks, Data, Output, Program, Reducer, RowReduce, Split},
    policy::{JobKind, Policy},
};
use tidegate_sandbox::{Admitted, Attachment, Help, Rehearsal, admit, run, units, wasm::Code};

use crate::common::{
    direct::Direct,
    job,
    runtime::runtime,
    scores::{Asked, Rows, admitted, file, fragile, lanes, mixing, open_policy, some_units, sum},
};

/// The standard component, compiled once.
fn scoring() -> &'static (ContentHash, Code) {
    static SCORING: OnceLock<(ContentHash, Code)> = OnceLock::new();
    SCORING.get_or_init(|| {
        let bytes = tidegate_fixtures::guest("scoring").unwrap();
        (ContentHash::of(&bytes), Code::compile(&bytes, open().limits.memory_bytes as usize).unwrap())
    })
}

/// The job of a component with a model beside it.
fn beside(
    (module, code): &(ContentHash, Code),
    model: &[u8],
    params: &str,
    asked: &Asked,
    policy: &Policy,
) -> Result<Admitted, Refusal> {
    let program = Program::Wasm {
        module: *module,
        select: asked.select.clone(),
        params_base64: BASE64_STANDARD.encode(params),
        data: Some(Data::of(model)),
        infer: Some("y".into()),
        on: None,
        split: asked.split,
        outputs: asked.outputs.clone(),
    };
    let schema = units::schema(&file(&some_units(1))).unwrap();
    admit(&job(program), policy, &schema, Some(Attachment::from(code.clone()).with_data(model.to_vec())))
}

fn open() -> Policy {
    let mut policy = open_policy();
    policy.kinds.push(JobKind::Wasm);
    policy.limits.fuel = u64::MAX;
    policy.limits.slot_ms = 10_000_000;
    policy
}

/// What comes of it, and what it said.
fn through(environment: &Environment, admitted: &Admitted, units: &[(i64, Rows)]) -> (Vec<i128>, Vec<String>) {
    let inference = Some(Direct::shared(environment, admitted.loads().unwrap()) as _);
    let lanes = |help: Help<'_>| run(admitted, &[file(units)], &[7; 32], help).unwrap().groups[0].lanes.clone();
    let all = lanes(Help { inference, ..Help::default() });
    // In rehearsal one thread calls, and the same comes of it.
    let mut shown = Rehearsal::default();
    let inference = Some(Direct::shared(environment, admitted.loads().unwrap()) as _);
    assert_eq!(lanes(Help { inference, rehearsal: Some(&mut shown), ..Help::default() }), all);
    (all, shown.lines)
}

/// Rows pooled to one answer for all of them.
fn pooled() -> Graph {
    let graph =
        Graph::new().opset(20).input("x", F32, "rows,5").weights("a", &[5, 3], 1.0).node("MatMul", &["x", "a"], &["h"], &[]);
    let graph = graph.ints("rows", &[1], &[0]).node("ReduceMean", &["h", "rows"], &["m"], &[("keepdims", Int(0))]);
    graph.node("Tanh", &["m"], &["y"], &[]).output("y", F32)
}

/// One row at a time, as it is written.
fn one() -> Graph {
    let graph = Graph::new().opset(20).input("x", F32, "1,5").weights("a", &[5, 3], 1.0);
    graph.node("MatMul", &["x", "a"], &["h"], &[]).node("Softmax", &["h"], &["y"], &[]).output("y", F32)
}

fn words() -> Graph {
    let graph =
        Graph::new().opset(20).input("x", I64, "rows,5").weights("t", &[9, 2], 1.0).node("Gather", &["t", "x"], &["e"], &[]);
    graph.ints("a", &[1], &[1]).node("ReduceSum", &["e", "a"], &["y"], &[("keepdims", Int(0))]).output("y", F32)
}

fn picture() -> Graph {
    let graph = Graph::new().opset(20).input("x", F32, "rows,1,5").weights("w", &[4, 1, 3], 1.0);
    let graph = graph.node("Conv", &["x", "w"], &["c"], &[("pads", Ints(&[1, 1]))]).node("Relu", &["c"], &["r"], &[]);
    let graph = graph.ints("a", &[1], &[2]).node("ReduceMax", &["r", "a"], &["y"], &[("keepdims", Int(0))]);
    graph.output("y", F32)
}

/// An ONNX job is a job of the standard component: contribution by contribution, to the last bit, also where the last bit decides everything.
#[test]
fn the_standard_component_gives_what_the_direct_path_gives() {
    let Some(environment) = runtime() else { return };
    let mut units = some_units(40);
    // A value that is missing, and values that a table has no word for.
    units[7].1[0][2] = f32::NAN;
    units[8].1 = vec![vec![1e30; 5], vec![-3.0; 5]];
    let vector = |len: u32| vec![Output { reducer: Reducer::Vector { len }, ..sum(-4.0, 4.0) }];
    let number = || vec![sum(-1.0, 1.0)];
    let by_label = || {
        vec![
            Output { reducer: Reducer::Scores { bins: 4, cut: 0.5 }, ..sum(0.0, 1.0) },
            Output { name: "c".into(), reducer: Reducer::Calibration { bins: 4 }, ..sum(0.0, 1.0) },
            Output { name: "k".into(), reducer: Reducer::Confusion { classes: 3 }, ..sum(0.0, 2.0) },
        ]
    };
    let models = [
        ("fragile", fragile(), number()),
        ("mixing", mixing(), number()),
        ("pooled", pooled(), vector(3)),
        ("one", one(), vector(3)),
        ("words", words(), vector(2)),
        ("picture", picture(), vector(4)),
    ];
    let mut different = 0;
    for (name, graph, outputs) in models {
        let model = graph.bytes();
        for split in [Split::Unit, Split::Blocks(Blocks::of(9)), Split::Blocks(Blocks { number: 12, resample: 3 })] {
            for reduce in [RowReduce::Mean, RowReduce::Max, RowReduce::Sum, RowReduce::Last] {
                let asked = Asked { reduce, split, outputs: outputs.clone(), ..Asked::default() };
                let direct = lanes(&environment, &model, &units, &asked);
                let params = admitted(&model, &file(&units), &asked).model().unwrap().standard();
                let job = beside(scoring(), &model, &params, &asked, &open()).unwrap();
                let (lanes, said) = through(&environment, &job, &units);
                assert_eq!(lanes, direct, "{name} {split:?} {reduce:?}: {said:?}");
                different += usize::from(direct.iter().any(|lane| *lane != 0));
            }
        }
    }
    assert!(different > 60, "most of them say something: {different}");
    // Labels, and columns of bytes.
    let select = "SELECT bytes, CASE WHEN f0 > 0 THEN 1 ELSE 0 END AS truth FROM dataset";
    for (name, graph) in [("one", one()), ("fragile", fragile())] {
        let asked = Asked { select: select.into(), label: Some("truth"), outputs: by_label(), ..Asked::default() };
        let model = graph.bytes();
        let direct = lanes(&environment, &model, &units, &asked);
        let params = admitted(&model, &file(&units), &asked).model().unwrap().standard();
        let job = beside(scoring(), &model, &params, &asked, &open()).unwrap();
        assert_eq!(through(&environment, &job, &units).0, direct, "{name}");
    }
}

/// What a component hands over wrongly is an error that it may read, and nobody else's trouble.
#[test]
fn tensors_that_do_not_fit_are_told_to_the_component() {
    let Some(environment) = runtime() else { return };
    let asked = Asked::default();
    for (params, says) in [
        ("input f32 4 x\ntake 0 1", "a row has the dimensions [4], the model takes [5]"),
        ("input f64 5 x\ntake 0 1", "another type"),
        ("input f32 5 z\ntake 0 1", "the model's input \"x\" was not given"),
        ("input f32 1 x\ninput f32 1 y\ntake 0 1", "the model has 1 inputs, 2 were given"),
        ("take 0 1", "the model has 1 inputs, 0 were given"),
    ] {
        let job = beside(scoring(), &fragile().bytes(), params, &asked, &open()).unwrap();
        let (lanes, said) = through(&environment, &job, &some_units(5));
        assert!(said.iter().any(|line| line.contains(says)), "{params}: {said:?}");
        assert_eq!(lanes, [0], "the default");
    }
}

/// Operations are paid from fuel at the owner's rates: a person with too many rows has the default, others their own numbers.
#[test]
fn what_a_model_computes_is_paid_for() {
    let Some(environment) = runtime() else { return };
    let model = fragile().bytes();
    let mut units = some_units(6);
    let asked = Asked { outputs: vec![Output { default: 1.0, ..sum(-1.0, 1.0) }], ..Asked::default() };
    let params = admitted(&model, &file(&units), &asked).model().unwrap().standard();
    let mut policy = open();
    // The component itself takes some 50 000 for a few rows.
    policy.limits.fuel = 10_000_000;
    let fuel = |policy: &Policy, units: &[(i64, Rows)]| {
        let job = beside(scoring(), &model, &params, &asked, policy).unwrap();
        let mut shown = Rehearsal::default();
        let help = Help {
            inference: Some(Direct::shared(&environment, job.loads().unwrap()) as _),
            rehearsal: Some(&mut shown),
            ..Help::default()
        };
        let sums = run(&job, &[file(units)], &[7; 32], help).unwrap();
        (shown, sums.groups[0].lanes[0])
    };
    let (shown, all) = fuel(&policy, &units);
    let cheap = shown.fuel.unwrap().most;
    assert!(shown.lines.is_empty(), "{:?}", shown.lines);
    // A machine that computes a thousandth as fast: the same run costs more fuel.
    let mut slow = policy.clone();
    slow.models.work_per_ms /= 1000;
    let dear = fuel(&slow, &units).0.fuel.unwrap().most;
    assert!(dear > 2 * cheap, "{dear} and {cheap}");
    units[3].1 = vec![vec![0.5; 5]; 600];
    let (shown, with) = fuel(&slow, &units);
    assert!(shown.lines.iter().any(|line| line.contains("fuel")), "{:?}", shown.lines);
    let mut others = some_units(6);
    others.remove(3);
    let without = fuel(&policy, &others).1;
    let default = (1.0 / 2f64.powi(-20)) as i128;
    assert_eq!(with - without, default, "{all}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let asked = Asked::default();
    let refused = |model: &[u8], policy: &Policy| beside(scoring(), model, "", &asked, policy).unwrap_err().to_string();
    let model = fragile().bytes();
    let mut no_models = open();
    no_models.kinds.retain(|kind| *kind != JobKind::Onnx);
    let said = refused(&model, &no_models);
    assert!(said.contains("models are not allowed here"), "{said}");
    let mut proven = open();
    proven.models.mixing = false;
    let said = refused(&mixing().bytes(), &proven);
    assert!(said.contains("may mix rows"), "{said}");
    let said = refused(b"no model", &open());
    assert!(said.contains("ONNX model") && said.contains("program.data"), "{said}");
    let other = fragile().output("z", F32).bytes();
    let said = refused(&other[..other.len() - 3], &open());
    assert!(said.contains("program.data"), "{said}");
    // A component that runs a model needs one.
    let program = Program::Wasm {
        module: scoring().0,
        select: asked.select.clone(),
        params_base64: String::new(),
        data: None,
        infer: None,
        on: None,
        split: Split::Unit,
        outputs: asked.outputs.clone(),
    };
    let schema = units::schema(&file(&some_units(1))).unwrap();
    let said = admit(&job(program.clone()), &open(), &schema, Some(scoring().1.clone().into())).unwrap_err().to_string();
    assert!(said.contains("runs a model, and the job names none"), "{said}");
    let Program::Wasm { module, select, params_base64, data, split, outputs, .. } = program else { unreachable!() };
    let program = Program::Wasm { module, select, params_base64, data, infer: Some("y".into()), on: None, split, outputs };
    let said = job(program).check().unwrap_err().to_string();
    assert!(said.contains("program.infer") && said.contains("Set data to the model"), "{said}");
}
