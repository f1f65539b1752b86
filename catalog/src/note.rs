//! C2SP signed notes (<https://c2sp.org/signed-note>) with ed25519 (type 0x01), checkpoints and single-entry proofs.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use tidegate_protocol::{Identity, PeerId};
use tlog_tiles::{Hash, RecordProof};

/// Signature type of plain ed25519.
const ED25519: u8 = 0x01;
/// First line of a C2SP tlog-proof.
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A note, checkpoint or proof was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadNote(pub String);

fn bad<T>(what: impl Into<String>) -> Result<T, BadNote> {
    Err(BadNote(what.into()))
}

/// A tree head that was signed by the log's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Hash,
}

/// The origin of an owner's log: also the name of its note key.
pub fn origin(owner: &PeerId) -> String {
    format!("tidegate.dev/log/{}", owner.did())
}

fn key_id(name: &str, key: &PeerId) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The verifier key in C2SP's form: `name+id+base64`.
pub fn vkey(owner: &PeerId) -> String {
    let name = origin(owner);
    let id: String = key_id(&name, owner).iter().map(|b| format!("{b:02x}")).collect();
    let mut material = vec![ED25519];
    material.extend_from_slice(owner.as_bytes());
    format!("{name}+{id}+{}", STANDARD.encode(material))
}

/// Reads a verifier key back: the owner it belongs to.
///
/// # Errors
/// [`BadNote`] when it is not one of [`vkey`]'s.
pub fn owner_of_vkey(text: &str) -> Result<PeerId, BadNote> {
    let owner = text
        .trim()
        .splitn(3, '+')
        .nth(2)
        .and_then(|material| STANDARD.decode(material).ok())
        .and_then(|material| material.strip_prefix(&[ED25519]).map(<[u8]>::to_vec))
        .and_then(|key| PeerId::from_bytes(key.try_into().ok()?).ok());
    match owner {
        Some(owner) if vkey(&owner) == text.trim() => Ok(owner),
        _ => bad("not a verifier key of a tidegate log"),
    }
}

/// Signs a checkpoint.
pub fn sign_checkpoint(owner: &Identity, size: u64, root: &Hash) -> String {
    let name = origin(&owner.id());
    let body = format!("{name}\n{size}\n{}\n", STANDARD.encode(root.0));
    let mut signature = key_id(&name, &owner.id()).to_vec();
    signature.extend_from_slice(&owner.sign(body.as_bytes()));
    format!("{body}\n\u{2014} {name} {}\n", STANDARD.encode(signature))
}

/// Checks that `note` is a checkpoint of `owner`'s log, signed by it. Signatures of others (cosignatures) are passed over.
///
/// # Errors
/// [`BadNote`] naming the part that is wrong.
pub fn open_checkpoint(note: &str, owner: &PeerId) -> Result<Checkpoint, BadNote> {
    if note.len() > 1 << 20 {
        return bad("the checkpoint is longer than a mebibyte");
    }
    if !note.ends_with('\n') {
        return bad("the checkpoint is cut short");
    }
    let Some((text, signatures)) = note.rsplit_once("\n\n") else { return bad("the checkpoint has no signature block") };
    let body = format!("{text}\n");
    let name = origin(owner);
    let id = key_id(&name, owner);
    let signed = signatures.lines().any(|line| {
        let Some((signer, encoded)) = line.strip_prefix("\u{2014} ").and_then(|l| l.split_once(' ')) else { return false };
        let Ok(bytes) = STANDARD.decode(encoded) else { return false };
        signer == name && bytes.len() == 68 && bytes[..4] == id && owner.verifies(body.as_bytes(), &bytes[4..])
    });
    if !signed {
        return bad(format!("the checkpoint is not signed by {owner}"));
    }
    let parsed =
        tlog_tiles::Checkpoint::from_bytes(body.as_bytes()).map_err(|_| BadNote("the checkpoint is malformed".into()))?;
    if parsed.origin() != name {
        return bad(format!("the checkpoint's origin is {:?}, expected {name:?}", parsed.origin()));
    }
    Ok(Checkpoint { origin: name, size: parsed.size(), root: *parsed.hash() })
}

/// Writes a C2SP tlog-proof: index, inclusion path, checkpoint.
pub fn write_proof(index: u64, path: &RecordProof, checkpoint: &str) -> String {
    let mut out = format!("{PROOF_HEADER}\nindex {index}\n");
    for hash in path {
        out.push_str(&STANDARD.encode(hash.0));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(checkpoint);
    out
}

/// Checks a C2SP tlog-proof of `entry` in `owner`'s log; returns the entry's index and the checkpoint.
///
/// # Errors
/// [`BadNote`] naming the part that is wrong.
pub fn check_proof(proof: &str, entry: &[u8], owner: &PeerId) -> Result<(u64, Checkpoint), BadNote> {
    let Some((head, note)) = proof.split_once("\n\n") else { return bad("the proof has no checkpoint") };
    let mut lines = head.lines();
    if lines.next() != Some(PROOF_HEADER) {
        return bad(format!("the proof does not begin with {PROOF_HEADER}"));
    }
    let index = lines.next().and_then(|l| l.strip_prefix("index ")).and_then(|n| {
        let index: u64 = n.parse().ok()?;
        (index.to_string() == n).then_some(index)
    });
    let Some(index) = index else { return bad("the proof has no index") };
    let mut path = RecordProof::new();
    for line in lines {
        let hash = STANDARD.decode(line).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
        match hash {
            Some(hash) if path.len() < 64 => path.push(Hash(hash)),
            _ => return bad("the proof's path is malformed"),
        }
    }
    let checkpoint = open_checkpoint(note, owner)?;
    if index >= checkpoint.size {
        return bad(format!("the proof's index {index} is not below the checkpoint's size {}", checkpoint.size));
    }
    tlog_tiles::check_record(&path, checkpoint.size, checkpoint.root, index, tlog_tiles::record_hash(entry))
        .map_err(|_| BadNote(format!("entry {index} is not in the log of that checkpoint")))?;
    Ok((index, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_binds_key_size_and_root() {
        let owner = Identity::from_seed([5; 32]);
        let note = sign_checkpoint(&owner, 3, &Hash([7; 32]));
        let opened = open_checkpoint(&note, &owner.id()).unwrap();
        assert_eq!((opened.size, opened.root), (3, Hash([7; 32])));
        assert_eq!(owner_of_vkey(&vkey(&owner.id())), Ok(owner.id()));
        assert!(open_checkpoint(&note, &Identity::from_seed([6; 32]).id()).is_err());
        for i in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[i] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(open_checkpoint(&text, &owner.id()).is_err(), "byte {i}");
            }
        }
    }
}
