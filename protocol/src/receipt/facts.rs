//! What INTENT and OUTCOME say of a job: all of it public, none of it dependent on a row.
//!
//! Fields are in the order of their names: [`super::draft`] writes them as they come, and canonical JSON wants them so.

use serde::{Deserialize, Serialize};

use super::{Party, sorted};
use crate::{ContentHash, Cost, Sha256Digest};

/// One link of the ledger's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerLink {
    /// Whose account is charged: the buyer's, or the holder's who narrowed a grant for it.
    pub buyer: Party,
    /// The cap in force.
    pub cap: Cost,
    /// The charge.
    pub cost: Cost,
    /// The job charged for.
    pub job: ContentHash,
    /// The population charged.
    pub population: ContentHash,
    /// SHA-256 of the canonical JSON of the link before; zeros at the start.
    pub previous: Sha256Digest,
    /// Position in the population's chain, from 0.
    pub sequence: u64,
}

impl JobFacts {
    /// Who was granted what it came with, and whose account is charged.
    pub fn account(&self) -> Party {
        self.holder.unwrap_or(self.buyer)
    }
}

impl LedgerLink {
    /// Canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// When the JSON library cannot write it.
    pub fn to_canonical(&self) -> Result<String, serde_json::Error> {
        sorted::to_string(self)
    }

    /// SHA-256 of the canonical JSON: what the next link names as `previous`.
    ///
    /// # Errors
    /// When the JSON library cannot write it.
    pub fn digest(&self) -> Result<Sha256Digest, serde_json::Error> {
        Ok(Sha256Digest::of(self.to_canonical()?.as_bytes()))
    }
}

/// Public numbers of one released column, so that an outsider can test the spread of the noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnNote {
    /// Standard deviation of the noise on each summed lane, in the column's unit: of the discrete distribution, which varies less than the continuous one of its
    /// scale where that is narrow beside a step.
    pub deviation: Vec<f64>,
    /// Upper clip bound.
    pub hi: f64,
    /// Clip bounds of one contribution.
    pub lo: f64,
    /// How far one unit (one block that changes) moves those sums in one group at most, in the column's unit, in the sense that the noise is paid by:
    /// Euclidean lengths √(Σ Δ²) for Gaussian noise, lengths added up for Laplace noise, over all moves that come together.
    pub moves: Vec<f64>,
    /// Column name.
    pub name: String,
    /// Scale of the noise on each summed lane, in the column's unit: the σ of the discrete Gaussian, or the b of the discrete Laplace. What is paid follows from it.
    pub noise_scale: Vec<f64>,
    /// The gate's reducer.
    pub reducer: String,
    /// Width of the steps that each lane is summed in, and its noise comes in, in the column's unit.
    pub steps: Vec<f64>,
}

/// The public parameters of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// Neighbouring relation: `add-remove-one-unit`, `change-one-block`, or `change-resampled-blocks` where a unit is in several.
    pub adjacency: String,
    /// Number of blocks, for sample and aggregate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u32>,
    /// Released columns.
    pub columns: Vec<ColumnNote>,
    /// Groups of fewer units never appear, where keys are undeclared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_units: Option<i64>,
    /// κ in force.
    pub max_groups: u32,
    /// Most rows of a unit that count in one group.
    pub max_rows: u32,
    /// `discrete-gaussian` or `discrete-laplace`; `none` of an exact result.
    pub noise: String,
    /// In how many of them each unit is, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resample: Option<u32>,
    /// Threshold on the noisy number of units, where keys are undeclared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i64>,
    /// Scale of the noise on that number, which comes in whole units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_noise: Option<f64>,
}

/// What runs a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceNote {
    /// The device's name, as its maker has it.
    pub device: String,
    /// The runtime's execution provider: `cpu` or `cuda`.
    pub provider: String,
    /// The runtime's name, version and build.
    pub runtime: String,
    /// Whether products are in TensorFloat-32.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tf32: bool,
}

/// What INTENT and OUTCOME say about the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFacts {
    /// Id of the owner's approval of an exact result; absent where the policy names buyer and program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ContentHash>,
    /// BLAKE3 of the program that ran it.
    pub build: ContentHash,
    /// The buyer.
    pub buyer: Party,
    /// The buyer's signature over it, base64: the buyer cannot deny having asked.
    pub buyer_signature: String,
    /// Names of the rows' columns that it reads, the unit's among them, in order; of every row group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The manifest the job names.
    pub dataset: ContentHash,
    /// SHA-256 of the manifest's signed payload, whose BLAKE3 is its id: for tools that know no other.
    pub dataset_sha256: Sha256Digest,
    /// `tidegate` and its version.
    pub engine: String,
    /// BLAKE3 of the grant token shown.
    pub grant: ContentHash,
    /// Revocation ids of its blocks, hexadecimal: the owner's first, then one for each time that its holder narrowed it.
    pub grant_ids: Vec<String>,
    /// On whose account it is, where that is another than the buyer: who was granted what it came with, and narrowed that for the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Party>,
    /// What runs its model, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<InferenceNote>,
    /// Id of the job document.
    pub job: ContentHash,
    /// `sql`, `wasm` or `onnx`.
    pub kind: String,
    /// Id of the lease that it is charged to, where it was run by a leaseholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<ContentHash>,
    /// The charge, chained.
    pub ledger: LedgerLink,
    /// How the answer is made.
    pub mechanism: Mechanism,
    /// The policy of that manifest.
    pub policy: ContentHash,
    /// Where a newer version was there: that one's policy. What both allow was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_newest: Option<ContentHash>,
    /// The manifest before it, of the same population.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContentHash>,
    /// Names the program, and all of it: [`Job::bound`](crate::Job::bound).
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
