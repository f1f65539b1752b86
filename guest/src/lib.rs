//! What a job author needs: the WIT world ([`WIT`]), the C header ([`C_HEADER`]) and examples in `guest/c`.
//!
//! # Goals
//! - One world, versioned, that every guest language can target.
//!
//! # Non-goals
//! - Running guests (`sandbox`).

/// The world `tidegate:job`, as text.
pub const WIT: &str = include_str!("../wit/job.wit");

/// The canonical ABI for freestanding C guests.
pub const C_HEADER: &str = include_str!("../c/tidegate_guest.h");
