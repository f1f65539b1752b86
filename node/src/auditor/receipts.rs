//! Receipts that a buyer holds: each is the owner's, in the log under a checkpoint, and of the result beside it.

use std::{collections::BTreeMap, path::Path};

use tidegate_catalog::{
    audit::open_entry,
    note::{self, Note},
};
use tidegate_protocol::{PeerId, Sha256Digest, receipt::Kind};

use super::Heads;
use crate::{NodeError, file_error};

/// What receipts say of the log: it must have had these heads.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) count: u64,
    pub(super) heads: Heads,
    pub(super) notes: BTreeMap<u64, Note>,
}

/// Checks every receipt in `folder/receipts`.
///
/// # Errors
/// [`NodeError::Unverified`] naming the first that does not hold, also where two of them were proven under different roots of one size.
pub(super) fn check(folder: &Path, owner: &PeerId) -> Result<Held, NodeError> {
    let mut paths: Vec<_> = match std::fs::read_dir(folder.join("receipts")) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(_) => vec![],
    };
    paths.sort();
    let mut held = Held::default();
    for path in paths.iter().filter(|p| p.to_string_lossy().ends_with(".dsse.json")) {
        one(path, folder, owner, &mut held)?;
    }
    Ok(held)
}

fn one(path: &Path, folder: &Path, owner: &PeerId, held: &mut Held) -> Result<(), NodeError> {
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = file.trim_end_matches(".dsse.json");
    let wrong = |what: String| NodeError::Unverified(format!("receipts/{file}: {what}"));
    let entry = std::fs::read(path).map_err(|e| file_error(path, e))?;
    let statement = open_entry(&entry, owner).map_err(|(rule, detail)| wrong(format!("{rule}: {detail}")))?;
    if statement.predicate.kind() != Kind::Receipt {
        return Err(wrong("is an entry of the log, and no receipt".into()));
    }
    let proof = folder.join(format!("receipts/{name}.tlog-proof"));
    let proof = std::fs::read_to_string(&proof).map_err(|e| file_error(&proof, e))?;
    let proven = note::check_proof(&proof, &entry, owner).map_err(|e| wrong(e.to_string()))?;
    let (size, root) = (proven.checkpoint.size, proven.checkpoint.root);
    if held.heads.insert(size, root).is_some_and(|other| other != root) {
        return Err(wrong(format!(
            "is proven in another history of {size} entries than a receipt before it: the log was forked"
        )));
    }
    held.notes.insert(size, proven.note);
    let result = folder.join(format!("results/{name}.json"));
    let bytes = std::fs::read(&result).map_err(|e| file_error(&result, e))?;
    if statement.subject[0].digest.sha256 != Sha256Digest::of(&bytes) {
        return Err(wrong("is for another result than the one beside it".into()));
    }
    held.count += 1;
    Ok(())
}
