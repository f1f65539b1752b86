//! What a party keeps is for its user alone: rows, ledger, keys, whatever made the file, and whatever a folder was like before.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::common::{World, is_shut, text};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn open_up(path: &Path) {
    let is_folder = path.is_dir();
    fs::set_permissions(path, fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 })).unwrap();
    if is_folder {
        fs::read_dir(path).unwrap().for_each(|entry| open_up(&entry.unwrap().path()));
    }
}

#[test]
fn nobody_else_may_read_what_a_party_keeps() {
    let world = World::under("[receipts]\nparties = \"hidden\"");
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("out"));
    // The rows lie in a copy ordered by unit, beside the record that names it.
    let rows = fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path());
    assert!(rows.into_iter().any(|path| path.extension().is_some_and(|e| e == "parquet")));
    assert!(is_shut(&world.path("owner")) > 10);
    let node = world.serve(None);
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out, "--countersign"]);
    world.ok("buyer", &args);
    world.ok("buyer", &["audit", "--peer", &node.address]);
    world.ok("buyer", &["catalog", "sync", "--from", &node.address]);
    world.ok("buyer", &["peers", "add", "them", &node.address]);
    // What the running node is told, and what it has in hand just now.
    world.ok("owner", &["grant", "towns", "--to", world.ok("buyer", &["id"]).trim(), "--rho", "0.5"]);
    for who in ["owner", "buyer"] {
        assert!(is_shut(&world.path(who)) > 5, "{who}");
    }
    // So is what a buyer was sent.
    is_shut(Path::new(&out));
}

#[test]
fn a_folder_that_was_open_is_shut_and_doctor_says_so() {
    let world = World::new();
    let home = world.path("owner");
    let doctor = || {
        let said: Vec<serde_json::Value> = serde_json::from_slice(&world.try_run("owner", &["doctor", "--json"]).stdout).unwrap();
        let one = said.into_iter().find(|check| check["what"] == "folder").unwrap();
        (one["well"].as_bool().unwrap(), one["seen"].as_str().unwrap().to_owned())
    };
    assert!(doctor().0, "{}", doctor().1);
    open_up(&home);
    let (well, seen) = doctor();
    assert!(!well && seen.contains("tidegate serve"), "{seen}");
    assert_eq!(mode(&home), 0o755, "looking changes nothing");
    // Any command shuts the folder, and so all that is in it; a node that starts shuts each thing.
    let said = text(&world.try_run("owner", &["budget"]));
    assert!(said.contains("only this user can now"), "{said}");
    assert_eq!((mode(&home), mode(&home.join("ledger.redb"))), (0o700, 0o644));
    let outside = world.path("outside");
    fs::write(&outside, "").unwrap();
    open_up(&outside);
    std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
    drop(world.serve(None));
    fs::remove_file(home.join("link")).unwrap();
    is_shut(&home);
    assert_eq!(mode(&outside), 0o644, "a link was followed");
    assert!(doctor().0, "{}", doctor().1);
    // A folder that was there, open, when the key was made; and one that is no party's.
    fs::create_dir(world.path("early")).unwrap();
    open_up(&world.path("early"));
    world.ok("early", &["init"]);
    assert_eq!(mode(&world.path("early")), 0o700);
    fs::create_dir(world.path("other")).unwrap();
    open_up(&world.path("other"));
    world.fails("other", &["budget"]);
    assert_eq!(mode(&world.path("other")), 0o755);
}
