//! A witness cosigns what goes on from what it saw, once it is durable, and nothing else; forks it keeps in a form that convinces others.

use std::path::Path;

use crate::common::{SUMS, ask, begun, owner, soon};
use tidegate_audit::note::{Note, Quorum, Verifier, key::cosigner};
use tidegate_ledger::{
    Store, from_folder,
    witness::{AddCheckpoint, NotCosigned, Witness},
};
use tidegate_protocol::Identity;

fn party() -> Identity {
    Identity::from_seed([7; 32])
}

fn witness(dir: &Path) -> Witness {
    Witness::open(&dir.join("witness"), &party(), vec![Verifier::log(&owner().id())]).unwrap()
}

fn more(store: &Store, from: u32, jobs: u32) {
    for i in from..from + jobs {
        let reservation = store.reserve(ask(i, 1)).unwrap().unwrap();
        store.finish(reservation, format!("result {i}"), SUMS).unwrap();
    }
    store.export().unwrap();
}

fn request(store: &Store, old: u64) -> AddCheckpoint {
    let note = store.checkpoint().unwrap();
    AddCheckpoint { old, proof: store.consistency(old, store.size().unwrap()).unwrap(), note }
}

#[test]
fn each_checkpoint_that_goes_on_is_cosigned_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(&dir.path().join("owner"));
    let quorum = Quorum::of(vec![cosigner(&party()).0], 1).unwrap();
    let mut old = 0;
    for round in 0..4 {
        more(&store, round * 20, round * 7);
        let asked = request(&store, old);
        assert_eq!(AddCheckpoint::parse(&asked.to_body()).unwrap(), asked);
        // Opened anew each time: what it saw lies on disk.
        let witness = witness(dir.path());
        let line = witness.add(&asked.to_body(), soon()).unwrap();
        let note = Note { signatures: vec![line.clone()], ..asked.note.clone() };
        assert_eq!(quorum.check(&note, soon()).unwrap()[0].time, soon());
        // The same again is cosigned again.
        old = store.size().unwrap();
        witness.add(&request(&store, old).to_body(), soon()).unwrap();
        store.cosigned(asked.note, vec![line]).unwrap();
        let published = std::fs::read_to_string(store.log_folder().join("checkpoint")).unwrap();
        quorum.check(&Note::parse(&published).unwrap(), soon()).unwrap();
    }
    // A proof of an entry bears the cosignature, and what is appended later does not take it away.
    let last = store.size().unwrap() - 1;
    more(&store, 500, 1);
    let (envelope, proof) = store.prove(last).unwrap();
    let proven = tidegate_audit::note::check_proof(&proof, &envelope.to_canonical().unwrap(), &owner().id()).unwrap();
    assert_eq!(proven.index, last);
    quorum.check(&proven.note, soon()).unwrap();
}

/// Witnesses that answer at different times: what each has said of a checkpoint stays, on disk and in proofs.
#[test]
fn cosignatures_of_one_checkpoint_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(&dir.path().join("owner"));
    let parties = [7, 8, 9].map(|seed| cosigner(&Identity::from_seed([seed; 32])));
    let note = store.checkpoint().unwrap();
    for (party, key) in &parties {
        // The first one twice: it still counts once.
        let line = tidegate_audit::note::cosign(party, key, &note.text, soon());
        store.cosigned(note.clone(), vec![line.clone()]).unwrap();
        store.cosigned(note.clone(), vec![line]).unwrap();
    }
    let quorum = Quorum::of(parties.iter().map(|(party, _)| party.clone()).collect(), 3).unwrap();
    let published = Note::parse(&std::fs::read_to_string(store.log_folder().join("checkpoint")).unwrap()).unwrap();
    assert_eq!(published.signatures.len(), 4);
    quorum.check(&published, soon()).unwrap();
    quorum.check(&store.last_cosigned().unwrap().unwrap().1, soon()).unwrap();
    // A new checkpoint begins anew; what comes late for the old one takes nothing from it.
    more(&store, 0, 1);
    let newer = store.checkpoint().unwrap();
    let (party, key) = &parties[0];
    let late = tidegate_audit::note::cosign(party, key, &note.text, soon());
    store.cosigned(newer.clone(), vec![tidegate_audit::note::cosign(party, key, &newer.text, soon())]).unwrap();
    store.cosigned(note, vec![late]).unwrap();
    assert_eq!(store.last_cosigned().unwrap().unwrap().1.text, newer.text);
}

#[test]
fn what_tlog_witness_refuses_is_refused_by_its_status() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(&dir.path().join("owner"));
    let witness = witness(dir.path());
    let status = |body: &str| witness.add(body, soon()).map_err(|e| (e.status(), e.size()));
    let good = request(&store, 0);
    let stranger = begun(&dir.path().join("same-owner"));
    drop(stranger);
    let unknown = tidegate_audit::note::sign_checkpoint(&Identity::from_seed([9; 32]), 1, &tlog_tiles::Hash([1; 32]));
    let unsigned = good.note.to_text().replacen("\n2\n", "\n3\n", 1);
    for (body, expected) in [
        (String::new(), 400),
        ("old 0\n".into(), 400),
        ("old -1\n\nx".into(), 400),
        ("old 00\n\n".to_owned() + &good.note.to_text(), 400),
        ("old 3\n\n".to_owned() + &good.note.to_text(), 400),
        ("old 0\nnot base64\n\n".to_owned() + &good.note.to_text(), 400),
        ("x".repeat(100_000), 400),
        (format!("old 0\n\n{unknown}"), 404),
        (format!("old 0\n\n{unsigned}"), 403),
        ("old 1\n\n".to_owned() + &good.note.to_text(), 409),
        (AddCheckpoint { proof: vec![tlog_tiles::Hash([0; 32])], ..good.clone() }.to_body(), 422),
    ] {
        assert_eq!(status(&body).unwrap_err().0, expected, "{}", body.chars().take(60).collect::<String>());
    }
    assert!(witness.last(&Verifier::log(&owner().id()).name).is_none(), "nothing of that was taken");
    witness.add(&good.to_body(), soon()).unwrap();
    more(&store, 0, 3);
    assert_eq!(status(&request(&store, 0).to_body()), Err((409, Some(2))), "it says what it holds");
    let mut bad = request(&store, 2);
    bad.proof[0].0[5] ^= 1;
    assert_eq!(status(&bad.to_body()), Err((422, None)));
    witness.add(&request(&store, 2).to_body(), soon()).unwrap();
    assert_eq!(status(&good.to_body()), Err((409, Some(8))), "an older one is no news");
    assert!(Witness::open(dir.path(), &owner(), vec![Verifier::log(&owner().id())]).is_err(), "a log cannot be its own witness");
}

#[test]
fn a_fork_is_refused_and_what_shows_it_is_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (begun(&dir.path().join("one")), begun(&dir.path().join("other")));
    let witness = witness(dir.path());
    more(&one, 0, 5);
    more(&other, 100, 5);
    witness.add(&request(&one, 0).to_body(), soon()).unwrap();
    // Of one size, whatever size it says to go on from.
    for old in [0, 2, 12] {
        let proof = if old == 12 { vec![] } else { other.consistency(old, 12).unwrap() };
        let asked = AddCheckpoint { old, proof, note: other.checkpoint().unwrap() };
        let NotCosigned::Forked(fork) = witness.add(&asked.to_body(), soon()).unwrap_err() else { panic!("cosigned {old}") };
        fork.evidence.check().unwrap();
    }
    // Of more entries: no proof can lead there, and the log's own tiles show that it is a fork.
    more(&other, 200, 4);
    let mut asked = request(&other, 12);
    assert_eq!(witness.add(&asked.to_body(), soon()).unwrap_err().status(), 422);
    asked.proof = vec![];
    assert_eq!(witness.add(&asked.to_body(), soon()).unwrap_err().status(), 422);
    let fetched = witness.meet(asked.note, &mut from_folder(other.log_folder()), soon());
    let NotCosigned::Forked(fork) = fetched.unwrap_err() else { panic!("cosigned") };
    fork.evidence.check().unwrap();
    // It stays with the history that it saw.
    more(&one, 300, 2);
    witness.meet(one.checkpoint().unwrap(), &mut from_folder(one.log_folder()), soon()).unwrap();
}
