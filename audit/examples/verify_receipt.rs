//! Verifies a receipt with this crate alone: `verify_receipt RECEIPT.dsse.json RECEIPT.tlog-proof OWNER.vkey`.
//!
//! The receipt must be signed by the owner and lie in the owner's log under the checkpoint of the proof. The program prints what the receipt states.

use std::path::PathBuf;

use tidegate_audit::{
    note::{check_proof, owner_of_vkey},
    open_entry,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [receipt, proof, key] = arguments.as_slice() else {
        return Err("usage: verify_receipt RECEIPT.dsse.json RECEIPT.tlog-proof OWNER.vkey".into());
    };
    let owner = owner_of_vkey(std::fs::read_to_string(key)?.trim())?;
    let entry = std::fs::read(receipt)?;
    let proven = check_proof(&std::fs::read_to_string(proof)?, &entry, &owner)?;
    let statement = open_entry(&entry, &owner).map_err(|(rule, detail)| format!("{rule}: {detail}"))?;
    println!("entry {} of a log of {} entries: {}", proven.index, proven.checkpoint.size, statement.predicate_type);
    println!("{}", serde_json::to_string_pretty(&statement.predicate)?);
    Ok(())
}
