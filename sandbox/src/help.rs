//! Resources of a run beside the data, and the output of a rehearsal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{onnx::Inference, sql::Spill};

/// Resources available to a run beside the data.
#[derive(Default)]
pub struct Help<'a> {
    /// Runner for the job's model, if any.
    pub inference: Option<Arc<dyn Inference>>,
    /// Collector for output shown to the author, on mock rows only.
    pub rehearsal: Option<&'a mut Rehearsal>,
    /// Storage for groups too large for memory.
    pub spill: Option<&'a Spill>,
    /// Minimum number of units in a group; smaller groups are of no use to the gate.
    pub least_units: i64,
}

/// Output of a rehearsal on mock rows, which production never shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Log lines and traps of the guest, in order.
    pub lines: Vec<String>,
    /// Fuel used by its calls.
    pub fuel: Option<Fuel>,
}

/// Fuel use over some calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fuel {
    /// Fuel limit of a call.
    pub limit: u64,
    /// Number of calls.
    pub calls: u64,
    /// Least fuel used by a call.
    pub least: u64,
    /// Mean fuel per call.
    pub mean: u64,
    /// Most fuel used by a call.
    pub most: u64,
}

impl Rehearsal {
    /// Records a call's use of `fuel` out of `limit`.
    pub(crate) fn took(&mut self, fuel: u64, limit: u64) {
        let seen = self.fuel.get_or_insert(Fuel { limit, calls: 0, least: u64::MAX, mean: 0, most: 0 });
        (seen.least, seen.most) = (seen.least.min(fuel), seen.most.max(fuel));
        let sum = u128::from(seen.mean) * u128::from(seen.calls) + u128::from(fuel);
        seen.calls += 1;
        seen.mean = (sum / u128::from(seen.calls)) as u64;
    }
}
