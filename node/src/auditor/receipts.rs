//! Checks of the receipts held by a buyer.
//!
//! Each receipt must be the owner's, in the log under a checkpoint, and of the result beside it.

use std::collections::BTreeMap;

use tidegate_audit::{
    note::{self, Note},
    open_entry,
};
use tidegate_protocol::{PeerId, Sha256Digest, receipt::Kind};

use crate::auditor::{bundle::Given, heads::Heads, whole};
use crate::{
    NodeError,
    error::{BundleFault, Unverified},
};

/// Valid receipts, and the heads of the log implied by them.
#[derive(Default)]
pub(super) struct Held {
    pub(super) count: u64,
    pub(super) heads: Heads,
    pub(super) notes: BTreeMap<u64, Note>,
    /// All receipts.
    pub(super) all: Vec<whole::Held>,
}

/// Checks every receipt in `receipts/`.
///
/// # Errors
/// Returns [`NodeError::Unverified`] naming the first receipt that does not hold, also if two of them were proven under different
/// roots of one size.
pub(super) fn check(given: &Given, owner: &PeerId) -> Result<Held, NodeError> {
    let mut held = Held::default();
    for file in given.list("receipts")?.iter().filter(|file| file.ends_with(".dsse.json")) {
        one(file, given, owner, &mut held)?;
    }
    Ok(held)
}

fn one(file: &str, given: &Given, owner: &PeerId, held: &mut Held) -> Result<(), NodeError> {
    let name = file.trim_end_matches(".dsse.json");
    let wrong = |fault: BundleFault| NodeError::from(Unverified::Bundle { file: file.to_owned(), fault });
    let entry = given.read(&format!("receipts/{file}"))?;
    let statement = open_entry(&entry, owner).map_err(|(rule, detail)| wrong(BundleFault::Rule { rule, detail }))?;
    if statement.predicate.kind() != Kind::Receipt {
        return Err(wrong(BundleFault::NoReceipt));
    }
    let proof =
        String::from_utf8(given.read(&format!("receipts/{name}.tlog-proof"))?).map_err(|e| wrong(BundleFault::ProofText(e)))?;
    let proven = note::check_proof(&proof, &entry, owner).map_err(|e| wrong(BundleFault::Proof(e)))?;
    let written = proof.split_once("\n\n").map(|(_, note)| note);
    if written != Some(proven.note.to_text().as_str()) {
        return Err(wrong(BundleFault::ProofForm));
    }
    let (size, root) = (proven.checkpoint.size, proven.checkpoint.root);
    if held.heads.insert(size, root).is_some_and(|other| other != root) {
        return Err(wrong(BundleFault::Forked { size }));
    }
    held.notes.insert(size, proven.note.clone());
    let bytes = given.read(&format!("results/{name}.json"))?;
    if statement.subject[0].digest.sha256 != Sha256Digest::of(&bytes) {
        return Err(wrong(BundleFault::OtherResult));
    }
    held.count += 1;
    let (name, index) = (name.to_owned(), proven.index);
    held.all.push(whole::Held { name, statement, index, entry, note: proven.note });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::{
        Identity, Signed,
        receipt::{Predicate, Statement},
    };

    use super::*;

    fn entry(signer: &Identity) -> Vec<u8> {
        let statement = Statement::about("grant", Sha256Digest::of(b"ab"), Predicate::Revocation { grant: "ab".into() });
        Signed::sign(statement, signer).unwrap().envelope().to_canonical().unwrap()
    }

    #[test]
    fn a_receipt_that_does_not_verify_says_what_failed() {
        let (owner, other) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("receipts")).unwrap();
        let fault = |bytes: &[u8]| {
            std::fs::write(folder.path().join("receipts/r.dsse.json"), bytes).unwrap();
            match check(&Given::open(folder.path()).unwrap(), &owner.id()).err() {
                Some(NodeError::Unverified(Unverified::Bundle { file, fault })) if file == "r.dsse.json" => fault,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(fault(b"{}"), BundleFault::Rule { rule: "entry-form", .. }));
        assert!(matches!(fault(&entry(&other)), BundleFault::Rule { rule: "entry-signer", .. }));
        assert!(matches!(fault(&entry(&owner)), BundleFault::NoReceipt));
    }
}
