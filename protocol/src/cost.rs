//! What a release costs: zero-concentrated differential privacy in integers, and a count of exact results.

use std::fmt;

use serde::{Deserialize, Serialize};

/// ρ of zCDP (Bun and Steinke 2016) in millionths, always rounded up when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroRho(pub u64);

impl MicroRho {
    /// The smallest whole number of millionths that is no less than `rho`; `None` if negative, not finite or too large.
    pub fn ceil(rho: f64) -> Option<Self> {
        let micro = (rho * 1e6).ceil();
        (rho >= 0.0 && micro <= 1e15).then_some(Self(micro as u64))
    }

    /// ρ as a number.
    pub fn rho(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroRho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ρ = {}", self.rho())
    }
}

/// δ in units of 1e-15, rounded up when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FemtoDelta(pub u64);

impl FemtoDelta {
    /// The smallest whole number of 1e-15 that is no less than `delta`; `None` outside [0, 1).
    pub fn ceil(delta: f64) -> Option<Self> {
        ((0.0..1.0).contains(&delta)).then_some(Self((delta * 1e15).ceil() as u64))
    }

    /// δ as a number.
    pub fn delta(self) -> f64 {
        self.0 as f64 / 1e15
    }
}

/// The price of one job: it composes by addition in both parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// ρ in millionths.
    pub rho_micro: MicroRho,
    /// δ spent on revealing undeclared group keys, in 1e-15.
    pub delta_femto: FemtoDelta,
    /// Results given exactly, each approved by the owner: counted, because no ρ covers them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reviewed: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Cost {
    /// The price of a differentially private release.
    pub const fn dp(rho_micro: MicroRho, delta_femto: FemtoDelta) -> Self {
        Self { rho_micro, delta_femto, reviewed: 0 }
    }

    /// The price of one exact result.
    pub const REVIEWED: Self = Self { rho_micro: MicroRho(0), delta_femto: FemtoDelta(0), reviewed: 1 };

    /// The sum of all parts; `None` on overflow.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            rho_micro: MicroRho(self.rho_micro.0.checked_add(other.rho_micro.0)?),
            delta_femto: FemtoDelta(self.delta_femto.0.checked_add(other.delta_femto.0)?),
            reviewed: self.reviewed.checked_add(other.reviewed)?,
        })
    }

    /// Whether all parts are within `cap`.
    pub fn within(self, cap: Self) -> bool {
        self.rho_micro <= cap.rho_micro && self.delta_femto <= cap.delta_femto && self.reviewed <= cap.reviewed
    }

    /// What `cap` leaves above this; zero where nothing is left.
    pub fn left_of(self, cap: Self) -> Self {
        Self {
            rho_micro: MicroRho(cap.rho_micro.0.saturating_sub(self.rho_micro.0)),
            delta_femto: FemtoDelta(cap.delta_femto.0.saturating_sub(self.delta_femto.0)),
            reviewed: cap.reviewed.saturating_sub(self.reviewed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charging_rounds_up_and_refuses_nonsense() {
        assert_eq!(MicroRho::ceil(0.000_000_1), Some(MicroRho(1)));
        assert_eq!(MicroRho::ceil(f64::NAN), None);
        assert_eq!(MicroRho::ceil(-0.1), None);
        assert_eq!(MicroRho::ceil(f64::INFINITY), None);
        assert_eq!(FemtoDelta::ceil(1.0), None);
        let one = Cost::dp(MicroRho(u64::MAX), FemtoDelta(0));
        assert_eq!(one.plus(Cost::dp(MicroRho(1), FemtoDelta(0))), None);
    }
}
