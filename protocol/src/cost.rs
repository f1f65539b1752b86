//! Privacy cost of a release, in integers: zero-concentrated differential privacy (zCDP), pure differential privacy from a budget
//! of its own, and a count of exact results.
//!
//! # How the parts add up
//! Among the charges of a dataset lineage, let ρ be the sum of zCDP, ε₁ the sum of pure differential privacy and δ₁ the sum of
//! key thresholds. Together they are (ε(ρ, δ₂) + ε₁, δ₁ + δ₂)-differentially private for every δ₂, where ε(ρ, δ₂) is the
//! conversion of zCDP. This also holds when each job is chosen from the results of the jobs before it. Outside events of
//! probability δ₁, the privacy loss of the pure releases is at most ε₁, whatever came before them. So the total loss exceeds ε(ρ,
//! δ₂) + ε₁ by no more than the loss of the other releases exceeds ε(ρ, δ₂); and for those the conversion needs only that the
//! moments of each are bounded given what came before (Canonne, Kamath and Steinke 2020, section 2.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// ρ of zCDP (Bun and Steinke 2016) in millionths, always rounded up when charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroRho(pub u64);

/// Describes why `value` is not a valid price or budget of at most `most`. The text follows the name of its field.
pub fn out_of_range(value: f64, most: f64) -> String {
    match value > most {
        true => format!("is {value}; the maximum is {most}"),
        false => format!("is {value}; it must be positive"),
    }
}

impl MicroRho {
    /// Largest ρ that can be written, also used for ε.
    pub const MOST: f64 = 1e9;

    /// Rounds `rho` up to whole millionths. `None` if negative, not finite or too large.
    pub fn ceil(rho: f64) -> Option<Self> {
        let micro = (rho * 1e6).ceil();
        (0.0..=Self::MOST).contains(&rho).then_some(Self(micro as u64))
    }

    /// Returns ρ as a number.
    pub fn rho(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroRho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ρ = {}", self.rho())
    }
}

/// ε of pure differential privacy in millionths, always rounded up when charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroEpsilon(pub u64);

impl MicroEpsilon {
    /// Rounds `epsilon` up to whole millionths. `None` if negative, not finite or too large.
    pub fn ceil(epsilon: f64) -> Option<Self> {
        MicroRho::ceil(epsilon).map(|MicroRho(micro)| Self(micro))
    }

    /// Rounds `epsilon`, a cap, down to whole millionths. `None` as for [`MicroEpsilon::ceil`].
    pub fn floor(epsilon: f64) -> Option<Self> {
        let micro = (epsilon * 1e6).floor();
        (0.0..=MicroRho::MOST).contains(&epsilon).then_some(Self(micro as u64))
    }

    /// Returns ε as a number.
    pub fn epsilon(self) -> f64 {
        self.0 as f64 / 1e6
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

/// δ in units of 1e-15, rounded up when charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FemtoDelta(pub u64);

impl FemtoDelta {
    /// Rounds `delta` up to whole units of 1e-15. `None` outside [0, 1).
    pub fn ceil(delta: f64) -> Option<Self> {
        ((0.0..1.0).contains(&delta)).then_some(Self((delta * 1e15).ceil() as u64))
    }

    /// Returns δ as a number.
    pub fn delta(self) -> f64 {
        self.0 as f64 / 1e15
    }
}

/// Privacy cost of a job. All parts compose by addition.
///
/// The fields are in alphabetical order, as in canonical JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// δ spent on revealing undeclared group keys, in 1e-15.
    pub delta_femto: FemtoDelta,
    /// ε of pure differential privacy in millionths, spent on Laplace noise.
    #[serde(default, skip_serializing_if = "MicroEpsilon::is_zero")]
    pub epsilon_micro: MicroEpsilon,
    /// Number of results given exactly, each approved by the owner. They are counted because no ρ covers them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reviewed: u32,
    /// ρ in millionths.
    pub rho_micro: MicroRho,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Largest integer up to which JSON numbers represent every integer exactly (RFC 8785, appendix D).
pub(crate) const EXACT: u64 = 1 << 53;

impl Cost {
    /// Builds the cost of a release with Gaussian noise.
    pub const fn dp(rho_micro: MicroRho, delta_femto: FemtoDelta) -> Self {
        Self { rho_micro, epsilon_micro: MicroEpsilon(0), delta_femto, reviewed: 0 }
    }

    /// Builds the cost of a release with Laplace noise.
    pub const fn pure(epsilon_micro: MicroEpsilon, delta_femto: FemtoDelta) -> Self {
        Self { rho_micro: MicroRho(0), epsilon_micro, delta_femto, reviewed: 0 }
    }

    /// Cost of an exact result.
    pub const REVIEWED: Self =
        Self { rho_micro: MicroRho(0), epsilon_micro: MicroEpsilon(0), delta_femto: FemtoDelta(0), reviewed: 1 };

    /// Returns the sum of all parts. `None` on overflow.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            rho_micro: MicroRho(self.rho_micro.0.checked_add(other.rho_micro.0)?),
            epsilon_micro: MicroEpsilon(self.epsilon_micro.0.checked_add(other.epsilon_micro.0)?),
            delta_femto: FemtoDelta(self.delta_femto.0.checked_add(other.delta_femto.0)?),
            reviewed: self.reviewed.checked_add(other.reviewed)?,
        })
    }

    /// Returns whether all parts are within `cap`.
    pub fn within(self, cap: Self) -> bool {
        self.over(cap).is_none()
    }

    /// Multiplies all parts by `times`, saturating.
    pub fn times(self, times: u64) -> Self {
        Self {
            rho_micro: MicroRho(self.rho_micro.0.saturating_mul(times)),
            epsilon_micro: MicroEpsilon(self.epsilon_micro.0.saturating_mul(times)),
            delta_femto: FemtoDelta(self.delta_femto.0.saturating_mul(times)),
            reviewed: u32::try_from(u64::from(self.reviewed).saturating_mul(times)).unwrap_or(u32::MAX),
        }
    }

    /// Returns the field name of the first part above `cap`.
    pub fn over(self, cap: Self) -> Option<&'static str> {
        let parts = [
            (self.rho_micro > cap.rho_micro, "cost.rho_micro"),
            (self.epsilon_micro > cap.epsilon_micro, "cost.epsilon_micro"),
            (self.delta_femto > cap.delta_femto, "cost.delta_femto"),
            (self.reviewed > cap.reviewed, "cost.reviewed"),
        ];
        parts.iter().find(|(over, _)| *over).map(|(_, field)| *field)
    }

    /// Returns the smaller of each part.
    pub fn least(self, other: Self) -> Self {
        Self {
            rho_micro: self.rho_micro.min(other.rho_micro),
            epsilon_micro: self.epsilon_micro.min(other.epsilon_micro),
            delta_femto: self.delta_femto.min(other.delta_femto),
            reviewed: self.reviewed.min(other.reviewed),
        }
    }

    /// Returns the part of `cap` left after this cost, or zero where nothing is left.
    pub fn left_of(self, cap: Self) -> Self {
        Self {
            rho_micro: MicroRho(cap.rho_micro.0.saturating_sub(self.rho_micro.0)),
            epsilon_micro: MicroEpsilon(cap.epsilon_micro.0.saturating_sub(self.epsilon_micro.0)),
            delta_femto: FemtoDelta(cap.delta_femto.0.saturating_sub(self.delta_femto.0)),
            reviewed: cap.reviewed.saturating_sub(self.reviewed),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rho_micro, epsilon_micro, delta_femto, reviewed } = self;
        let mut parts = Vec::new();
        if rho_micro.0 > 0 {
            parts.push(rho_micro.to_string());
        }
        if epsilon_micro.0 > 0 {
            parts.push(format!("pure ε = {}", epsilon_micro.epsilon()));
        }
        if delta_femto.0 > 0 {
            parts.push(format!("δ = {:e} for keys", delta_femto.delta()));
        }
        if *reviewed > 0 {
            parts.push(format!("{reviewed} exact result{}", if *reviewed == 1 { "" } else { "s" }));
        }
        f.write_str(&if parts.is_empty() { "nothing".into() } else { parts.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_counted_and_capped_by_itself() {
        let cap = Cost { rho_micro: MicroRho(5), epsilon_micro: MicroEpsilon(5), delta_femto: FemtoDelta(5), reviewed: 5 };
        for (one, field) in [
            (Cost { rho_micro: MicroRho(3), ..Cost::default() }, "cost.rho_micro"),
            (Cost { epsilon_micro: MicroEpsilon(3), ..Cost::default() }, "cost.epsilon_micro"),
            (Cost { delta_femto: FemtoDelta(3), ..Cost::default() }, "cost.delta_femto"),
            (Cost { reviewed: 3, ..Cost::default() }, "cost.reviewed"),
        ] {
            let two = one.plus(one).unwrap();
            assert!(one.within(cap) && !two.within(cap), "{field}");
            assert_eq!((two.over(cap), one.left_of(cap).over(cap)), (Some(field), None));
            assert_eq!(one.left_of(cap).plus(one).unwrap(), cap, "{field}");
        }
    }

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
