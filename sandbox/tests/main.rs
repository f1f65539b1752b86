//! Programs beside data, in one test program, since each program would carry all of the engines.
#![allow(clippy::unwrap_used, clippy::panic)]

mod audit;
mod beside;
mod bounded;
mod common;
mod costs;
mod dialect;
mod differential;
mod exported;
mod guests;
mod hostile_models;
mod keys;
mod models;
mod onnx;
mod places;
mod redteam;
mod released;
mod rows;
mod shapes;
mod sql;
mod times;
mod unit_joins;
mod values;
mod wasi;
mod wasm;
mod zones;
