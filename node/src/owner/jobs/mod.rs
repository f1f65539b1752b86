//! Jobs on an owner's node: [`admit`] handles a job up to its reservation, [`execute`] from there to its durable receipt; [`schedule`] defines when any of it may be
//! seen.

pub(crate) mod admit;
pub(crate) mod attachments;
pub mod code_cache;
pub(crate) mod execute;
pub mod failure_meter;
pub(crate) mod fallback_sums;
pub mod fallbacks;
pub(crate) mod inference;
pub mod quarantine;
pub(crate) mod queue;
pub mod registry;
pub(crate) mod replay;
pub mod review;
pub(crate) mod schedule;
pub(crate) mod single_flight;
