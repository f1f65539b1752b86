//! Grants: biscuit tokens (<https://www.biscuitsec.org>) bound to the holder's key.
//!
//! The owner's grant key signs. A token states that its holder may take these actions on this dataset lineage, within this
//! [`Scope`]. A holder can [`narrow()`] it offline, for itself or for a colleague; every added block can only take rights away. A
//! block's content is read, never evaluated: unless it has one of a few forms (`form.rs`), the token is not valid.
//!
//! The content of the owner's block is in the owner's log too, and [`Scope::covers`] decides there: at the owner, and again in
//! every audit.

#[cfg(feature = "tokens")]
mod form;
#[cfg(feature = "tokens")]
mod narrow;
#[cfg(feature = "tokens")]
mod narrowing;
mod scope;
#[cfg(feature = "tokens")]
mod token;
#[cfg(feature = "tokens")]
mod told;

#[cfg(feature = "tokens")]
pub use narrow::{Shown, narrow, show};
#[cfg(feature = "tokens")]
pub use narrowing::{BadGrant, Narrowing};
pub use scope::{Action, Ask, Scope, Uncovered, ends, within_hour};
#[cfg(feature = "tokens")]
pub use token::{Authority, Issued, Presented, Terms, Token, authorize, ids, issue, public_key};
