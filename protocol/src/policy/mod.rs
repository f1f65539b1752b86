//! Policy of an owner: permissions, and the bounds on which privacy rests.
//!
//! An owner writes TOML ([`PolicyFile`]); [`PolicyFile::check`] makes the [`Policy`] that is signed. Neither has a `Default`:
//! whatever is not written is not allowed.

mod budget;
mod error;
mod file;
mod files;
mod meet;
mod models;
mod read;
mod review;
mod rules;
mod signed;
mod sql;
mod versions;
mod witnesses;

pub use budget::BudgetFile;
pub use error::BadPolicy;
use error::bad;
pub use file::{AccessFile, JobsFile, PolicyFile};
pub use files::{FileRules, FilesFile};
pub use models::{ModelRules, ModelsFile};
pub use read::{ColumnKind, Dates, Encoding, ReadRules};
pub use review::{Dominance, ReviewRules, Standing};
pub use rules::{Access, ColumnRule, JobKind, Names, ResourceLimits, UnitRule, Wall};
pub use signed::Policy;
pub use sql::{QueryRules, SqlFile};
pub use versions::{Answering, VersionsFile};
pub use witnesses::WitnessRule;
