//! What an owner keeps: datasets, the privacy ledger and the receipt log; and what is heard of others': [`listings`], checkpoints ([`heard`]).
//!
//! # Goals
//! - Budget is reserved durably, and the INTENT logged in the same transaction, before a row is read ([`Store::reserve`]).
//! - A result and its receipt become durable in one transaction, before anything is revealed ([`Store::finish`]).
//! - The log is exported as C2SP tlog-tiles; what was exported is re-derived after a crash ([`Store::export`]).
//!
//! # Non-goals
//! - Deciding who may ask, running jobs, noise, the network.
//!
//! # Path
//! [`dataset`] profiles and records a version → [`Store::reserve`] → [`Store::finish`] → [`Store::prove`] for the buyer,
//! [`audit`] for the auditor.

#![forbid(unsafe_code)]

pub mod audit;
pub mod dataset;
pub mod evidence;
pub mod files;
pub mod heard;
pub mod lineage;
pub mod listings;
pub mod log;
pub mod note;
pub mod query;
pub mod sealed;
pub mod store;
pub mod witness;

pub use store::{JobRecord, Reservation, Reserve, ReserveError, State, Store, StoreError};
