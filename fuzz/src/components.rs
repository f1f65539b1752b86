//! Arbitrary bytes as a component: refused or admitted, never run, never a panic.
use crate::{job, outputs, policy, table};
use tidegate_protocol::{
    ContentHash,
    job::{Program, Split},
};

/// Runs an input.
pub fn run(bytes: &[u8]) {
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(bytes),
        select: "SELECT x FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs: outputs(),
    });
    let (_, schema) = table();
    let _ = tidegate_sandbox::admit(&job, &policy(), &schema, Some(bytes.to_vec().into()));
}
