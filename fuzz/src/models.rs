//! Any bytes as an ONNX model: refused or admitted, never loaded, never a panic.
use std::{collections::BTreeMap, sync::Arc};

use crate::{policy, table};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho,
    cost::FemtoDelta,
    job::{Mode, Output, Program, Reducer, RowReduce},
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
        program: Program::Onnx {
            model: ContentHash::of(bytes),
            select: "SELECT x, n FROM dataset".into(),
            output: "y".into(),
            index: 0,
            reduce: RowReduce::Max,
            outputs,
        },
    };
    let (_, schema) = table();
    let _ = tidegate_sandbox::admit(&job, &policy(), &schema, Some(Arc::new(bytes.to_vec())));
}
