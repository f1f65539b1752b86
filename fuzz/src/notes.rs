//! A log as served by a stranger: checkpoints, proofs, tiles.
use tidegate_audit::{evidence, log, note};
use tidegate_ledger::witness;
use tidegate_protocol::{Identity, PeerId};

fn owner() -> PeerId {
    Identity::from_seed([7; 32]).id()
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    let owner = owner();
    let text = String::from_utf8_lossy(bytes);
    assert!(note::open_checkpoint(&text, &owner).is_err(), "nothing here is signed");
    assert!(note::check_proof(&text, bytes, &owner).is_err());
    let _ = note::owner_of_vkey(&text);
    if let Ok(verifier) = note::Verifier::parse(&text) {
        assert_eq!(verifier.vkey(), text.trim(), "one spelling");
    }
    if let Ok(read) = note::Note::parse(&text) {
        assert_eq!(note::Note::parse(&read.to_text()).as_ref(), Ok(&read));
    }
    if let Ok(request) = witness::AddCheckpoint::parse(&text) {
        assert_eq!(witness::AddCheckpoint::parse(&request.to_body()).as_ref(), Ok(&request));
    }
    assert!(serde_json::from_slice::<evidence::Evidence>(bytes).map_or(true, |e| e.check().is_err()), "nothing here is signed");
    let _ = log::is_log_path(&text);
    let _ = tidegate_audit::open_entry(bytes, &owner);

    // A real checkpoint over any size and root, and arbitrary bytes as tiles and entries.
    if let Some((head, rest)) = bytes.split_at_checked(33) {
        let root = tlog_tiles::Hash(head[1..].try_into().unwrap());
        let checkpoint = note::sign_checkpoint(&Identity::from_seed([7; 32]), u64::from(head[0]), &root);
        let served = |path: &str| Ok(if path == "checkpoint" { checkpoint.clone().into_bytes() } else { rest.to_vec() });
        let (mut audit, mut served) = (tidegate_audit::Audit::new(owner), served);
        let read = log::scan(&note::Verifier::log(&owner), &mut served, |index, entry| {
            audit.bundle(index, &[entry.to_vec()]);
            Ok(())
        });
        assert!(read.is_err() || !audit.report(std::time::SystemTime::UNIX_EPOCH).findings.is_empty() || head[0] == 0);
        let _ = log::fsck::fsck(&note::Verifier::log(&owner), &mut served);
    }
}
