//! Vectors of every format, made from fixed keys and times: `fixtures/vectors` holds them, and what is made now is the same, byte for byte.
//! `UPDATE_VECTORS=1` writes them anew.

use std::path::{Path, PathBuf};

use crate::common::{SUMS, ask, audited, begun, owner, soon};
use tidegate_audit::{
    evidence::Evidence,
    log::prefix::prefix,
    note::{Note, Quorum, Verifier, check_proof, key::cosigner, open_checkpoint, vkey},
};
use tidegate_ledger::{
    from_folder,
    witness::{AddCheckpoint, Witness},
};
use tidegate_protocol::Identity;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors")
}

fn files(folder: &Path, at: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder.join(at)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{at}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() { files(folder, &format!("{name}/"), found) } else { found.push(name) }
    }
}

/// Everything that is in the folder, but for what says how it was made.
fn make(target: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(&dir.path().join("owner"));
    let party = Identity::from_seed([7; 32]);
    let witness = Witness::open(&dir.path().join("witness"), &party, vec![Verifier::log(&owner().id())]).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = target.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let first = AddCheckpoint { old: 0, proof: vec![], note: store.checkpoint().unwrap() };
    let line = witness.add(&first.to_body(), soon()).unwrap();
    store.cosigned(first.note, vec![line]).unwrap();
    for i in 0..3 {
        let reservation = store.reserve(ask(i, 10)).unwrap().unwrap();
        let result = format!("{{\"result\":{i}}}");
        if i < 2 {
            let record = store.finish(reservation, result.clone(), SUMS).unwrap();
            store.export().unwrap();
            let tidegate_ledger::State::Done { outcome, .. } = record.state else { panic!("no result") };
            let (envelope, proof) = store.prove(outcome).unwrap();
            write(&format!("receipts/job{i}.dsse.json"), &envelope.to_canonical().unwrap());
            write(&format!("receipts/job{i}.tlog-proof"), proof.as_bytes());
            write(&format!("results/job{i}.json"), result.as_bytes());
        } else {
            store.close(reservation).unwrap();
        }
    }
    let size = store.size().unwrap();
    let last = AddCheckpoint { old: 2, proof: store.consistency(2, size).unwrap(), note: store.checkpoint().unwrap() };
    write("add-checkpoint.txt", last.to_body().as_bytes());
    let line = witness.add(&last.to_body(), soon()).unwrap();
    write("cosignature.txt", line.line().as_bytes());
    store.cosigned(last.note.clone(), vec![line]).unwrap();
    let mut names = Vec::new();
    files(&store.log_folder(), "", &mut names);
    for name in names {
        write(&format!("log/{name}"), &std::fs::read(store.log_folder().join(&name)).unwrap());
    }
    write("owner.vkey", vkey(&owner().id()).as_bytes());
    write("witness.vkey", cosigner(&party).0.vkey().as_bytes());
    let fork = begun(&dir.path().join("fork"));
    for i in 10..15 {
        let reservation = fork.reserve(ask(i, 10)).unwrap().unwrap();
        fork.finish(reservation, "other".into(), SUMS).unwrap();
    }
    fork.export().unwrap();
    let other = fork.checkpoint().unwrap();
    let head = open_checkpoint(&other.to_text(), &owner().id()).unwrap();
    let shown = prefix(&head, size, &mut from_folder(fork.log_folder())).unwrap();
    let evidence = Evidence::of(&Verifier::log(&owner().id()), &last.note, &other).unwrap().with(shown);
    write("evidence.json", serde_json::to_string_pretty(&evidence).unwrap().as_bytes());
}

#[test]
fn vectors_are_made_again_byte_for_byte() {
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    let (mut names, mut kept) = (Vec::new(), Vec::new());
    files(made.path(), "", &mut names);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        for name in &names {
            let target = folder().join(name);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(made.path().join(name), target).unwrap();
        }
    }
    files(&folder(), "", &mut kept);
    kept.retain(|name| name != "README.md");
    names.sort();
    kept.sort();
    assert_eq!(names, kept);
    for name in names {
        let (made, kept) = (std::fs::read(made.path().join(&name)).unwrap(), std::fs::read(folder().join(&name)).unwrap());
        assert_eq!(String::from_utf8_lossy(&made), String::from_utf8_lossy(&kept), "{name}");
    }
}

#[test]
fn vectors_hold() {
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    let report = audited(folder().join("log")).unwrap();
    assert_eq!((report.findings, report.outcomes, report.spent_not_released), (vec![], 2, 1));
    let witness = Verifier::parse(&read("witness.vkey")).unwrap();
    let quorum = Quorum::of(vec![witness], 1).unwrap();
    quorum.check(&Note::parse(&read("log/checkpoint")).unwrap(), soon()).unwrap();
    for name in ["job0", "job1"] {
        let entry = read(&format!("receipts/{name}.dsse.json"));
        check_proof(&read(&format!("receipts/{name}.tlog-proof")), entry.as_bytes(), &owner().id()).unwrap();
    }
    let request = AddCheckpoint::parse(&read("add-checkpoint.txt")).unwrap();
    assert_eq!(request.to_body(), read("add-checkpoint.txt"));
    serde_json::from_str::<Evidence>(&read("evidence.json")).unwrap().check().unwrap();
}
