//! The auditor's side: read a log from a folder or a peer, check all of it, and check receipts against it.

use std::path::Path;

use tidegate_catalog::{
    audit::{Report, audit, open_entry},
    log::{VerifiedLog, from_folder, read},
    note,
};
use tidegate_protocol::{PeerId, Sha256Digest};

use crate::{NodeError, buyer::Buyer, file_error};
use tidegate_exchange::Address;

/// Audits a folder as the demo and `tidegate run --out` leave it: `owner.vkey`, `log/`, and any `receipts/` with their `results/`.
///
/// # Errors
/// [`NodeError::Unverified`] naming the first file that does not verify; [`NodeError::File`].
pub fn audit_folder(folder: &Path) -> Result<Report, NodeError> {
    let vkey = folder.join("owner.vkey");
    let owner = note::owner_of_vkey(&std::fs::read_to_string(&vkey).map_err(|e| file_error(&vkey, e))?)?;
    let log = read(&owner, from_folder(folder.join("log")))?;
    let mut receipts: Vec<_> = match std::fs::read_dir(folder.join("receipts")) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(_) => vec![],
    };
    receipts.sort();
    for path in receipts.iter().filter(|p| p.to_string_lossy().ends_with(".dsse.json")) {
        check_receipt(path, folder, &owner, &log)?;
    }
    Ok(audit(&log, &owner))
}

fn check_receipt(path: &Path, folder: &Path, owner: &PeerId, log: &VerifiedLog) -> Result<(), NodeError> {
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = file.trim_end_matches(".dsse.json");
    let wrong = |what: String| NodeError::Unverified(format!("receipts/{file}: {what}"));
    let entry = std::fs::read(path).map_err(|e| file_error(path, e))?;
    let statement = open_entry(&entry, owner).map_err(|(rule, detail)| wrong(format!("{rule}: {detail}")))?;
    let proof = folder.join(format!("receipts/{name}.tlog-proof"));
    let proof = std::fs::read_to_string(&proof).map_err(|e| file_error(&proof, e))?;
    let (index, _) = note::check_proof(&proof, &entry, owner).map_err(|e| wrong(e.to_string()))?;
    if log.entries.get(index as usize).is_none_or(|e| *e != entry) {
        return Err(wrong(format!("is not entry {index} of the log: the log was forked or cut")));
    }
    let result = folder.join(format!("results/{name}.json"));
    let bytes = std::fs::read(&result).map_err(|e| file_error(&result, e))?;
    if statement.subject[0].digest.sha256 != Sha256Digest::of(&bytes) {
        return Err(wrong("is for another result than the one beside it".into()));
    }
    Ok(())
}

/// Audits a peer's whole log over the network; keeps a copy in `keep` when given.
///
/// # Errors
/// [`NodeError`].
pub async fn audit_peer(buyer: &Buyer, peer: &Address, keep: Option<&Path>) -> Result<Report, NodeError> {
    // Fetch first, verify after: the verifier is the same as for a folder.
    let mut files = std::collections::HashMap::new();
    let checkpoint = buyer.log_file(peer, "checkpoint").await?;
    let text = String::from_utf8_lossy(&checkpoint).into_owned();
    note::open_checkpoint(&text, &peer.peer)?;
    files.insert("checkpoint".to_owned(), checkpoint);
    loop {
        let mut missing = None;
        let outcome = read(&peer.peer, |path| {
            files.get(path).cloned().ok_or_else(|| {
                missing = Some(path.to_owned());
                note::BadNote(format!("{path} is missing"))
            })
        });
        match (missing, outcome) {
            (Some(path), _) => {
                let bytes = buyer.log_file(peer, &path).await?;
                files.insert(path, bytes);
            }
            (None, outcome) => {
                let log = outcome?;
                if let Some(folder) = keep {
                    for (path, bytes) in &files {
                        let target = folder.join("log").join(path);
                        let parent = target.parent().unwrap_or(folder);
                        std::fs::create_dir_all(parent)
                            .and_then(|()| std::fs::write(&target, bytes))
                            .map_err(|e| file_error(&target, e))?;
                    }
                }
                return Ok(audit(&log, &peer.peer));
            }
        }
    }
}
