//! Statements of INTENT and OUTCOME about a job: all of them public, none dependent on a row.
//!
//! Fields are in alphabetical order: [`super::draft`] writes them in declaration order, and canonical JSON requires that order.

use serde::{Deserialize, Serialize};

use super::{Party, sorted};
use crate::{ContentHash, Cost, Sha256Digest};

/// A link of the ledger's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerLink {
    /// Charged account: the buyer's, or the account of the holder who narrowed a grant for the buyer.
    pub buyer: Party,
    /// Cap in force.
    pub cap: Cost,
    /// Charge.
    pub cost: Cost,
    /// Charged job.
    pub job: ContentHash,
    /// Charged dataset lineage.
    pub population: ContentHash,
    /// SHA-256 of the canonical JSON of the previous link; zeros at the start.
    pub previous: Sha256Digest,
    /// Position in the lineage's chain, from 0.
    pub sequence: u64,
}

impl JobFacts {
    /// Returns the charged account: the party to whom the job's grant was given.
    pub fn account(&self) -> Party {
        self.holder.unwrap_or(self.buyer)
    }
}

impl LedgerLink {
    /// Returns the link as canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// Returns an error if the JSON library cannot write it.
    pub fn to_canonical(&self) -> Result<String, serde_json::Error> {
        sorted::to_string(self)
    }

    /// Returns the SHA-256 of the canonical JSON, which the next link names as `previous`.
    ///
    /// # Errors
    /// Returns an error if the JSON library cannot write it.
    pub fn digest(&self) -> Result<Sha256Digest, serde_json::Error> {
        Ok(Sha256Digest::of(self.to_canonical()?.as_bytes()))
    }
}

/// Public numbers of a released column, with which an outsider can test the spread of the noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnNote {
    /// Standard deviation of the noise on each summed lane, in the column's unit.
    ///
    /// It is that of the discrete distribution, which varies less than the continuous one of the same scale if the scale is
    /// narrow compared with a step.
    pub deviation: Vec<f64>,
    /// Upper clip bound of a contribution.
    pub hi: f64,
    /// Lower clip bound of a contribution.
    pub lo: f64,
    /// Sensitivity: how far a unit (or a changed block) moves those sums in one group at most, in the column's unit and in the
    /// norm of the noise.
    ///
    /// The norm is the Euclidean length √(Σ Δ²) for Gaussian noise, and the sum of lengths for Laplace noise, over all moves that
    /// come together.
    pub moves: Vec<f64>,
    /// Column name.
    pub name: String,
    /// Noise scale on each summed lane, in the column's unit: σ of the discrete Gaussian, or b of the discrete Laplace. The
    /// privacy cost follows from it.
    pub noise_scale: Vec<f64>,
    /// Reducer of the gate.
    pub reducer: String,
    /// Step width of each lane's sums and noise, in the column's unit.
    pub steps: Vec<f64>,
}

/// Public parameters of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// Neighbouring relation: `add-remove-one-unit`, `change-one-block`, or `change-resampled-blocks` if a unit is in several
    /// blocks.
    pub adjacency: String,
    /// Number of blocks, for sample and aggregate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u32>,
    /// Released columns.
    pub columns: Vec<ColumnNote>,
    /// Minimum number of units for a group to appear, if keys are undeclared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_units: Option<i64>,
    /// κ in force.
    pub max_groups: u32,
    /// Maximum number of a unit's rows counted in a group.
    pub max_rows: u32,
    /// Noise distribution: `discrete-gaussian` or `discrete-laplace`, or `none` for an exact result.
    pub noise: String,
    /// Number of blocks of each unit, if more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resample: Option<u32>,
    /// Number of rows of each unit that are read, if more than these would not fit the time budget: further rows count as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_read: Option<u64>,
    /// Threshold on the noisy number of units, if keys are undeclared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i64>,
    /// Scale of the noise on the number of units. The noise is an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_noise: Option<f64>,
}

/// Runtime and device of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceNote {
    /// Maker's name of the device.
    pub device: String,
    /// Execution provider of the runtime: `cpu` or `cuda`.
    pub provider: String,
    /// Name, version and build of the runtime.
    pub runtime: String,
    /// Whether products are in TensorFloat-32.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tf32: bool,
}

/// Facts of a job in INTENT and OUTCOME.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFacts {
    /// Id of the owner's approval of an exact result; absent if the policy names buyer and program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ContentHash>,
    /// BLAKE3 of the executable running the job.
    pub build: ContentHash,
    /// Buyer.
    pub buyer: Party,
    /// Buyer's signature over the job, base64. The buyer cannot deny having asked.
    pub buyer_signature: String,
    /// Names of the columns read by the job in every row group, including the unit's, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Manifest named by the job.
    pub dataset: ContentHash,
    /// SHA-256 of the manifest's signed payload, whose BLAKE3 is its id, for tools limited to SHA-256.
    pub dataset_sha256: Sha256Digest,
    /// `tidegate` and its version.
    pub engine: String,
    /// BLAKE3 of the grant token shown.
    pub grant: ContentHash,
    /// Revocation ids of the grant's blocks, hexadecimal: the owner's first, then an id per narrowing.
    pub grant_ids: Vec<String>,
    /// Charged account, if not the buyer's: the holder of the grant, who narrowed it for the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Party>,
    /// Runtime and device of the job's model, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<InferenceNote>,
    /// Id of the job document.
    pub job: ContentHash,
    /// `sql`, `wasm` or `onnx`.
    pub kind: String,
    /// Id of the charged lease, if a leaseholder ran the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<ContentHash>,
    /// Charge, chained.
    pub ledger: LedgerLink,
    /// Parameters of the release.
    pub mechanism: Mechanism,
    /// Policy of the job's manifest.
    pub policy: ContentHash,
    /// Policy of the newest version, if there was a newer version. What both policies allow was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_newest: Option<ContentHash>,
    /// Previous manifest of the same lineage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContentHash>,
    /// Hash of the entire program: [`Job::bound`](crate::Job::bound).
    pub program: ContentHash,
    /// End of the public slot.
    pub slot_end: String,
    /// Start of the public slot, RFC 3339.
    pub slot_start: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Identity, MicroRho,
        cost::{EXACT, FemtoDelta, MicroEpsilon},
    };

    #[test]
    fn the_short_way_to_a_link_s_canonical_form_is_the_library_s() {
        let hash = ContentHash::of(b"x");
        let open: Party = Identity::from_seed([9; 32]).id().into();
        let numbers = [0, 1, 999, EXACT, EXACT + 1, u64::MAX];
        for (i, number) in numbers.into_iter().enumerate() {
            for buyer in [open, Party::Hidden(Sha256Digest([0xfe; 32]))] {
                for other in numbers {
                    let cost = Cost {
                        rho_micro: MicroRho(number),
                        epsilon_micro: MicroEpsilon(other),
                        delta_femto: FemtoDelta(number / 2),
                        reviewed: i as u32,
                    };
                    let cap = Cost::dp(MicroRho(other), FemtoDelta(3));
                    let link = LedgerLink {
                        sequence: other,
                        previous: Sha256Digest([7; 32]),
                        population: hash,
                        buyer,
                        job: hash,
                        cost,
                        cap,
                    };
                    assert_eq!(link.to_canonical().unwrap(), serde_json_canonicalizer::to_string(&link).unwrap());
                }
            }
        }
    }
}
