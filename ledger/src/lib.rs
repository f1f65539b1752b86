//! Keeps an owner's privacy budget and writes the log of receipts; also stores observations of others' logs, for witnesses and
//! auditors.
//!
//! # Goals
//! - Budget is reserved durably, and the INTENT logged in the same transaction, before a row is read ([`Store::reserve`]).
//! - A result and its receipt become durable in one transaction, before anything is revealed ([`Store::finish`]).
//! - The log is exported as C2SP tlog-tiles; exported files are re-derived after a crash ([`Store::export`]).
//!
//! # Non-goals
//! - Deciding who may ask, running jobs, noise, the network.
//!
//! # Path
//! [`Store::reserve`] → [`Store::finish`] → [`Store::prove`] for the buyer, [`tidegate_audit`] for the auditor.

#![forbid(unsafe_code)]

mod folder;
pub mod observed;
pub mod store;
pub mod witness;
mod write;

pub use folder::from_folder;
pub use store::{JobRecord, Reservation, Reserve, ReserveError, State, Store, StoreError};
