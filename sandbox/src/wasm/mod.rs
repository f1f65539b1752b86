//! Any program, unread: a component of world `tidegate:job`, a fresh instance for each unit or block.
//!
//! Deterministic: fuel instead of time, no clock, entropy, files or network, canonical NaN. A trap, an empty tank or a wrong shape
//! yields the public default vector, never a missing one.

mod blocks;
mod code;
mod component;
mod engine;
mod guest;
mod host;
mod run;
mod values;
mod wasi;

pub use code::Code;
pub use component::{Inspection, inspect};
pub use guest::Guest;
pub use run::ways;
