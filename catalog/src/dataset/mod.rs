//! Dataset versions on the owner's machine: reading the files, checking the unit, ordering rows by unit, recording the files'
//! places.
//!
//! # Path
//! [`tables`] (command-line arguments → files) → [`profile`] (one schema of all files, their order, and a copy ordered by unit if
//! the files are not) → [`save`].

mod beyond;
mod bounded;
mod cluster;
mod error;
mod hash;
mod layout;
mod lost;
mod paths;
mod people;
pub mod pieces;
mod proven;
mod read;
mod record;
mod survey;
mod table;
mod types;
mod unit;

pub use beyond::Bounded;
pub use error::DataError;
use error::{broken, of_columns, unreadable};
pub use hash::hash;
pub use layout::{OrderCheck, Phase, Profile, profile, schema};
pub use paths::{TableFiles, fit_a_manifest, tables};
pub use people::People;
pub use proven::Proven;
pub use read::{Reader, describe, names, open, open_by};
pub use record::{Dataset, DatasetRecord, Stamp, load_all, save};
pub use survey::{Bound, Grouped, Setting, Survey, survey};
