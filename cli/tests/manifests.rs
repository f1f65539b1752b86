//! What everybody may see of files that nobody may copy: nothing by which a guess of a value could be checked. Who holds them and who runs jobs again can tell all
//! the same whether theirs are the published ones.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tidegate_catalog::dataset::{self, DatasetRecord};
use tidegate_exchange::{Address, ask, bind};
use tidegate_node::home::Home;
use tidegate_protocol::{
    Identity, Signed,
    frame::{Published, Reply, Request},
    manifest::{self, BadFiles, BadVersion, Content, Manifest},
};

use crate::common::{self, World, until};

/// Bound on files, without which nobody may mirror what nobody may copy.
const BOUND: &str = "\n[files]\nmax_mib = 1";

/// Rows of which a stranger has all but one value.
fn rows(value: &str) -> String {
    let known: String = (0..60).map(|person| format!("{person},{},north\n", person % 50)).collect();
    format!("person,spend,city\n{known}60,{value},south\n")
}

fn ask_owner(identity: &Identity, to: &str, request: &Request) -> Reply {
    let to: Address = to.trim().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let endpoint = bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let reply = ask(&endpoint, &to, request, &[]).await.unwrap();
        endpoint.close().await;
        reply
    })
}

fn published(world: &World, at: &str) -> Published {
    let buyer = Home::at(world.path("buyer")).identity().unwrap();
    match ask_owner(&buyer, at, &Request::Listings { grant: String::new() }) {
        Reply::Listings(mut all) => all.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The one dataset that `who` has published, as its own machine knows it.
fn record(world: &World, who: &str) -> DatasetRecord {
    dataset::load_all(&world.path(who).join("datasets")).unwrap().pop().unwrap().record
}

/// A world with a policy of these accesses.
fn world(access: &str, value: &str) -> World {
    let world = World { dir: tempfile::tempdir().unwrap() };
    let ids = ["owner", "buyer", "north"].map(|who| world.ok(who, &["init"]).trim().to_owned());
    let policy = common::POLICY.replace("BUYER", &ids[1]).replace("replicate = \"nobody\"", access);
    std::fs::write(world.path("policy.toml"), policy).unwrap();
    std::fs::create_dir(world.path("rows")).unwrap();
    std::fs::write(world.path("rows/people.csv"), rows(value)).unwrap();
    world.publish("rows/people.csv", &["--name", "people"]);
    world.ok("owner", &["grant", "people", "--to", &ids[1], "--rho", "1", "--out", &world.text("grant")]);
    world
}

/// All that a stranger, a buyer or an auditor sees of the owner, after a job.
fn seen(world: &World) -> String {
    let node = world.serve(None);
    let job = world.path("job.toml");
    std::fs::write(&job, "dataset = \"people\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n").unwrap();
    let (job, grant, out) = (job.display().to_string(), world.text("grant"), world.text("out"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    let mut all = world.ok("buyer", &args);
    all += &world.ok("buyer", &["list", "--to", &node.address]);
    all += &world.ok("buyer", &["catalog", "sync", "--from", &node.address]);
    all += &world.ok("buyer", &["catalog", "export", "people", "--croissant"]);
    all += &world.ok("buyer", &["catalog", "show", "people"]);
    all += &world.ok("buyer", &["catalog", "history", "people", "--to", &node.address, "--json"]);
    let Published { manifest, policy, .. } = published(world, &node.address);
    let (manifest, policy) = manifest::open(manifest, policy).unwrap();
    all += &serde_json::to_string(&(manifest.body(), policy.body())).unwrap();
    all += &world.ok("owner", &["receipts", "list", "--json"]);
    // As they came, too.
    let mut folders = vec![world.path("out")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { all += &String::from_utf8_lossy(&std::fs::read(path).unwrap()) }
        }
    }
    all
}

/// What a guess comes to: each of its files, as this very program makes them, by hash and by size.
fn marks(content: &Content, sizes: bool) -> Vec<String> {
    let sizes = content.published.iter().filter(|_| sizes).map(|file| format!(":{},", file.bytes));
    content.all().map(|file| file.hash.to_string()).chain(sizes).collect()
}

/// A stranger who has all of a file but one value lays out every guess as the owner's node does, and looks for its hashes and sizes in all that can be seen. With
/// plain hashes that finds the value.
#[test]
fn whoever_has_all_but_one_value_finds_it_nowhere() {
    let (guesses, truth) = (["3", "17", "41", "95"], "41");
    let guessed = guesses.map(|guess| record(&world("replicate = \"nobody\"", guess), "owner").content);
    for (access, told) in [("replicate = \"granted\"", true), ("replicate = \"nobody\"", false)] {
        let world = world(access, truth);
        let seen = seen(&world);
        let found: Vec<_> = guesses
            .iter()
            .zip(&guessed)
            .filter(|(_, content)| marks(content, true).iter().any(|mark| seen.contains(mark)))
            .map(|(guess, _)| *guess)
            .collect();
        let by_hash: Vec<_> = guesses
            .iter()
            .zip(&guessed)
            .filter(|(_, content)| marks(content, false).iter().any(|mark| seen.contains(mark)))
            .map(|(guess, _)| *guess)
            .collect();
        match told {
            true => assert_eq!(by_hash, [truth], "the attack is one"),
            false => assert_eq!(found, Vec::<&str>::new(), "{seen}"),
        }
    }
}

/// Without the rows' hash to compare with, whoever holds them for their owner sees that they are the published ones; others are told no key.
#[test]
fn files_that_nobody_may_copy_are_held_by_who_has_them() {
    let world = world("replicate = \"nobody\"\nhold = \"granted\"", "41");
    let north = world.ok("north", &["id"]).trim().to_owned();
    let (grant, rows_here) = (world.text("north.grant"), world.text("rows"));
    world.ok("owner", &["grant", "people", "--to", &north, "--action", "hold", "--rho", "0.4", "--out", &grant]);
    let owner = world.serve(None);
    let begin = |who: &str, more: &[&str]| {
        let fixed = ["hold", "begin", "people", "--to", &owner.address, "--grant", &grant, "--rho", "0.3"];
        world.try_run(who, &[&fixed[..], more].concat())
    };
    // No column is sent of what nobody may copy.
    let said = common::text(&begin("north", &[]));
    assert!(said.contains("give local files with --data"), "{said}");
    // A guess is not the file, even of one who is told the key.
    std::fs::write(world.path("rows/people.csv"), rows("40")).unwrap();
    let said = common::text(&begin("north", &["--data", &rows_here]));
    assert!(said.contains("differs from the published file"), "{said}");
    std::fs::write(world.path("rows/people.csv"), rows("41")).unwrap();
    let begun = begin("north", &["--data", &rows_here]);
    assert!(begun.status.success(), "{}", common::text(&begun));
    assert_eq!(record(&world, "north").file_key, record(&world, "owner").file_key);
    // Nobody else is told it: by a grant of another's, of another kind, or with none.
    let dataset = Signed::<Manifest>::open(published(&world, &owner.address).manifest).unwrap().id();
    for (who, token) in [("buyer", "north.grant"), ("buyer", "grant"), ("north", "grant")] {
        let identity = Home::at(world.path(who)).identity().unwrap();
        let grant = std::fs::read_to_string(world.path(token)).unwrap().trim().to_owned();
        for grant in [grant, String::new()] {
            let reply = ask_owner(&identity, &owner.address, &Request::FileKey { dataset, grant });
            assert!(matches!(reply, Reply::Refused(_)), "{who} by {token}: {reply:?}");
        }
    }
    // It answers jobs over them, and both logs hold.
    let holder = world.serve_by("north", &[]);
    let job = world.path("job.toml");
    std::fs::write(&job, "dataset = \"people\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n").unwrap();
    let (job, token) = (job.display().to_string(), world.text("grant"));
    let args = world.run_args(&job, &holder.address, &token);
    until("a job at the holder", || world.try_run("buyer", &args).status.success());
    let said = world.ok("buyer", &["audit", "--peer", &owner.address, "--holder", &holder.address, "--json"]);
    for report in said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!(report["findings"], Value::Array(vec![]), "{report}");
    }
    let entries = world.ok("owner", &["receipts", "list", "--json"]);
    let mut told = entries.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["statement"]["predicate"].clone());
    assert!(told.any(|entry| entry["key"] == true && entry["peer"] == north.as_str()), "{entries}");
    // A file that was changed is not computed on, at either.
    drop((owner, holder));
    for who in ["north", "owner"] {
        let copy = record(&world, who).compute.pop().unwrap();
        let mut changed = std::fs::read(&copy).unwrap();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&copy, changed).unwrap();
    }
    let owner = world.serve(None);
    assert!(world.fails("buyer", &world.run_args(&job, &owner.address, &token)).contains("unavailable"));
}

/// A record that lost its key, or whose hashes are of other files, is of no use; and no party takes a manifest that says more than its policy allows.
#[test]
fn a_manifest_that_says_too_much_and_a_record_that_does_not_fit_are_refused() {
    let world = world("replicate = \"nobody\"", "41");
    let good = record(&world, "owner");
    let kept = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "json");
    let path = std::fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path()).find(kept).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
    assert!(good.file_key.is_some() && dataset::Dataset::open(good.clone()).is_ok());
    let mut other = good.clone();
    other.content.derived[0].hash.0[3] ^= 1;
    let lost = DatasetRecord { file_key: None, ..good.clone() };
    for wrong in [lost, other] {
        let said = dataset::Dataset::open(wrong).unwrap_err().to_string();
        assert!(said.contains("publish the files again"), "{said}");
    }
    // Signed by its owner, and refused all the same.
    let owner = Home::at(world.path("owner")).identity().unwrap();
    let manifest = Signed::<Manifest>::open(good.manifest.clone()).unwrap().body().clone();
    let mut plain = serde_json::to_value(&manifest).unwrap();
    plain["files"] = serde_json::json!({ "plain": good.content });
    let plain: Manifest = serde_json::from_value(plain).unwrap();
    let signed = Signed::sign(plain, &owner).unwrap().envelope().clone();
    let refused = manifest::open(signed.clone(), good.policy.clone());
    assert!(matches!(refused, Err(BadVersion::Files(BadFiles::Plain))));
    let record = DatasetRecord { manifest: signed, file_key: None, ..good };
    assert!(dataset::Dataset::open(record.clone()).unwrap_err().to_string().contains("plain hashes"));
    // A node that serves such a manifest is believed by nobody, and does not start itself.
    std::fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
    assert!(world.fails("owner", &["serve"]).contains("plain hashes"));
}

/// Who may copy is told the hashes, and where not everybody may see the dataset, the log, which everybody reads, does not have them.
#[test]
fn the_log_does_not_tell_what_the_manifest_tells_few() {
    for (list, told) in [("anybody", true), ("granted", false)] {
        let world = world(&format!("replicate = \"granted\"\nlist = \"{list}\""), "41");
        let buyer = world.ok("buyer", &["id"]).trim().to_owned();
        let (grant, copy) = (world.text("copies"), world.text("copy"));
        world.ok("owner", &["grant", "people", "--to", &buyer, "--action", "list,replicate", "--out", &grant]);
        let node = world.serve(None);
        world.ok("buyer", &["fetch", "people", "--to", &node.address, "--grant", &grant, "--out", &copy]);
        assert_eq!(std::fs::read_to_string(world.path("copy/people.csv")).unwrap(), rows("41"));
        let log = world.ok("owner", &["receipts", "list", "--json"]);
        let hash = record(&world, "owner").content.published[0].hash.to_string();
        assert!(log.contains("\"fetch\"") && log.contains(&hash) == told, "{log}");
        assert_eq!(world.audit(&node.address)["findings"], Value::Array(vec![]));
    }
}

/// Publishes another version of the same file by these accesses, and says what the log says of it.
fn another_version(world: &World, access: &str) -> Value {
    let manifest = dataset::load_all(&world.path("owner/datasets")).unwrap().pop().unwrap().manifest;
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let (kept, _) = policy.split_once("[access]").unwrap();
    let (_, columns) = policy.split_once("[columns]").unwrap();
    std::fs::write(world.path("policy.toml"), format!("{kept}[access]\ncompute = \"granted\"\n{access}\n[columns]{columns}"))
        .unwrap();
    world.publish("rows/people.csv", &["--name", "people", "--version-of", &manifest.id().to_string()]);
    let log = world.ok("owner", &["receipts", "list", "--json"]);
    let predicate = |line| serde_json::from_str::<Value>(line).unwrap()["statement"]["predicate"].clone();
    let mut entries = log.lines().map(predicate);
    entries.rfind(|entry| entry["entry"] == "publication").unwrap()
}

/// A file that one version shows few, or by a keyed hash, is not named in the log by what another version names it, and whether a version's data are the same is told
/// of files alone that everybody sees.
#[test]
fn no_version_s_log_tells_what_another_hides() {
    let (open, few) = ("replicate = \"granted\"\nlist = \"anybody\"", "replicate = \"granted\"\nlist = \"granted\"");
    let hidden = "replicate = \"nobody\"\nlist = \"anybody\"";
    for (first, second, told, same) in [
        (hidden, few, false, false),
        (few, few, false, false),
        (open, few, true, false),
        (open, open, true, true),
        (hidden, hidden, false, false),
    ] {
        let world = world(first, "41");
        let buyer = world.ok("buyer", &["id"]).trim().to_owned();
        let published =
            another_version(&world, &format!("{second}\nmirror = \"granted\"{}", if second == hidden { BOUND } else { "" }));
        let changes: Vec<_> = published["changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
        assert_eq!(changes.contains(&"data"), !same, "{first}, then {second}: {published}");
        let salts: Vec<_> = dataset::load_all(&world.path("owner/datasets")).unwrap();
        let salts: std::collections::BTreeSet<_> =
            salts.iter().map(|version| version.manifest.body().salt.clone().unwrap()).collect();
        assert!(salts.len() == 2 && salts.iter().all(|salt| salt.len() == 64), "{salts:?}");
        let hash = record(&world, "owner").content.published[0].hash.to_string();
        if second != hidden {
            let (grant, copy) = (world.text("copies"), world.text("copy"));
            world.ok("owner", &["grant", "people", "--to", &buyer, "--action", "list,replicate", "--out", &grant]);
            let node = world.serve(None);
            world.ok("buyer", &["fetch", "people", "--to", &node.address, "--grant", &grant, "--out", &copy]);
            assert_eq!(world.audit(&node.address)["findings"], Value::Array(vec![]));
            assert!(world.ok("owner", &["receipts", "list", "--json"]).contains("\"fetch\""));
        }
        let log = world.ok("owner", &["receipts", "list", "--json"]);
        assert_eq!(log.contains(&hash), told, "{first}, then {second}: {log}");
    }
}

/// What nobody may copy is encrypted anew for each version: a mirror does not see that a file is the one before.
#[test]
fn mirrors_do_not_see_what_nobody_may_copy_stay_the_same() {
    let access = &format!("replicate = \"nobody\"\nmirror = \"granted\"{BOUND}");
    let world = world(access, "41");
    let sealed = || serde_json::from_str::<Value>(&world.ok("owner", &["seal", "people", "--json"])).unwrap();
    let (first, again) = (sealed(), sealed());
    assert_eq!(first["files"], again["files"], "encrypted twice");
    another_version(&world, access);
    let second = sealed();
    let of = |sealed: &Value| sealed["files"].as_array().unwrap().clone();
    assert!(!of(&second).is_empty() && of(&second).iter().all(|file| !of(&first).contains(file)), "{first} {second}");
}

/// Two files that are the same are encrypted each on its own, the first time and later.
#[test]
fn mirrors_do_not_see_that_two_files_are_the_same() {
    let world = world(&format!("replicate = \"nobody\"\nmirror = \"granted\"{BOUND}"), "41");
    std::fs::create_dir(world.path("twice")).unwrap();
    for name in ["a.csv", "b.csv"] {
        std::fs::write(world.path("twice").join(name), rows("40")).unwrap();
    }
    world.publish("twice", &["--name", "twice"]);
    let sealed = || serde_json::from_str::<Value>(&world.ok("owner", &["seal", "twice", "--json"])).unwrap()["files"].clone();
    let first = sealed();
    assert!(first[0] != first[1] && first[1] != Value::Null, "{first}");
    assert_eq!(sealed(), first, "encrypted twice");
}
