//! Datasets of other owners: how listings are exchanged, names for peers, and the history of a dataset's versions.

pub mod address_book;
pub mod history;
pub mod sync;
