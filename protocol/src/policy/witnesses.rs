//! Witnesses whose cosignatures are required to hand out a receipt.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};

/// `[witnesses]`: a result is released once a quorum has cosigned a checkpoint of the log with its receipt.
///
/// Restoring a backup cannot undo a witnessed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessRule {
    /// Verifier keys of witnesses, as C2SP writes them.
    pub keys: Vec<String>,
    /// Number of cosignatures required.
    pub quorum: u32,
}

/// Maximum number of witnesses of a policy.
const WITNESSES: usize = 32;

impl WitnessRule {
    pub(super) fn check(&self) -> Result<(), BadPolicy> {
        if self.keys.len() > WITNESSES {
            return Err(bad("witnesses.keys", format!("names more than {WITNESSES}"), "Name fewer"));
        }
        if self.quorum == 0 || self.quorum as usize > self.keys.len() {
            let fix = format!("Write 1 to {}, or remove [witnesses]", self.keys.len());
            return Err(bad("witnesses.quorum", format!("is {} of {} witnesses", self.quorum, self.keys.len()), fix));
        }
        match self.keys.iter().enumerate().find(|(i, key)| self.keys[..*i].contains(key)) {
            Some((_, key)) => Err(bad("witnesses.keys", format!("lists {key:?} twice"), "Name each witness once")),
            None => Ok(()),
        }
    }
}
