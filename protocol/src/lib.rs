//! Types shared by all parties: ids, keys, signed documents, limits and the frames of the job protocol.
//!
//! # Goals
//! - Each document's fields, payload type and limits are written down in one place.
//! - Checked data has a type of its own: [`dsse::Envelope`] → [`dsse::Signed`] only after its signature is verified.
//! - Everything parsed from a peer is bounded and never panics.
//!
//! # Non-goals
//! - I/O, clocks, async. Deciding who may ask (`node`), what may be released (`gate`), where it is stored (`ledger`, `catalog`).
//!
//! # Path
//! A buyer writes [`job::Job`] → [`dsse::Signed::sign`] → [`frame::Request::Submit`] → the owner opens it again with
//! [`dsse::Signed::open`], checks the [`grant`], and answers with a [`result::ResultDoc`] bound by a [`receipt::Statement`].

mod about;
pub mod approval;
pub mod cost;
pub mod countersignature;
pub mod device;
pub mod dsse;
pub mod frame;
pub mod grant;
pub mod hash;
pub mod job;
pub mod key;
pub mod lease;
pub mod limits;
pub mod listing;
pub mod manifest;
pub mod policy;
pub mod receipt;
pub mod refusal;
pub mod result;
pub mod revocations;
pub mod sealed;
pub mod shown;
pub mod size;

pub use approval::Approval;
pub use cost::{Cost, MicroRho};
pub use countersignature::Countersignature;
pub use dsse::{Document, Envelope, Signed};
pub use hash::{ContentHash, Sha256Digest};
pub use job::Job;
pub use key::{Identity, PeerId};
pub use lease::{Lease, Settlement};
pub use listing::Listing;
pub use refusal::{Code, Refusal, Shorten};
pub use revocations::Revocations;
pub use sealed::Sealed;
