//! Inclusion of a single entry in a log (<https://c2sp.org/tlog-proof>).

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_protocol::PeerId;
use tlog_tiles::{Hash, RecordProof};

use super::{BadNote, Checkpoint, Note, Verifier, bad, checkpoint};

/// First line of a C2SP tlog-proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Writes a proof: index, inclusion path, checkpoint.
pub fn write_proof(index: u64, path: &RecordProof, checkpoint: &str) -> String {
    let mut out = format!("{HEADER}\nindex {index}\n");
    for hash in path {
        out.push_str(&encode(hash));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(checkpoint);
    out
}

/// Valid proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// Index of the entry.
    pub index: u64,
    /// Tree head under which the entry was shown.
    pub checkpoint: Checkpoint,
    /// Note of the tree head, for the cosignatures on it.
    pub note: Note,
}

/// Checks a proof of `entry` in `owner`'s log.
///
/// # Errors
/// Returns [`BadNote`] naming the bad part.
pub fn check_proof(proof: &str, entry: &[u8], owner: &PeerId) -> Result<Proven, BadNote> {
    let Some((head, note)) = proof.split_once("\n\n") else { return bad("the proof has no checkpoint") };
    let mut lines = head.split('\n');
    if lines.next() != Some(HEADER) {
        return bad(format!("the proof does not begin with {HEADER}"));
    }
    let index = lines.next().and_then(|l| l.strip_prefix("index ")).and_then(|n| {
        let index: u64 = n.parse().ok()?;
        (index.to_string() == n).then_some(index)
    });
    let Some(index) = index else { return bad("the proof has no index") };
    let path = read_hashes(lines)?;
    let note = Note::parse(note)?;
    let checkpoint = checkpoint::open(&note, &Verifier::log(owner))?;
    if index >= checkpoint.size {
        return bad(format!("the proof's index {index} is not below the checkpoint's size {}", checkpoint.size));
    }
    tlog_tiles::check_record(&path, checkpoint.size, checkpoint.root, index, tlog_tiles::record_hash(entry))
        .map_err(|_| BadNote(format!("entry {index} is not in the log of that checkpoint")))?;
    Ok(Proven { index, checkpoint, note })
}

/// Encodes a hash as in notes and proofs: in base64.
pub fn encode(hash: &Hash) -> String {
    STANDARD.encode(hash.0)
}

/// Reads hashes in base64, line by line: at most 64, as many as a tree has levels.
///
/// # Errors
/// Returns [`BadNote`] naming the problem.
pub fn read_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, BadNote> {
    let mut path = Vec::new();
    for line in lines {
        match STANDARD.decode(line).ok().and_then(|b| <[u8; 32]>::try_from(b).ok()) {
            Some(hash) if path.len() < 64 => path.push(Hash(hash)),
            Some(_) => return bad("the proof has more than 64 hashes"),
            None => return bad("a hash of the proof is malformed"),
        }
    }
    Ok(path)
}
