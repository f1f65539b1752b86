//! The gate: contributions in, released aggregates out.
//!
//! # Goals
//! - One small place where privacy is enforced: clip, sum in integers, threshold, noise, price.
//! - Two halves. *Accumulate* ([`Plan::lay`], [`Plan::close`], [`Sums`]) is linked into the worker, streams, and holds one small
//!   state per group. *Release* ([`release()`]) runs in the node alone and is the only constructor of [`Released`].
//! - The other way out, for a job that the owner has approved byte by byte: exact and rounded, small and dominated groups
//!   suppressed ([`review()`]).
//! - No float carries a secret sum; noise is drawn on the integer grid.
//!
//! # Non-goals
//! - I/O, async, SQL, programs, storage. Bounding how many groups a unit touches is the worker's part (it sees units); the gate
//!   states κ and prices it.
//!
//! # Path
//! [`Shape`] (public, from the job) → [`Plan::new`] → rows → [`Sums`] → [`Plan::calibrate`] → [`Releasing`] → [`Released`]. What
//! can be measured, and why the noise covers it, is in `reduce/`, one file each. The claims about each mechanism, and the test
//! for each claim: `PROOFS.md` beside `src/`.
//!
//! # Adjacency
//! Two datasets are neighbours if one has one privacy unit more (`add-remove-one-unit`). Over a fixed number of blocks the unit
//! can change one block's vector to any other within the bounds (`change-one-block`).

#![forbid(unsafe_code)]

mod accumulate;
mod afford;
mod beside;
mod calibrate;
mod commitment;
mod convert;
mod equations;
mod error;
mod interval;
mod keys;
mod kinds;
mod largest;
mod margins;
mod noise;
mod noised;
mod part;
mod passed;
mod reduce;
mod release;
mod review;
mod shape;
mod solve;
mod terms;
mod tolerance;

pub use accumulate::{Field, GroupSums, Sums};
pub use afford::Afforded;
pub use beside::Left;
pub use calibrate::{Calibration, Split, Threshold};
pub use commitment::Committing;
pub use convert::{epsilon_of, rho_of};
pub use error::GateError;
pub use kinds::{Code, Codes, Kind as KindOfUnits, Kinds};
pub use largest::Largest;
pub use margins::margins_fit;
pub use noise::{Noise, SCALE_MAX, SCALE_MIN};
pub use part::{Kind, Part};
pub use reduce::{
    BRANCHES, Confusion, Covariance, Histogram, Mean, Measure, Quantiles, Reliability, Scores, Sum, Variance, Vector,
};
pub use release::{Released, Releasing, release};
pub use review::{review, review_beside};
pub use shape::{Column, Keys, Plan, Shape};
pub use terms::{Open, Terms};
pub use tolerance::{DELTA as TOLERANCE_DELTA, Tolerance};
