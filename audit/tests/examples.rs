//! The examples do what they say on the vectors, and refuse what was tampered with.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs an example, which cargo builds beside this test's program.
fn run(example: &str, arguments: &[&Path]) -> Output {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = deps.parent().unwrap().join("examples").join(example);
    Command::new(&program).args(arguments).output().unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures/vectors")
}

#[test]
fn a_log_is_audited_and_a_receipt_verified() {
    let vectors = vectors();
    let key = vectors.join("owner.vkey");
    let audited = run("audit_log", &[&vectors.join("log"), &key]);
    let said = String::from_utf8(audited.stdout).unwrap();
    assert!(audited.status.success() && said.contains("8 entries"), "{said}");
    let receipts: Vec<PathBuf> = std::fs::read_dir(vectors.join("receipts")).unwrap().map(|e| e.unwrap().path()).collect();
    let mut receipts = receipts.iter().filter(|path| path.to_str().unwrap().ends_with(".dsse.json"));
    let receipt = receipts.next().unwrap();
    let proof = PathBuf::from(receipt.to_str().unwrap().replace(".dsse.json", ".tlog-proof"));
    let verified = run("verify_receipt", &[receipt, &proof, &key]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    // Another receipt is not the one that the proof is of.
    let other = run("verify_receipt", &[receipts.next().unwrap(), &proof, &key]);
    assert!(!other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    // Nor is the log another party's.
    let others = run("audit_log", &[&vectors.join("log"), &vectors.join("witness.vkey")]);
    assert!(!others.status.success());
}
