//! What an auditor is handed is verified to its last byte, or named as not looked at: nothing of a folder can be changed unnoticed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::common::{World, text};
use serde_json::Value;
use tidegate_audit::{
    log::Frontier,
    note::{Note, Quorum, Verifier, cosign, key::cosigner, sign_checkpoint},
};
use tidegate_node::{
    auditor::{Ask, Outcome, audit_folder},
    home::Home,
};
use tidegate_protocol::Identity;

/// Changes that are tried, of one byte or of a length: of an auditor who has seen nothing, and of one who has verified all of it before.
const ROUNDS: [usize; 2] = [250, 100];

/// A buyer's folder with the owner's log as it is served, stale parts of tiles and all; a witness's cosignature on the checkpoint and in the proof; and the witness.
fn folder(world: &World) -> (PathBuf, Verifier) {
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("out"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out, "--countersign"]);
    world.ok("buyer", &args);
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &out]);
    drop(node);
    let served = world.path("owner/log");
    for name in tidegate_node::auditor::bundle::files_of(&served) {
        let target = world.path("out/log").join(&name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(served.join(&name), target).unwrap();
    }
    let (witness, key) = cosigner(&Identity::from_seed([9; 32]));
    for (name, start) in [("log/checkpoint", 0), ("receipts/count.tlog-proof", 1)] {
        let path = world.path("out").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, note) = if start == 0 { ("", text.as_str()) } else { text.split_once("\n\n").unwrap() };
        let mut note = Note::parse(note).unwrap();
        note.signatures.push(cosign(&witness, &key, &note.text, SystemTime::now()));
        let head = if start == 0 { String::new() } else { format!("{head}\n\n") };
        std::fs::write(&path, head + &note.to_text()).unwrap();
    }
    (world.path("out"), witness)
}

fn audited(folder: &Path, witness: &Verifier, home: Option<&Home>) -> Result<Outcome, String> {
    let quorum = Quorum::of(vec![witness.clone()], 1).unwrap();
    let ask = Ask { home, quorum, opened: BTreeMap::new(), fresh: None, progress: &mut |_, _| {} };
    audit_folder(folder, ask).map_err(|e| e.to_string())
}

/// Whether an audit fails, or says of this file that it was not looked at.
fn noticed(outcome: &Result<Outcome, String>, file: &str) -> bool {
    let Ok(outcome) = outcome else { return true };
    let named = |files: &tidegate_node::auditor::Files| files.not_looked_at.iter().any(|one| one.starts_with(file));
    !outcome.is_sound() || outcome.files.as_ref().is_some_and(named)
}

/// Numbers that are the same in every run (xorshift64*, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % most.max(1)
    }
}

#[test]
fn no_byte_of_what_an_auditor_is_handed_can_be_changed_unnoticed() {
    let world = World::new();
    let (folder, witness) = folder(&world);
    // Once by somebody who has seen nothing, once by somebody who has verified all of it before.
    let known = Home::at(world.path("auditor"));
    known.init().unwrap();
    for (home, rounds) in [None, Some(&known)].into_iter().zip(ROUNDS) {
        let good = audited(&folder, &witness, home).unwrap();
        let files = good.files.clone().unwrap();
        assert!(good.is_sound() && good.receipts == 1 && files.not_looked_at.is_empty(), "{files:?}");
        let names: Vec<String> = tidegate_node::auditor::bundle::files_of(&folder).into_iter().collect();
        assert_eq!(files.verified, names.len() as u64, "{names:?}");
        assert!(names.iter().filter(|name| name.contains("tile/0/000.p/")).count() > 2, "no stale part: {names:?}");
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..rounds {
            let name = &names[numbers.below(names.len())];
            let path = folder.join(name);
            let good = std::fs::read(&path).unwrap();
            let mut bad = good.clone();
            match numbers.below(8) {
                0 => bad.truncate(numbers.below(good.len())),
                1 => bad.push(b"\n \0x"[numbers.below(4)]),
                _ => bad[numbers.below(good.len())] ^= 1 << numbers.below(8),
            }
            // The key alone may end with a line break: `tidegate log key` prints one.
            if name == "owner.vkey" && bad.strip_suffix(b"\n") == Some(&good) {
                continue;
            }
            std::fs::write(&path, &bad).unwrap();
            let outcome = audited(&folder, &witness, home);
            let at = good.iter().zip(&bad).position(|(a, b)| a != b);
            assert!(noticed(&outcome, name), "round {round}: {name}, {} to {} bytes, at {at:?}", good.len(), bad.len());
            std::fs::write(&path, &good).unwrap();
        }
        // A file less: those that nobody needs may go, as C2SP allows of parts of tiles.
        let size = audited(&folder, &witness, home).unwrap().report.entries;
        let may_go = |name: &str| {
            let stale =
                name.rsplit_once(".p/").is_some_and(|(tile, width)| !tile.contains("tile/1") && width != size.to_string());
            stale || name.ends_with(".countersignature.json")
        };
        for name in names.iter().filter(|name| !may_go(name)) {
            let path = folder.join(name);
            std::fs::rename(&path, world.path("aside")).unwrap();
            let outcome = audited(&folder, &witness, home);
            let gone = name == "receipts/count.dsse.json" || noticed(&outcome, name);
            assert!(gone && !outcome.is_ok_and(|outcome| outcome.is_sound()), "without {name}");
            std::fs::rename(world.path("aside"), &path).unwrap();
        }
        // A file more.
        for name in
            ["results/more.json", "results/more.txt", "receipts/more.tlog-proof", "log/key", "log/tile/0/000.p/99", "more"]
        {
            std::fs::write(folder.join(name), "more").unwrap();
            assert!(noticed(&audited(&folder, &witness, home), name), "with {name}");
            std::fs::remove_file(folder.join(name)).unwrap();
        }
        assert!(audited(&folder, &witness, home).unwrap().is_sound());
    }
}

#[test]
fn what_was_audited_before_is_read_again_where_it_lies_in_a_folder() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant, copy) = (world.count_job(), world.text("grant"), world.text("copy"));
    let run = || drop(world.ok("buyer", &world.run_args(&job, &node.address, &grant)));
    run();
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &copy]);
    run();
    world.audit(&node.address);
    // A genuine older copy is no cut log.
    let older: Value = serde_json::from_str(&world.ok("buyer", &["audit", &copy, "--json"])).unwrap();
    let size = older["entries"].as_u64().unwrap();
    assert_eq!(
        (older["older"]["the_same"].as_u64(), older["older"]["verified"].as_u64()),
        (Some(size), Some(size + 2)),
        "{older}"
    );
    assert!(world.ok("buyer", &["audit", &copy]).contains("an older copy"));
    // What was verified before goes on being known.
    assert_eq!(world.audit(&node.address)["known"], size + 2);
    // Another history of as many entries, which the owner signed too, is one that the auditor has not seen.
    let bundle = world.path(&format!("copy/log/tile/entries/000.p/{size}"));
    let good = std::fs::read(&bundle).unwrap();
    let mut entries: Vec<Vec<u8>> = vec![];
    let mut rest = good.as_slice();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (entry, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = tail;
    }
    let last = entries.len() - 1;
    entries[last] = entries[last - 1].clone();
    let mut frontier = Frontier::default();
    entries.iter().for_each(|entry| frontier.push(entry));
    let framed = |entry: &Vec<u8>| [&(entry.len() as u16).to_be_bytes()[..], entry].concat();
    let checkpoint = world.path("copy/log/checkpoint");
    let signed = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&bundle, entries.iter().flat_map(framed).collect::<Vec<_>>()).unwrap();
    let owner = Home::at(world.path("owner")).identity().unwrap();
    std::fs::write(&checkpoint, sign_checkpoint(&owner, size, &frontier.root())).unwrap();
    assert!(world.fails("buyer", &["audit", &copy]).contains("forked"));
    std::fs::write(&checkpoint, signed).unwrap();
    std::fs::write(&bundle, good).unwrap();
    // The log as it is now, with an entry rewritten that was verified before.
    let whole = world.text("whole");
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &whole]);
    world.ok("buyer", &["audit", &whole]);
    let bundle = world.path(&format!("whole/log/tile/entries/000.p/{}", size + 2));
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    world.fails("buyer", &["audit", &whole]);
}

#[test]
fn an_audit_says_first_whether_it_holds_and_of_nothing_it_says_nothing() {
    let world = World::new();
    for alone in [&["--json"][..], &["--anew"], &["--fresh", "1h"], &["--keep", "x"]] {
        let output = world.try_run("buyer", &[&["audit"], alone].concat());
        assert_eq!(output.status.code(), Some(2), "{alone:?}: {}", text(&output));
        assert!(text(&output).contains("--peer"), "{}", text(&output));
    }
    let owner = world.ok("owner", &["id"]);
    assert_eq!(world.try_run("buyer", &["audit", "--owner", owner.trim()]).status.code(), Some(2));
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("only"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    world.ok("buyer", &args);
    let said = world.ok("buyer", &["audit", "--peer", &node.address]);
    assert!(said.starts_with("OK"), "{said}");
    for word in ["jobs, copies and replays from 20", "towns (population", "spent ρ = 0.1 of ρ = 1"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // What a run left alone, without the log.
    let said = world.ok("buyer", &["audit", &out]);
    assert!(said.starts_with("OK") && said.contains("the log is not here"), "{said}");
    let result = world.path("only/results/count.json");
    let good = std::fs::read_to_string(&result).unwrap();
    std::fs::write(&result, good.replacen('1', "2", 1)).unwrap();
    assert!(world.fails("buyer", &["audit", &out]).contains("another result"));
    std::fs::remove_file(world.path("only/receipts/count.dsse.json")).unwrap();
    world.fails("buyer", &["audit", &out]);
    std::fs::write(&result, good).unwrap();
    std::fs::write(world.path("only/results/other.json"), "{}").unwrap();
    world.fails("buyer", &["audit", &out]);
}

#[test]
fn fsck_finds_damaged_parts_and_checkpoints_and_mends_nothing_unasked() {
    let world = World::new();
    let folder = world.path("owner/log");
    let names: Vec<_> = tidegate_node::auditor::bundle::files_of(&folder).into_iter().collect();
    assert!(
        names.iter().any(|name| name == "tile/0/000.p/1") && names.iter().any(|name| name == "tile/entries/000.p/1"),
        "{names:?}"
    );
    for name in names {
        let path = folder.join(&name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let said = world.fails("owner", &["log", "fsck"]);
        assert!(said.contains("WRONG"), "{name}: {said}");
        assert_eq!(std::fs::read(&path).unwrap(), bad, "{name} was written over");
        if name == "checkpoint" {
            world.ok("owner", &["log", "fsck", "--repair"]);
        } else {
            std::fs::write(&path, good).unwrap();
        }
        world.ok("owner", &["log", "fsck"]);
    }
}
