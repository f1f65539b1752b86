//! Runs a job against a dataset and passes its contributions to the gate.
//!
//! # Goals
//! - A job reaches its input rows and its contribution, nothing else.
//! - Admission needs only schema and policy; after it no row can cause an error.
//! - One pass over rows ordered by privacy unit, with little state.
//!
//! # Non-goals
//! - Deciding who may ask (`node`), what may leave (`gate`), or moving bytes (`exchange`). Process confinement (`lockdown`).
//!
//! # Path
//! [`admit()`] (schema and policy → [`Admitted`]) → [`run()`] (rows → [`tidegate_gate::Sums`]).

// Compiled code is loaded in one place: wasm/code.rs.
#![deny(unsafe_code)]

pub mod onnx;
pub mod sql;
pub mod units;
pub mod wasm;

mod attachment;
mod deep;
mod error;
mod help;
mod job;
mod piece;
mod prf;

pub use attachment::{Attachment, Sent};
pub use deep::deep;
pub use error::{RunError, Sink};
pub use help::{Fuel, Help, Rehearsal};
pub use job::{Admitted, add_up, admit, admit_at, read_piece, run, run_into, run_piece};
pub use piece::{Extent, Piece};
