//! Grouping of rows into calls.

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    refusal::{Code, Refusal},
};

/// Grouping of rows into calls of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "split must be \"unit\", { blocks = n } or { blocks = n, resample = g }")]
pub enum Split {
    /// A call per privacy unit.
    Unit,
    /// A call per block (sample and aggregate).
    #[serde(untagged)]
    Blocks(Blocks),
}

/// Blocks of privacy units, for sample and aggregate (Nissim, Raskhodnikova and Smith 2007). A keyed PRF of the unit alone
/// assigns its rows to blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// ℓ: number of blocks.
    #[serde(rename = "blocks")]
    pub number: u32,
    /// γ: number of blocks containing each unit (as in GUPT, Mohan et al. 2012).
    ///
    /// γ times as many blocks of the same size have no more noise in their mean, and the mean depends less on which units share a
    /// block by chance. Each unit's rows are read γ times.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub resample: u32,
}

impl Blocks {
    /// Builds `number` blocks with each unit in exactly one.
    pub fn of(number: u32) -> Self {
        Self { number, resample: 1 }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let bad = |field: &str, message: String| Refusal::new(Code::BadRequest, message).at(format!("program.split.{field}"));
        if !(2..=limits::BLOCKS).contains(&self.number) {
            return Err(bad("blocks", format!("must be 2 to {}", limits::BLOCKS)));
        }
        let most = limits::RESAMPLE.min(self.number - 1);
        if !(1..=most).contains(&self.resample) {
            return Err(bad("resample", format!("must be 1 to {most} with {} blocks", self.number)));
        }
        Ok(())
    }
}

fn one() -> u32 {
    1
}

fn is_one(resample: &u32) -> bool {
    *resample == 1
}

impl Split {
    pub(super) fn unit() -> Self {
        Self::Unit
    }

    pub(super) fn is_unit(&self) -> bool {
        *self == Self::Unit
    }

    /// Returns the blocks, if units are grouped in blocks.
    pub fn blocks(&self) -> Option<Blocks> {
        match self {
            Self::Unit => None,
            Self::Blocks(blocks) => Some(*blocks),
        }
    }
}
