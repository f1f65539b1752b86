//! How rows become calls.

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    refusal::{Code, Refusal},
};

/// How rows become calls of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "split must be \"unit\", { blocks = n } or { blocks = n, resample = g }")]
pub enum Split {
    /// One call a privacy unit.
    Unit,
    /// One call a block (sample and aggregate).
    #[serde(untagged)]
    Blocks(Blocks),
}

/// Blocks of units, for sample and aggregate (Nissim, Raskhodnikova and Smith 2007): a keyed PRF of the unit alone says in which blocks its rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// ℓ: how many there are.
    #[serde(rename = "blocks")]
    pub number: u32,
    /// γ: in how many of them each unit is (as in GUPT, Mohan et al. 2012). γ times as many blocks of the same size have no more noise in their mean, and it depends less
    /// on who came together by chance; each unit's rows are read γ times.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub resample: u32,
}

impl Blocks {
    /// So many, each unit in one of them.
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

    /// The blocks, where units come in blocks.
    pub fn blocks(&self) -> Option<Blocks> {
        match self {
            Self::Unit => None,
            Self::Blocks(blocks) => Some(*blocks),
        }
    }
}
