//! ONNX Runtime in a process of its own.
//!
//! # Goals
//! - The runtime's C++ handles a buyer's model in a process that holds no key, no data file and no socket: only two pipes, and
//!   memory that it shares with one worker.
//! - It may die: [`client::Client`] reports it, and the caller gives the public fallback value.
//! - Rows are written once, where the runtime reads them ([`layout`]).
//!
//! # Non-goals
//! - Deciding which models are admitted, which rows meet in a run, and how the numbers are used (`sandbox`).
//!
//! # Path
//! [`library::find`] → the node starts `tidegate runner` → [`server::Runtime::load`], [`server::Runtime::serve`] ⇄
//! [`client::Client`].

#![deny(unsafe_code)]

// Test helpers of other crates refer to this crate by name.
#[cfg(test)]
extern crate self as tidegate_gpu_runner;

pub mod client;
pub mod device;
mod error;
pub mod layout;
pub mod library;
pub mod server;
mod session;
mod shapes;
mod shared;
mod wire;

pub use error::InferenceFailed;
pub use shared::Plain;
pub use wire::{Cuda, Input, Intermediates, Model};
