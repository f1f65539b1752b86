//! ONNX Runtime in a process of its own.
//!
//! # Goals
//! - The runtime's C++ meets a buyer's model in a process that holds no key, no file of data and no socket: two pipes.
//! - It may die: [`client::Client`] says so, and the caller gives the public default.
//! - One session run a privacy unit: a model that mixes rows can mix one person's rows only.
//!
//! # Non-goals
//! - Deciding which models are admitted (`sandbox`). Batching across units, GPUs: later, when a graph is proven row-independent.
//!
//! # Path
//! [`library::find`] → the node starts `tidegate runner` → [`server::main`] ⇄ [`client::Client`].

#![forbid(unsafe_code)]

pub mod client;
pub mod library;
pub mod server;
mod wire;

/// Inference failed. Says nothing about rows.
#[derive(Debug, thiserror::Error)]
#[error("inference: {0}")]
pub struct InferenceFailed(pub String);

pub(crate) fn failed(e: impl std::fmt::Display) -> InferenceFailed {
    InferenceFailed(e.to_string())
}
