//! What everybody may see of datasets that differ by a person, and in how large their files are, and of one that is larger by far: where nobody may copy them, it is
//! the same but for ids, times and noise.

use std::{net::SocketAddr, ops::Range};

use serde_json::{Value, json};

use crate::common::{self, World};

/// Size near which the first two files are: one person's row decides on which side.
const STEP: u64 = 1 << 20;
/// Bound that an owner states, in MiB: above all sizes here.
const MOST_MIB: u64 = 4;

/// An owner, its people, and the length of a text that no job sees.
type Side = (&'static str, Range<u32>, usize);
const SIDES: [Side; 3] = [("with", 0..60, 17_600), ("without", 0..59, 17_600), ("larger", 0..90, 40_000)];

fn rows(people: Range<u32>, length: usize) -> String {
    let note = "n".repeat(length);
    let rows: String = people.map(|person| format!("{person},{},north,{note}\n", person % 50)).collect();
    format!("person,spend,city,note\n{rows}")
}

/// A document with words in place of keys, ids, signatures, times and sockets.
fn leveled(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(word(text)),
        Value::Array(all) => all.into_iter().map(leveled).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (word(name), leveled(value))).collect(),
        other => other,
    }
}

fn word(text: String) -> String {
    let token = |part: &str| part.len() >= 32 && part.chars().all(|c| c.is_ascii_alphanumeric() || "+/=-_:".contains(c));
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "time".into();
    }
    if text.parse::<SocketAddr>().is_ok() {
        return "socket".into();
    }
    text.split(' ').map(|part| if token(part) { "id" } else { part }).collect::<Vec<_>>().join(" ")
}

fn lines(text: &str) -> Value {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

/// All that this owner's log, listings and mirrors show after a job, and the size of its file.
fn shown(world: &World, (side, people, length): &Side, access: &str) -> (Value, u64) {
    let (asks, file) = (format!("asks {side}"), world.path(&format!("{side} rows")).join("people.csv"));
    world.ok(side, &["init"]);
    let buyer = world.ok(&asks, &["init"]).trim().to_owned();
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, rows(people.clone(), *length)).unwrap();
    let (policy, grant, path) =
        (world.text(&format!("{side}.toml")), world.text(&format!("{side}.grant")), file.display().to_string());
    let rules = common::POLICY.replace("BUYER", &buyer).replace("replicate = \"nobody\"", access);
    std::fs::write(&policy, rules).unwrap();
    let publish = ["publish", &path, "--name", "people", "--unit", "person", "--policy", &policy, "--json"];
    let first: Value = serde_json::from_str(&world.ok(side, &publish)).unwrap();
    world.ok(side, &[&publish[..], &["--version-of", first["dataset"].as_str().unwrap()]].concat());
    world.ok(side, &["grant", "people", "--to", &buyer, "--rho", "0.5", "--out", &grant]);
    // What a mirror holds of it: how many files, and of what length but for age's header, which is random and shorter than this.
    let mut mirrored = Value::Null;
    if access.contains("mirror") {
        let sealed: Value = serde_json::from_str(&world.ok(side, &["seal", "people", "--json"])).unwrap();
        let folder = world.path(side).join("sealed").join(sealed["population"].as_str().unwrap());
        let length = |hash: &Value| folder.join(format!("{}.age", hash.as_str().unwrap())).metadata().unwrap().len() >> 13;
        mirrored = sealed["files"].as_array().unwrap().iter().map(length).collect();
    }
    let node = world.serve_by(side, &[]);
    let at = node.address.trim();
    let job = world.text(&format!("{side} job.toml"));
    std::fs::write(&job, "dataset = \"people\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n").unwrap();
    world.ok(&asks, &["run", &job, "--to", at, "--grant", &grant, "--json", "--again"]);
    world.ok(&asks, &["catalog", "sync", "--from", at]);
    let mut croissant: Value = serde_json::from_str(&world.ok(&asks, &["catalog", "export", "people", "--croissant"])).unwrap();
    // The signed listing, which `catalog show` has too.
    croissant.as_object_mut().unwrap().remove("tidegate:listing").unwrap();
    let all = json!({
        "list": lines(&world.ok(&asks, &["list", "--to", at, "--json"])),
        "listing": lines(&world.ok(&asks, &["catalog", "show", "people", "--json"])),
        "croissant": croissant,
        "history": lines(&world.ok(&asks, &["catalog", "history", "people", "--to", at, "--json"])),
        "log": lines(&world.ok(side, &["receipts", "list", "--json"])),
        "mirrored": mirrored,
    });
    (leveled(all), file.metadata().unwrap().len())
}

#[test]
fn no_size_tells_who_is_there() {
    let bounded = format!("replicate = \"nobody\"\nmirror = \"granted\"\n[files]\nmax_mib = {MOST_MIB}");
    for (access, same) in [("replicate = \"nobody\"", true), (bounded.as_str(), true), ("replicate = \"granted\"", false)] {
        let world = World { dir: tempfile::tempdir().unwrap() };
        let [(with, large), (without, small), (larger, largest)] = SIDES.map(|side| shown(&world, &side, access));
        assert!(small < STEP && STEP < large && 3 * STEP < largest && largest < MOST_MIB << 20, "{small} {large} {largest}");
        assert_eq!(with == without, same, "{access}: {with:#} {without:#}");
        assert_eq!(with == larger, same, "{access}: {with:#} {larger:#}");
        let stated = &with["listing"][0]["listing"]["bytes"];
        if !same {
            assert_eq!(stated, large);
        } else if access == bounded {
            assert_eq!(stated, MOST_MIB << 20);
            assert_eq!(with["mirrored"], json!([(MOST_MIB << 20) >> 13]));
        } else {
            assert_eq!(*stated, Value::Null);
        }
    }
}

/// Files beyond the bound are refused before anything is written, with the key to change.
#[test]
fn a_file_beyond_its_bound_is_not_published() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    world.ok("owner", &["init"]);
    let rules = common::POLICY.replace("\"BUYER\"", "").replace("[columns]", "[files]\nmax_mib = 1\n[columns]");
    std::fs::write(world.path("policy.toml"), rules).unwrap();
    let (file, policy) = (world.text("people.csv"), world.text("policy.toml"));
    let publish = ["publish", &file, "--name", "people", "--unit", "person", "--policy", &policy];
    let [(_, with, length), (_, without, _), _] = SIDES;
    std::fs::write(&file, rows(with, length)).unwrap();
    let said = world.fails("owner", &publish);
    assert!(said.contains("files.max_mib") && said.contains("people.csv"), "{said}");
    assert!(!world.ok("owner", &["receipts", "list", "--json"]).contains("publication"));
    std::fs::write(&file, rows(without, length)).unwrap();
    world.ok("owner", &publish);
}
