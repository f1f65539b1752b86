//! The binary as people use it: parties as real processes, in one test program, since each program would carry all of the product.
#![allow(clippy::unwrap_used, clippy::panic)]

mod check;
mod code;
mod common;
mod crash;
mod device;
mod documents;
mod escape;
mod inspect;
mod interop;
mod jobs;
mod journey;
mod laplace;
mod new;
mod node_tests;
mod programs;
mod publish;
mod quarantine;
mod queries;
mod reviewed;
mod runner;
mod scoring;
mod sharing;
mod tables;
mod timing;
mod training;
