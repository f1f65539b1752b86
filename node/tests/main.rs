//! Roles in process: owners' nodes, buyers and witnesses of one program, with workers from the `tidegate` binary of this build.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod history;
mod ids;
mod laplace;
mod serving;
mod starting;
