//! The ledger, the log and its witnesses, in one test program.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alone;
mod common;
mod crash;
mod damage;
mod faults;
mod fetches;
mod files;
mod heard;
mod layouts;
mod leases;
mod listings;
mod log;
mod neighbours;
mod price;
mod quotes;
mod rules;
mod sealed;
mod sheets;
mod standing;
mod store;
mod texts;
mod vectors;
mod versions;
mod witness;
mod written;
