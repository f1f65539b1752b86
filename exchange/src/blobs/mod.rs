//! Governed blobs: iroh-blobs serves everybody who knows a hash; here a peer gets only the hashes allowed to it, whole blobs
//! only.
//!
//! Rules, each with a test: observe and push are refused; a get is refused unless this peer was allowed this hash, and a get of
//! many unless it was allowed each; and no request reaches beyond the blobs that it names, because a blob whose bytes are
//! another's hash would otherwise open that blob as a hash sequence. What a grant allowed ends with it, even in the middle of a
//! transfer.

mod access;
mod arriving;
mod fetch;
mod guard;
mod kept;
mod many;
mod outgoing;
mod place;
mod prove;
mod ranges;
mod send;
mod served;
mod several;
mod tree;
pub mod wire;

pub use access::Access;
pub use fetch::{Progress, fetch};
pub use many::{SMALL, fetch_small};
pub use ranges::ByteRange;
pub use served::Served;
pub use several::{fetch_from, fetch_ranges};
