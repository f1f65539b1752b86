//! The log's folder: every file of it is looked at, parts make way for the whole, and an older or another history is never taken up.

use std::path::Path;

use crate::common::{GRANT, SUMS, ask, audited, begun, owner, population};
use tidegate_audit::{
    evidence::Evidence,
    log::{
        fsck::fsck,
        prefix::{Prefix, compare, prefix},
    },
    note::{Note, Verifier, open_checkpoint},
};
use tidegate_ledger::{Store, StoreError, from_folder};
use tidegate_protocol::{Sha256Digest, receipt::Predicate};

fn log() -> Verifier {
    Verifier::log(&owner().id())
}

/// A store with `jobs` finished jobs more.
fn filled(folder: &Path, from: u32, jobs: u32) -> Store {
    let store = if from == 0 { begun(folder) } else { Store::open(folder, owner()).unwrap() };
    for i in from..from + jobs {
        let reservation = store.reserve(ask(i, 1)).unwrap().unwrap();
        store.finish(reservation, format!("result {i}"), SUMS).unwrap();
        if i % 40 == 0 {
            store.export().unwrap();
        }
    }
    store.export().unwrap();
    store
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn fsck_finds_any_file_that_is_altered_cut_or_missing_and_the_ledger_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 0, 150);
    let folder = store.log_folder();
    let look = || fsck(&log(), &mut from_folder(folder.clone()));
    let whole = look().unwrap();
    assert_eq!((whole.entries, whole.findings), (302, Vec::<String>::new()));
    // One full tile of leaves, one part of another, and one of their roots.
    assert_eq!(whole.tiles, 3);
    // Parts of what is full now were deleted; those of what is not are still good for whoever holds an older checkpoint.
    let all = files(&folder);
    let named: Vec<_> = all.iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string()).collect();
    assert!(
        named.iter().any(|name| name == "tile/entries/000") && !named.iter().any(|name| name.starts_with("tile/entries/000.p"))
    );
    for path in ["checkpoint", "tile/entries/000", "tile/entries/001.p/46", "tile/0/000", "tile/0/001.p/46", "tile/1/000.p/1"] {
        let file = folder.join(path);
        let good = std::fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [Some(flipped), Some(good[..good.len() - 1].to_vec()), Some(vec![]), None] {
            match &bad {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            assert!(look().is_err() || !look().unwrap().findings.is_empty(), "{path} {:?}", bad.map(|b| b.len()));
            store.export_again().unwrap();
            assert_eq!(look().unwrap().findings, Vec::<String>::new(), "{path} was mended");
        }
        assert!(std::fs::read(&file).unwrap() == good || path == "checkpoint");
    }
}

#[test]
fn a_reader_takes_the_whole_where_the_part_that_its_checkpoint_names_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = filled(dir.path(), 0, 100).log_folder();
    let older = std::fs::read(folder.join("checkpoint")).unwrap();
    assert_eq!(open_checkpoint(std::str::from_utf8(&older).unwrap(), &owner().id()).unwrap().size, 202);
    filled(dir.path(), 100, 50);
    assert!(!folder.join("tile/entries/000.p").exists());
    std::fs::write(folder.join("checkpoint"), older).unwrap();
    let report = audited(folder).unwrap();
    assert_eq!((report.entries, report.findings), (202, vec![]));
}

/// A backup is put back: the ledger forgets what was spent since, and would let it be spent again.
#[test]
fn a_ledger_older_than_what_was_published_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 0, 3));
    let (ledger, backup) = (dir.path().join("ledger.redb"), dir.path().join("backup"));
    std::fs::copy(&ledger, &backup).unwrap();
    drop(filled(dir.path(), 3, 3));
    std::fs::copy(&backup, &ledger).unwrap();
    let error = Store::open(dir.path(), owner()).unwrap_err();
    assert!(matches!(error, StoreError::Behind { seen: 14, here: 8 }), "{error}");
    // Going on with it as if nothing were would be another history, which is told from the one that was published.
    let published = std::fs::read_to_string(dir.path().join("log/checkpoint")).unwrap();
    std::fs::remove_file(dir.path().join("log/checkpoint")).unwrap();
    drop(filled(dir.path(), 7, 4));
    std::fs::write(dir.path().join("log/checkpoint"), published).unwrap();
    let error = Store::open(dir.path(), owner()).unwrap_err();
    assert!(matches!(error, StoreError::Forked { size: 14 }), "{error}");
}

#[test]
fn heads_of_one_history_and_of_two_are_told_apart_by_what_the_tiles_prove() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let read = |dir: &Path| std::fs::read_to_string(dir.join("log/checkpoint")).unwrap();
    drop(filled(one.path(), 0, 70));
    let old = read(one.path());
    drop(filled(one.path(), 70, 80));
    let new = read(one.path());
    drop(filled(other.path(), 5000, 0));
    drop(begun(other.path()));
    drop(filled(other.path(), 1000, 150));
    let forked = read(other.path());
    let head = |text: &str| open_checkpoint(text, &owner().id()).unwrap();
    let note = |text: &str| Note::parse(text).unwrap();
    let under = |dir: &Path, text: &str, size| prefix(&head(text), size, &mut from_folder(dir.join("log"))).unwrap();
    let size = head(&old).size;

    let (root, proof) = under(one.path(), &new, size);
    assert_eq!(compare(&head(&old), &head(&new), root, &proof), Ok(Prefix::Holds));
    let same = Evidence::of(&log(), &note(&new), &note(&old)).unwrap().with((root, proof));
    assert!(same.check().is_err(), "one history is no fork");

    let (root, proof) = under(other.path(), &forked, size);
    assert_eq!(compare(&head(&old), &head(&forked), root, &proof), Ok(Prefix::Forked(root)));
    let evidence = Evidence::of(&log(), &note(&old), &note(&forked)).unwrap();
    assert!(evidence.check().is_err(), "sizes differ, and nothing is proven yet");
    let evidence = evidence.with((root, proof.clone()));
    assert_eq!(evidence.check().unwrap().0.size, size);
    // What others can hold against a log must not be made up: any other root or proof shows nothing.
    let mut other_root = root;
    other_root.0[0] ^= 1;
    assert!(evidence.clone().with((other_root, proof.clone())).check().is_err());
    for i in 0..proof.len() {
        let mut bad = proof.clone();
        bad[i].0[31] ^= 1;
        assert!(evidence.clone().with((root, bad)).check().is_err(), "hash {i}");
    }
    assert!(evidence.with((root, proof[1..].to_vec())).check().is_err());

    // Of one size, the two signatures alone are enough.
    let size = head(&forked).size;
    assert_eq!(head(&new).size, size);
    let evidence = Evidence::of(&log(), &note(&new), &note(&forked)).unwrap();
    evidence.check().unwrap();
    assert!(Evidence::of(&log(), &note(&new), &note(&new)).unwrap().check().is_err());
    let stranger = Verifier::log(&tidegate_protocol::Identity::from_seed([9; 32]).id());
    assert!(Evidence::of(&stranger, &note(&new), &note(&forked)).is_err());
}

/// What the copy has more is charged, closed and kept revoked; another history is not taken.
#[test]
fn what_the_ledger_lost_comes_back_from_a_copy_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 0, 3);
    drop(store);
    let (ledger, backup) = (dir.path().join("ledger.redb"), dir.path().join("backup"));
    std::fs::copy(&ledger, &backup).unwrap();
    let store = filled(dir.path(), 3, 2);
    let revocation = Predicate::Revocation { grant: "cc".into() };
    let lost = store.reserve(ask(50, 7)).unwrap().unwrap();
    drop(lost);
    store.record("grant", Sha256Digest([0; 32]), revocation).unwrap();
    let (spent, size) = (store.spent(&population(), None).unwrap(), store.size().unwrap());
    drop(store);
    std::fs::copy(&backup, &ledger).unwrap();
    assert!(matches!(Store::open(dir.path(), owner()), Err(StoreError::Behind { .. })));
    let (store, restored) = Store::restore(dir.path(), owner(), &mut from_folder(dir.path().join("log"))).unwrap();
    assert_eq!((restored.entries, restored.closed), (size - 8, 1));
    assert_eq!(store.spent(&population(), None).unwrap(), spent);
    let ids = [GRANT.to_owned(), "cc".to_owned()];
    assert_eq!(store.standing(&ids).unwrap(), tidegate_ledger::store::Standing::Revoked);
    let report = audited(store.log_folder()).unwrap();
    assert_eq!((report.findings, report.spent_not_released, report.open), (vec![], 1, vec![]));
    drop(store);
    // It goes on from there as if nothing had been.
    drop(filled(dir.path(), 60, 1));
    let other = tempfile::tempdir().unwrap();
    drop(filled(other.path(), 0, 0));
    drop(filled(other.path(), 700, 9));
    let refused = Store::restore(dir.path(), owner(), &mut from_folder(other.path().join("log")));
    assert!(refused.unwrap_err().to_string().contains("forked"));
}
