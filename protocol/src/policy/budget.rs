//! `[budget]` of the owner's file, and the caps computed from it.

use serde::Deserialize;

use super::{BadPolicy, bad};
use crate::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon, out_of_range},
};

/// Maximum ρ of a budget.
const MOST_RHO: f64 = 1e6;
/// Maximum ε of a budget.
const MOST_EPSILON: f64 = 1e3;

/// `[budget]` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetFile {
    /// Total δ: half is used to turn ρ into ε, and key thresholds may spend the other half.
    pub delta: f64,
    /// Total as ρ; or give `epsilon`.
    pub rho: Option<f64>,
    /// Total as ε at `delta`; or give `rho`.
    pub epsilon: Option<f64>,
    /// Per buyer as ρ.
    pub per_buyer_rho: Option<f64>,
    /// Per buyer as ε at `delta`.
    pub per_buyer_epsilon: Option<f64>,
    /// Pure ε for Laplace noise; none unless given.
    ///
    /// It is taken off `epsilon` before the rest becomes ρ; beside `rho` it comes on top.
    pub laplace_epsilon: Option<f64>,
    /// Pure ε of Laplace noise per buyer.
    pub per_buyer_laplace_epsilon: Option<f64>,
}

/// Budget caps.
pub(super) struct Caps {
    /// Cap of all buyers together.
    pub(super) total: Cost,
    /// Cap per buyer.
    pub(super) per_buyer: Cost,
    /// δ at which ρ is shown as ε.
    pub(super) delta_femto: FemtoDelta,
}

impl BudgetFile {
    pub(super) fn check(&self, max_units: u64, rho_of: &impl Fn(f64, f64) -> Option<f64>) -> Result<Caps, BadPolicy> {
        if !(self.delta > 0.0 && self.delta <= 1.0 / max_units as f64) {
            return Err(bad(
                "budget.delta",
                format!("{} is not in (0, 1/max_units]", self.delta),
                format!("Write at most {:e}: a larger δ would allow publishing a whole person", 1.0 / max_units as f64),
            ));
        }
        let delta_femto = FemtoDelta::ceil(self.delta)
            .filter(|delta| delta.0 >= 2)
            .ok_or_else(|| bad("budget.delta", "is out of range", "Write a number such as 1e-6"))?;
        // Half of δ turns ρ into ε, the other half may go to key thresholds: together the owner's (ε, δ) holds.
        let delta_femto = FemtoDelta(delta_femto.0 / 2);
        for (field, value, most) in [
            ("budget.rho", self.rho, MOST_RHO),
            ("budget.epsilon", self.epsilon, MOST_EPSILON),
            ("budget.per_buyer_rho", self.per_buyer_rho, MOST_RHO),
            ("budget.per_buyer_epsilon", self.per_buyer_epsilon, MOST_EPSILON),
        ] {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && *value <= most)) {
                let fix = "Write a rho (0.1 to 10 is usual) or an epsilon (0.5 to 10 is usual)";
                return Err(bad(field, out_of_range(value, most), fix));
            }
        }
        let (purse, buyers_purse) = self.purses()?;
        let total = rho("budget", self.rho, less("budget.epsilon", self.epsilon, purse)?, delta_femto.delta(), rho_of)?
            .ok_or_else(|| bad("budget.rho", "is missing", "Write rho = …, or epsilon = …"))?;
        let of_buyer = less("budget.per_buyer_epsilon", self.per_buyer_epsilon, buyers_purse)?;
        let per_buyer = rho("budget.per_buyer", self.per_buyer_rho, of_buyer, delta_femto.delta(), rho_of)?
            .ok_or_else(|| bad("budget.per_buyer_rho", "is missing", "Write per_buyer_rho = …, or per_buyer_epsilon = …"))?;
        if per_buyer > total {
            let written = if self.per_buyer_epsilon.is_some() { "budget.per_buyer_epsilon" } else { "budget.per_buyer_rho" };
            return Err(bad(written, "exceeds the whole budget", "Make it at most the total"));
        }
        let cap = |rho_micro, epsilon_micro| Cost { rho_micro, epsilon_micro, delta_femto, reviewed: 0 };
        Ok(Caps { total: cap(total, purse), per_buyer: cap(per_buyer, buyers_purse), delta_femto })
    }

    /// Returns the ε for Laplace noise: the total, and the part of each buyer.
    fn purses(&self) -> Result<(MicroEpsilon, MicroEpsilon), BadPolicy> {
        let number = |field: &str, epsilon: Option<f64>| {
            let small = epsilon.filter(|e| *e > 0.0 && *e <= MOST_EPSILON).and_then(MicroEpsilon::floor);
            small.ok_or_else(|| {
                bad(
                    field,
                    "is missing, or not in (0, 1000]",
                    "Give both laplace_epsilon and per_buyer_laplace_epsilon, or neither",
                )
            })
        };
        if self.laplace_epsilon.is_none() && self.per_buyer_laplace_epsilon.is_none() {
            return Ok(Default::default());
        }
        let all = number("budget.laplace_epsilon", self.laplace_epsilon)?;
        let buyers = number("budget.per_buyer_laplace_epsilon", self.per_buyer_laplace_epsilon)?;
        if buyers > all {
            return Err(bad("budget.per_buyer_laplace_epsilon", "exceeds the whole", "Make it at most laplace_epsilon"));
        }
        Ok((all, buyers))
    }
}

/// Subtracts `purse` from an ε.
fn less(field: &str, epsilon: Option<f64>, purse: MicroEpsilon) -> Result<Option<f64>, BadPolicy> {
    match epsilon {
        Some(epsilon) if epsilon <= purse.epsilon() => Err(bad(
            field,
            format!("does not exceed the {} of it reserved for Laplace noise", purse.epsilon()),
            "Leave some for Gaussian noise",
        )),
        epsilon => Ok(epsilon.map(|e| e - purse.epsilon())),
    }
}

fn rho(
    field: &str,
    rho: Option<f64>,
    epsilon: Option<f64>,
    delta: f64,
    rho_of: &impl Fn(f64, f64) -> Option<f64>,
) -> Result<Option<MicroRho>, BadPolicy> {
    let value = match (rho, epsilon) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(bad(field, "gives both rho and epsilon", "Give one of them")),
        (Some(rho), None) => Some(rho),
        (None, Some(epsilon)) => rho_of(epsilon, delta),
    };
    let usable = value.filter(|v| *v > 0.0 && *v <= MOST_RHO);
    // The cap is rounded down: a budget never grows by rounding.
    usable
        .map(|v| Some(MicroRho((v * 1e6).floor() as u64)))
        .ok_or_else(|| bad(field, "corresponds to no ρ at this δ", "Write a rho (0.1 to 10 is usual), or a larger epsilon"))
}
