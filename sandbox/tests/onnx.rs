//! Models: what is refused by their bytes alone.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use arrow::array::Float32Array;
use common::{job, policy, table};
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Output, Program, Reducer, RowReduce},
};
use tidegate_sandbox::{Help, RunError, admit, onnx::Inference, run};

fn model(name: &str) -> Vec<u8> {
    std::fs::read(tidegate_fixtures::path(&format!("models/{name}.onnx"))).unwrap()
}

fn program(bytes: &[u8], select: &str, output: &str, reduce: RowReduce) -> Program {
    let score = Output { name: "score".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 };
    Program::Onnx {
        model: ContentHash::of(bytes),
        select: select.into(),
        output: output.into(),
        index: 0,
        reduce,
        outputs: vec![score],
    }
}

fn refusal(bytes: Vec<u8>, select: &str, output: &str) -> Result<(), Refusal> {
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let job = job(program(&bytes, select, output, RowReduce::Mean));
    admit(&job, &policy, &t.schema, Some(bytes.into())).map(|_| ())
}

const FIVE: &str = "SELECT spend, visits, spend + 1, visits + 1, spend + 2 FROM dataset";

#[test]
fn a_sound_model_is_admitted() {
    refusal(model("heavy_user"), FIVE, "score").unwrap();
}

#[test]
fn hostile_and_unfitting_models_are_refused_by_name() {
    let sound = model("heavy_user");
    for (bytes, select, output, word) in [
        (model("hostile_external"), FIVE, "score", "outside the file"),
        (model("hostile_address"), FIVE, "score", "memory address"),
        (sound.clone(), "SELECT spend FROM dataset", "score", "5 features, the query selects 1"),
        (sound.clone(), FIVE, "other", "no output \"other\""),
        (sound[..sound.len() / 2].to_vec(), FIVE, "score", "ONNX model"),
        (vec![], FIVE, "score", "no graph"),
        (vec![0xff; 64], FIVE, "score", "not an ONNX model"),
        // Field 7 (the graph) nested in itself far beyond what a decoder should follow.
        ([0x3a, 0x02].repeat(5000), FIVE, "score", ""),
    ] {
        let said = refusal(bytes, select, output).unwrap_err().to_string();
        assert!(said.contains(word), "{said} / {word}");
    }
}

/// A field of a message, as protocol buffers write it (<https://protobuf.dev/programming-guides/encoding/>), of less than 128 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let key = u32::from(number) << 3 | 2;
    let key = if key < 128 { vec![key as u8] } else { vec![key as u8 | 128, (key >> 7) as u8] };
    [&key[..], &[bytes.len() as u8], bytes].concat()
}

/// What an otherwise sound model may not hold beside: nobody has looked at it, or it would lead elsewhere.
#[test]
fn what_is_not_understood_is_not_handed_on() {
    let sound = model("heavy_user");
    let with = |more: Vec<u8>| refusal([&sound[..], &more].concat(), FIVE, "score");
    let node = |more: Vec<u8>| field(7, &field(1, &[field(4, b"Relu"), more].concat()));
    let attribute = |more: Vec<u8>| node(field(5, &[field(1, b"alpha"), more].concat()));
    for (more, word) in [
        (field(25, b""), "functions"),
        (field(20, b""), "trained by"),
        (field(26, b""), "devices"),
        (vec![0x98, 0x06, 1], "not known here: 99"),
        (field(7, &field(15, b"")), "sparse initializers"),
        (field(7, &field(99, b"")), "not known here: 7.99"),
        (node(field(8, b"other")), "overload"),
        (node(field(10, b"")), "device"),
        (node(field(7, b"com.example")), "of domain"),
        (attribute(field(6, b"")), "nested graph"),
        (attribute(field(11, b"")), "nested graph"),
        (attribute(field(22, b"")), "nested graph"),
        (attribute(field(21, b"outer")), "of a function"),
        (attribute(field(14, b"")), "of a function or a type"),
        (attribute(field(5, &field(13, b""))), "outside the file"),
        (attribute(field(10, &field(3, b""))), "outside the file"),
        (field(7, &field(5, &[0x70, 1])), "outside the file"),
        (field(7, &field(11, &field(2, &field(4, b"")))), "not known here: 7.11.2.4"),
    ] {
        let said = with(more).unwrap_err().to_string();
        assert!(said.contains(word), "{said} / {word}");
    }
    // What says nothing to a runtime is dropped on the way: it reads what was checked, and nothing beside.
    let noted = [&sound[..], &field(6, b"a note"), &field(14, &[field(1, b"key"), field(2, b"value")].concat())].concat();
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let handed = |bytes: &[u8]| {
        let job = job(program(bytes, FIVE, "score", RowReduce::Mean));
        admit(&job, &policy, &t.schema, Some(bytes.to_vec().into())).unwrap().model().unwrap().to_vec()
    };
    assert_eq!(handed(&noted), handed(&sound));
    assert_eq!(handed(&handed(&sound)), handed(&sound));
}

/// Scores are the first feature; a score of NaN stands for a failed run.
struct Echo;
impl Inference for Echo {
    fn score(&mut self, features: &[Float32Array], runs: &[u32]) -> Result<Vec<f32>, RunError> {
        assert_eq!(runs.iter().sum::<u32>() as usize, features[0].values().len());
        Ok(features[0].values().to_vec())
    }
}

#[test]
fn scores_are_reduced_per_unit_and_failures_become_the_default() {
    let t = table(&[
        (Some(1), Some(0.25), 1, "a"),
        (Some(1), Some(0.75), 1, "a"),
        (Some(2), None, 1, "a"),
        (Some(3), Some(9.0), 1, "a"),
    ]);
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let bytes = model("heavy_user");
    // Mean 0.5, NULL → NaN → default 0, 9 clipped to 1; maximum 0.75 instead of the mean.
    for (reduce, expected) in [(RowReduce::Mean, 1.5), (RowReduce::Max, 1.75), (RowReduce::Sum, 2.0), (RowReduce::Last, 1.75)] {
        let job = job(program(&bytes, FIVE, "score", reduce));
        let admitted = admit(&job, &policy, &t.schema, Some(bytes.clone().into())).unwrap();
        let help = Help { inference: Some(&mut Echo), ..Help::default() };
        let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], help).unwrap();
        assert_eq!(sums.groups[0].units, 3);
        assert_eq!(sums.groups[0].lanes, [(expected / 2f64.powi(-20)) as i128], "{reduce:?}");
    }
}
