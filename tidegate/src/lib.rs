//! Decentralized data exchange and compute-to-data: aggregates go out, rows stay. This crate is for programs that are an owner,
//! buyer, auditor or witness themselves; the `tidegate` binary is the same for people.
//!
//! ```
//! use tidegate::{
//!     auditor::{note, open_entry},
//!     policy::{PolicyFile, rho_of},
//!     protocol::{Sha256Digest, receipt::Predicate},
//! };
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An owner writes a policy. What it does not allow is not allowed.
//! let text = r#"
//!     unit = { column = "person", max_units = 6000, max_rows = 5, max_groups = 2 }
//!     budget = { delta = 1e-6, epsilon = 6.0, per_buyer_epsilon = 4.0 }
//!     jobs = { kinds = ["sql"], min_units = 20, fuel = 5_000_000, memory_mib = 16, slot = "4s", tick = "1s" }
//!     access = { compute = "granted", replicate = "nobody" }
//!     columns = { spend = { lo = 0, hi = 100 }, city = {} }
//! "#;
//! let check = |text: &str| PolicyFile::parse(text)?.check(|epsilon, delta| rho_of(epsilon, delta).ok());
//! assert_eq!(check(text)?.unit.column, "person");
//! assert!(check(&text.replace("per_buyer_epsilon = 4.0", "per_buyer_epsilon = 40.0")).is_err());
//!
//! // An auditor verifies a result and its receipt offline, knowing the owner's key.
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors"))?;
//! let owner = note::owner_of_vkey(std::fs::read_to_string("owner.vkey")?.trim())?;
//! let (receipt, result) = (std::fs::read("receipts/job0.dsse.json")?, std::fs::read("results/job0.json")?);
//! let proven = note::check_proof(&std::fs::read_to_string("receipts/job0.tlog-proof")?, &receipt, &owner)?;
//! let statement = open_entry(&receipt, &owner).map_err(|(rule, detail)| format!("{rule}: {detail}"))?;
//! assert!(proven.index < proven.checkpoint.size);
//! assert!(matches!(statement.predicate, Predicate::Outcome { .. }));
//! assert_eq!(statement.subject[0].digest.sha256, Sha256Digest::of(&result));
//! # Ok(())
//! # }
//! ```
//!
//! # Goals
//! - One crate to depend on: [`owner`], [`buyer`], [`auditor`] and [`witness`], with the documents of [`policy`] and [`protocol`].
//! - An owner's node is started, watched and stopped by one type, [`owner::OwnerNode`].
//!
//! # Non-goals
//! - Logic of its own: everything is re-exported.
//! - Texts for people (`tidegate-cli`).
//!
//! # Workers
//!
//! Jobs run in processes of their own, which confine themselves. A program that runs a node, or plans and rehearses jobs as a
//! buyer, calls [`run_worker_if_asked`] first in its `main`; an owner may name the `tidegate` binary instead
//! ([`owner::OwnerConfig::worker_program`]).
//!
//! # Examples
//!
//! `examples/embed_owner.rs`, `examples/submit_query.rs` and `examples/witness.rs` are an owner, a buyer and a witness; those of
//! `tidegate-audit` are auditors.

#![forbid(unsafe_code)]

pub use tidegate_exchange as network;
pub use tidegate_node::{
    Address, NodeError,
    home::{self, Home, keep_to_oneself},
    worker::run_worker_if_asked,
};
pub use tidegate_protocol as protocol;

/// Owner: publication of datasets, grants, and a node to answer jobs.
pub mod owner {
    pub use tidegate_catalog::dataset::Dataset;
    pub use tidegate_exchange::blobs::Served;
    pub use tidegate_ledger::{Store, StoreError};
    pub use tidegate_node::owner::{
        Failed, Known, OwnerConfig, OwnerNode, Part,
        access::grants,
        budget,
        jobs::{quarantine, registry, review},
        leases, pace, publish, retire, survey,
    };
}

/// Buyer: finds datasets, checks and rehearses jobs, sends them, and verifies the results.
pub mod buyer {
    pub use tidegate_node::{
        buyer::{answer, check, expected, fetch, inspect, job_file::JobFile, rehearse, results, table, telling, training},
        client::{Asking, Buyer, Offer, Verified, verify},
    };
}

/// Auditor: verifies logs, receipts and results, from bytes, folders or peers.
pub mod auditor {
    pub use tidegate_audit::{Audit, Broken, Finding, Report, evidence, lineage, log, note, open_entry, rules};
    pub use tidegate_node::auditor::{Ask, Outcome, audit_folder, audit_source, forks, replay, source};
}

/// Witness: cosigns consistent checkpoints of owners' logs, and keeps evidence of forks.
pub mod witness {
    pub use tidegate_audit::note::Verifier;
    pub use tidegate_node::witness::WitnessNode;
}

/// Policy of an owner, from the TOML text to the signed document.
pub mod policy {
    pub use tidegate_gate::rho_of;
    pub use tidegate_protocol::policy::*;
}
