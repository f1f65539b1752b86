//! The ledger, the log and its witnesses, in one test program.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod crash;
mod faults;
mod fetches;
mod leases;
mod log;
mod observed;
mod price;
mod rules;
mod standing;
mod store;
mod vectors;
mod versions;
mod witness;
