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
