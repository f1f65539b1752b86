//! Stores an owner's publications and others' announcements: datasets ([`dataset`]), encrypted copies of their files ([`sealed`])
//! and signed listings ([`listings`]).

#![forbid(unsafe_code)]

pub mod dataset;
pub mod listings;
pub mod sealed;
