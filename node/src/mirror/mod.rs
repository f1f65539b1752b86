//! Encrypted copies held by mirrors for when the owner is away; mirrors cannot read the files they serve.
//!
//! # Path
//! The owner: [`seal`] → its node answers [`Request::Sealed`](tidegate_protocol::frame::Request::Sealed) and announces revoked
//! grants ([`lists`]). A mirror: [`keep`] (its holdings) → [`serve`]. A grantee: [`fetch`]. Anybody who checks: [`audit`].

pub mod audit;
pub mod fetch;
pub mod keep;
pub mod lists;
pub mod seal;
pub mod serve;
