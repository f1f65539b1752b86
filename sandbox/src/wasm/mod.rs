//! Any unread program: a [row function](rows), or a component of world `tidegate:job` with a fresh instance for each privacy unit
//! or block.
//!
//! Deterministic: fuel instead of time, no clock, entropy, files or network, canonical NaN. A trap, an empty tank or a wrong
//! shape yields the vector of public fallback values, never a missing one.

mod checked;
mod code;
mod component;
mod driver;
mod engine;
mod guest;
mod host;
mod inspect;
mod measured;
mod module;
mod nn;
mod prices;
mod program;
mod rows;
mod run;
mod shares;
mod startup;
mod stateless;
mod values;
mod wasi;

pub use code::Code;
pub use engine::engine;
pub use inspect::{Inspection, inspect};
pub use measured::{Measured, UNIT, measure};
pub use prices::{Layout, Memory};
pub use program::Program;
pub use run::ways;
pub use stateless::{Proof, RowFunction, has_row};
