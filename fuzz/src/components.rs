//! Any bytes as a component: refused or admitted, never run, never a panic.
use std::{collections::BTreeMap, sync::Arc};

use crate::{policy, table};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho,
    cost::FemtoDelta,
    job::{Mode, Output, Program, Reducer, Split},
};

/// One input.
pub fn run(bytes: &[u8]) {
    let outputs = vec![Output { name: "a".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 }];
    let job = Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost: Cost::dp(MicroRho(1_000_000), FemtoDelta(0)),
        created: 0,
        mode: Mode::Dp,
        weights: BTreeMap::new(),
        program: Program::Wasm {
            module: ContentHash::of(bytes),
            select: "SELECT x FROM dataset".into(),
            params_base64: String::new(),
            split: Split::Unit,
            outputs,
        },
    };
    let (_, schema) = table();
    let _ = tidegate_sandbox::admit(&job, &policy(), &schema, Some(Arc::new(bytes.to_vec())));
}
