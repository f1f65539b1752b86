//! The owner's durable state.
//!
//! Ledger, jobs and log entries are in one redb file, so that each step is one transaction, and concurrent steps share one fsync
//! ([`commit`]).
//!
//! Order of a job: [`Store::reserve`] (budget and INTENT, durable) → rows are read → [`Store::finish`] (noised bytes and OUTCOME,
//! durable) → [`Store::export`] → reveal. A crash between any two leaves either nothing charged, or a charged job listed by
//! [`Store::unfinished`], or a stored result that the same request id gets again.

mod accounts;
mod append;
mod commit;
mod error;
mod export;
mod fetches;
mod find;
mod grants;
mod hashes;
mod jobs;
mod journal;
mod leases;
mod links;
mod open;
mod record;
mod restore;
mod row;
mod schema;
mod state;
mod statements;
mod stored;
mod tables;
mod taken;
mod versions;

pub use error::{LeaseError, RecordFault, ReserveError, StoreError};
pub use grants::Standing;
pub use leases::{Ask as LeaseAsk, Given, Whereabouts};
pub use record::{JobRecord, Reservation, Reserve, State};
pub use restore::Restored;
pub use state::Store;
pub use taken::{Standing as LeaseStanding, Taken};
