//! What witnesses tell each other: forks are seen, what is of one history is forgotten, and nobody fills the memory.

use crate::common::{SUMS, begun, owner, soon};
use tidegate_audit::note::{Note, NoteSignature, Verifier};
use tidegate_ledger::{
    Store, from_folder,
    observed::{Heard, Told},
    witness::{AddCheckpoint, Witness},
};
use tidegate_protocol::{Identity, receipt::Predicate};

fn grown(store: &Store, by: usize, mark: u32) -> Note {
    for i in 0..by {
        store.record("it", SUMS, Predicate::Revocation { grant: format!("{mark:04}{i:04}") }).unwrap();
    }
    store.checkpoint().unwrap()
}

fn log() -> Verifier {
    Verifier::log(&owner().id())
}

#[test]
fn heads_of_one_history_settle_and_others_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (begun(&dir.path().join("one")), begun(&dir.path().join("other")));
    let (short, fork) = (grown(&one, 3, 1), grown(&other, 3, 2));
    let heard = Heard::default();
    let text = |note: &Note| note.to_text();
    assert_eq!(heard.hear(&log(), &text(&short), None).unwrap(), Told::New);
    assert_eq!(heard.hear(&log(), &text(&short), None).unwrap(), Told::Known);
    // Of the same size, against what was heard and against what was seen.
    let shows = |told: Told| if let Told::Fork(evidence) = told { evidence.check().is_ok() } else { false };
    assert!(shows(heard.hear(&log(), &text(&fork), None).unwrap()));
    assert!(shows(Heard::default().hear(&log(), &text(&fork), Some(&short)).unwrap()));
    // Of other sizes the tiles tell.
    let long = grown(&one, 300, 3);
    let mut tiles = from_folder(one.log_folder());
    assert_eq!(heard.settle(&log(), &long, &mut tiles), None);
    let forked = Heard::default();
    forked.hear(&log(), &text(&fork), None).unwrap();
    assert!(forked.settle(&log(), &long, &mut |_| Err(tidegate_audit::note::BadNote("no tile".into()))).is_none());
    let evidence = forked.settle(&log(), &long, &mut tiles).unwrap();
    assert!(evidence.check().is_ok() && evidence.prefix.is_some());
    // What settled is forgotten: it comes as new again. What is longer than what was seen waits.
    assert_eq!(heard.hear(&log(), &text(&short), Some(&long)).unwrap(), Told::New);
    let longer = grown(&one, 1, 4);
    assert_eq!(heard.hear(&log(), &text(&longer), Some(&long)).unwrap(), Told::New);
    assert_eq!(heard.settle(&log(), &long, &mut tiles), None);
    assert_eq!(heard.hear(&log(), &text(&longer), Some(&long)).unwrap(), Told::Known);
    // Who is not the log has nothing to say.
    for wrong in
        [text(&long).replace("did:key", "did:kez"), text(&long).replacen("305", "306", 1), String::new(), "x".repeat(9000)]
    {
        assert!(heard.hear(&log(), &wrong, None).is_err());
    }
}

#[test]
fn cosignatures_are_gathered_and_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = begun(&dir.path().join("one"));
    let heard = Heard::default();
    let note = grown(&store, 1, 1);
    let cosigned = |seed: u8| {
        let folder = dir.path().join(format!("w{seed}"));
        let witness = Witness::open(&folder, &Identity::from_seed([seed; 32]), vec![log()]).unwrap();
        witness.add(&AddCheckpoint { old: 0, proof: vec![], note: note.clone() }.to_body(), soon()).unwrap();
        witness.last(&log().name).unwrap()
    };
    let own = cosigned(20);
    for seed in 21..60 {
        heard.hear(&log(), &cosigned(seed).to_text(), Some(&own)).unwrap();
    }
    let all = heard.with_cosignatures(&log().name, own.clone());
    assert!(all.signatures.len() > own.signatures.len() && all.signatures.len() <= 16, "{}", all.signatures.len());
    assert!(all.signatures.starts_with(&own.signatures));
    // However many others have signed before it, the log's signature stays: a head that was heard so still shows a fork.
    let crowded = grown(&store, 1, 50);
    let junk = (0..20).map(|i| NoteSignature { name: format!("n{i}"), ..own.signatures[0].clone() });
    let crowd = Note { signatures: junk.chain(crowded.signatures.clone()).collect(), ..crowded.clone() };
    let alone = Heard::default();
    assert_eq!(alone.hear(&log(), &crowd.to_text(), None).unwrap(), Told::New);
    let other = begun(&dir.path().join("other"));
    let told = alone.hear(&log(), &grown(&other, 2, 60).to_text(), None).unwrap();
    assert!(matches!(told, Told::Fork(evidence) if evidence.check().is_ok()));
    // An owner who signs head after head: those that can be held against what was seen stay.
    for i in 0..100 {
        heard.hear(&log(), &grown(&store, 1, 100 + i).to_text(), None).unwrap();
    }
    assert_eq!(heard.hear(&log(), &own.to_text(), None).unwrap(), Told::Known, "it was pushed away");
    assert_eq!(heard.hear(&log(), &store.checkpoint().unwrap().to_text(), None).unwrap(), Told::New, "it was kept");
}
