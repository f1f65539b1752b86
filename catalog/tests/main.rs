//! Datasets, sealed copies and listings, in one test program.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alone;
mod damage;
mod files;
mod layouts;
mod listings;
mod neighbours;
mod quotes;
mod sealed;
mod sheets;
mod texts;
mod written;
