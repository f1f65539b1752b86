//! Encrypted copies that others hold, for when the owner is not there: they serve what they cannot read.
//!
//! # Path
//! The owner: [`seal`] → its node answers [`Request::Sealed`](tidegate_protocol::frame::Request::Sealed) and tells which grants are revoked
//! ([`lists`]). A mirror: [`keep`] (what it holds) → [`serve`]. A grantee: [`fetch`]. Whoever
//! looks: [`audit`].

pub mod audit;
pub mod fetch;
pub mod keep;
pub mod lists;
pub mod seal;
pub mod serve;
