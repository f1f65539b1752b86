//! Check of every file handed to an auditor: each is verified to its last byte, or named as not looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidegate_audit::{
    log::fsck::fsck_of,
    note::{self, Kind, Note, Verifier, cosignature},
};
use tidegate_protocol::{
    Countersignature, Envelope, PeerId, Sha256Digest, Signed,
    receipt::{Party, Predicate, Statement},
};

use crate::auditor::bundle::Given;

/// Findings on the files of a folder or bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Number of files that match log and signatures to the last byte.
    pub verified: u64,
    /// Descriptions of everything wrong.
    pub wrong: Vec<String>,
    /// Files and signatures of which nothing here says anything: each may be anything.
    pub not_looked_at: Vec<String>,
}

/// Parties whose signatures can be checked.
pub(super) struct Known<'a> {
    pub(super) owner: PeerId,
    pub(super) witnesses: &'a [Verifier],
    pub(super) opened: &'a BTreeMap<Party, PeerId>,
}

/// Looks at every file of `given`.
///
/// `receipts` were found to hold: each has its name, its statement, its place in the log and its bytes. With `log`, the log is
/// there too.
pub(super) fn look(given: &Given, known: &Known<'_>, receipts: &[Held], log: bool) -> Files {
    let mut files = Files::default();
    let mut left: BTreeSet<String> = given.all().into_iter().collect();
    let mut done = |files: &mut Files, name: &str| {
        if left.remove(name) {
            files.verified += 1;
        }
    };
    let key = note::vkey(&known.owner);
    match given.read("owner.vkey") {
        Ok(bytes) if bytes == key.as_bytes() || bytes == format!("{key}\n").as_bytes() => done(&mut files, "owner.vkey"),
        Ok(_) => {
            files.wrong.push("owner.vkey: has data beyond the key".into());
            done(&mut files, "owner.vkey");
        }
        Err(e) => files.wrong.push(e.to_string()),
    }
    for held in receipts {
        let Held { name, .. } = held;
        let proof = format!("receipts/{name}.tlog-proof");
        for one in [format!("results/{name}.json"), format!("receipts/{name}.dsse.json"), proof.clone()] {
            done(&mut files, &one);
        }
        signatures(&held.note, &proof, known, &mut files);
        let word = format!("receipts/{name}.countersignature.json");
        if let Ok(bytes) = given.read(&word) {
            match countersigned(&bytes, held, known) {
                Ok(true) => {}
                Ok(false) => {
                    files
                        .not_looked_at
                        .push(format!("{word}: the signer of the countersignature, because the log hides the buyer (--parties)"));
                }
                Err(why) => files.wrong.push(format!("{word}: {why}")),
            }
            done(&mut files, &word);
        }
    }
    let mut of_log: BTreeSet<String> = BTreeSet::new();
    if log {
        of_log = left.iter().filter_map(|name| Some(name.strip_prefix("log/")?.to_owned())).collect();
        left.retain(|name| !name.starts_with("log/"));
    }
    let lone = |name: &String| name.starts_with("results/") && name.ends_with(".json");
    files.wrong.extend(left.iter().filter(|name| lone(name)).map(|name| format!("{name}: its receipt is missing")));
    left.retain(|name| !lone(name));
    files.not_looked_at.extend(left);
    if log {
        of_the_log(given, known, of_log, &mut files);
    }
    files
}

/// A receipt found to hold.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) statement: Statement,
    pub(super) index: u64,
    pub(super) entry: Vec<u8>,
    /// Checkpoint under which the receipt was proven.
    pub(super) note: Note,
}

fn of_the_log(given: &Given, known: &Known<'_>, names: BTreeSet<String>, files: &mut Files) {
    let (mut fetch, all) = (given.log(), names.len() as u64);
    let text = fetch("checkpoint").map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match text.and_then(|text| Ok((Note::parse(&text)?, text))) {
        Ok((note, text)) => {
            if note.to_text() != text {
                files.wrong.push("log/checkpoint: is not encoded as it was signed".into());
            }
            signatures(&note, "log/checkpoint", known, files);
        }
        Err(e) => files.wrong.push(format!("log/checkpoint: {e}")),
    }
    match fsck_of(&Verifier::log(&known.owner), names, &mut *fetch) {
        Ok(report) => {
            let within = |what: String| format!("log/{what}");
            files.verified += all.saturating_sub((report.findings.len() + report.not_looked_at.len()) as u64);
            files.wrong.extend(report.findings.into_iter().map(within));
            files.not_looked_at.extend(report.not_looked_at.into_iter().map(within));
        }
        Err(e) => files.wrong.push(format!("log/checkpoint: {e}")),
    }
}

/// Checks the signatures on a checkpoint beside the log's own, which was checked before.
///
/// Signatures of known witnesses must hold; the others are named as not looked at.
fn signatures(note: &Note, file: &str, known: &Known<'_>, files: &mut Files) {
    let log = Verifier::log(&known.owner);
    let (mut own, id) = (0, log.id());
    for signature in &note.signatures {
        if signature.name == log.name && signature.id == id {
            own += 1;
            if own > 1 {
                files.wrong.push(format!("{file}: has several signatures of the log"));
            }
            continue;
        }
        let is = |one: &&Verifier| one.kind == Kind::Cosigner && one.name == signature.name && one.id() == signature.id;
        match known.witnesses.iter().find(is) {
            Some(witness) => {
                if let Err(e) = cosignature::check(witness, signature, &note.text) {
                    files.wrong.push(format!("{file}: {e}"));
                }
            }
            None => files
                .not_looked_at
                .push(format!("{file}: the signature named {}: give its verifier key (--witness)", signature.name)),
        }
    }
}

/// Checks whether a countersignature is of this receipt and by its buyer.
///
/// Returns false if the log hides who the buyer is.
fn countersigned(bytes: &[u8], held: &Held, known: &Known<'_>) -> Result<bool, String> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if envelope.to_canonical().map_err(|e| e.to_string())? != bytes {
        return Err("is not encoded as it was signed".into());
    }
    let word = Signed::<Countersignature>::open(envelope).map_err(|e| e.to_string())?;
    let body = word.body();
    if (body.outcome, body.receipt) != (held.index, Sha256Digest::of(&held.entry)) {
        return Err("is for another receipt".into());
    }
    let Predicate::Outcome { facts, .. } = &held.statement.predicate else { return Err("is not for a result".into()) };
    match facts.buyer.peer().or_else(|| known.opened.get(&facts.buyer).copied()) {
        None => Ok(false),
        Some(buyer) if buyer == word.signer() => Ok(true),
        Some(_) => Err("is not signed by the buyer".into()),
    }
}
