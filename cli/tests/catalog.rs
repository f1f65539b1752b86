//! Data that is found without a server: nodes tell each other what there is, who comes late catches up, and other tools read it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{self, World};

/// What a search finds, tried until `enough` says so.
fn searched(world: &World, who: &str, words: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let said = world.ok(who, &["catalog", "search", words, "--json"]);
        let found: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if enough(&found) {
            return found;
        }
        assert!(Instant::now() < until, "{who}: {found:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn listings_are_told_caught_up_with_and_kept_to_their_owners() {
    let world = World::new();
    std::fs::write(world.path("quiet.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let buyer = world.ok("buyer", &["id"]);
    let quiet = common::POLICY.replace("BUYER", buyer.trim()).replace("[access]", "[access]\nlist = \"granted\"");
    std::fs::write(world.path("quiet.toml"), quiet).unwrap();
    let (file, policy) = (world.text("quiet.csv"), world.text("quiet.toml"));
    world.ok("owner", &["publish", &file, "--name", "quiet", "--unit", "person", "--policy", &policy]);
    // A node of somebody who owns nothing, and the owner's, which is told of it.
    world.ok("friend", &["init"]);
    let friend = world.serve_by("friend", &[]);
    let owner = world.serve_by("owner", &["--with", &friend.address]);
    let found = searched(&world, "friend", "spend", |found| !found.is_empty());
    let listing = &found[0]["listing"];
    assert_eq!((found.len(), listing["name"].as_str()), (1, Some("towns")), "only what everybody may see");
    assert!(owner.address.contains(listing["sockets"][0].as_str().unwrap()), "{listing}");
    assert!(owner.address.starts_with(found[0]["owner"].as_str().unwrap()));
    // The owner knows its own, and its node's file is shared with its commands.
    assert_eq!(searched(&world, "owner", "towns", |found| found.len() == 1)[0]["id"], found[0]["id"]);
    // Who comes late asks one of them, with or without a name for it.
    world.ok("late", &["init"]);
    assert!(world.ok("late", &["catalog", "search", "towns"]).contains("nothing found among 0 listings"));
    world.ok("late", &["peers", "add", "friend", &friend.address]);
    let synced: Value = serde_json::from_str(&world.ok("late", &["catalog", "sync", "--from", "friend", "--json"])).unwrap();
    assert_eq!((synced["asked"].as_u64(), synced["new"].as_u64()), (Some(1), Some(1)));
    let again = world.ok("late", &["catalog", "sync", "--from", &friend.address, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["asked"], 0);
    let shown = world.ok("late", &["catalog", "show", "towns"]);
    assert!(shown.contains("spend: Int64 in [0, 100]") && shown.contains(&owner.address), "{shown}");
    // Nobody in its address book has published anything.
    world.ok("strict", &["init"]);
    world.ok("strict", &["peers", "add", "friend", &friend.address]);
    let strict = world.ok("strict", &["catalog", "sync", "--from", "friend", "--only-known", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&strict).unwrap()["new"], 0, "{strict}");
    let query = "SELECT name, lo, hi, rho_per_buyer FROM listings WHERE \"column\" = 'spend' AND hi <= 100";
    let answer = world.ok("late", &["catalog", "sql", query]);
    assert!(answer.contains("towns") && answer.contains("0.9"), "{answer}");
    let said = world.fails("late", &["catalog", "sql", "DROP TABLE listings"]);
    assert!(said.contains("DDL"), "{said}");
    // From what was found to an answer: the listing says where.
    let (grant, job) = (world.text("grant"), world.count_job());
    let said = world.fails("buyer", &["run", &job, "--grant", &grant]);
    assert!(said.contains("no --to was given") && said.contains("catalog sync"), "{said}");
    world.ok("buyer", &["catalog", "sync", "--from", &friend.address]);
    world.ok("buyer", &["run", &job, "--grant", &grant]);
    // Another owner calls its own by that name, later: the grant says whose it is, and without one it is asked which.
    std::fs::create_dir(world.path("thief")).unwrap();
    world.ok("thief", &["init"]);
    let args = ["publish", &file, "--name", "towns", "--unit", "person", "--policy", &world.text("policy.toml")];
    world.ok("thief", &args);
    let thief = world.serve_by("thief", &["--with", &friend.address]);
    searched(&world, "friend", "towns", |found| found.len() == 2);
    world.ok("buyer", &["catalog", "sync", "--from", &friend.address]);
    world.ok("buyer", &["run", &job, "--grant", &grant, "--again"]);
    let said = world.fails("buyer", &["catalog", "show", "towns"]);
    assert!(said.contains("several owners have a dataset"), "{said}");
    let said = world.fails("buyer", &world.run_args(&job, &thief.address, &grant));
    assert!(said.contains("shows no lease of that owner"), "{said}");
    assert!(world.ok("late", &["ping", "friend", "--times", "1"]).contains("answers after"));
    assert!(world.fails("late", &["ping", "nobody"]).contains("the address book has no peer of that name"));
    world.fails("late", &["peers", "add", "friend", buyer.trim()]);
    world.ok("late", &["peers", "remove", "friend"]);
    assert_eq!(world.ok("late", &["peers"]), "");
}

#[test]
fn versions_and_what_changed_between_them_are_shown() {
    let world = World::new();
    let rows = |n: i32| (0..n).map(|i| format!("{i},{i},north\n")).collect::<String>();
    let id = |said: &str| serde_json::from_str::<Value>(said).unwrap()["dataset"].as_str().unwrap().to_owned();
    for (folder, files) in
        [("one", vec![("a.csv", 20), ("b.csv", 10)]), ("two", vec![("a.csv", 20), ("b.csv", 10), ("c.csv", 30)])]
    {
        std::fs::create_dir(world.path(folder)).unwrap();
        for (file, n) in files {
            std::fs::write(world.path(folder).join(file), format!("person,spend,city\n{}", rows(n))).unwrap();
        }
    }
    let closed = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let open = closed.replace("replicate = \"nobody\"", "replicate = \"granted\"");
    std::fs::write(world.path("policy.toml"), open).unwrap();
    let first = id(&world.publish("one", &["--name", "parts"]));
    let second = id(&world.publish("two", &["--name", "parts", "--version-of", &first]));
    // From here on nobody may copy it.
    std::fs::write(world.path("policy.toml"), closed).unwrap();
    let third = id(&world.publish("two", &["--name", "parts", "--version-of", &second]));
    let node = world.serve(None);
    for (who, place) in [("owner", &[][..]), ("buyer", &["--to", &node.address])] {
        let said = world.ok(who, &[&["catalog", "history", "parts", "--json"], place].concat());
        let history: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!([&history[0]["id"], &history[1]["id"]], [&first, &second]);
        let changed = &history[1]["difference"];
        assert_eq!(changed["files_added"].as_object().unwrap().keys().collect::<Vec<_>>(), ["c.csv"], "{changed}");
        let kept = ["a.csv", "b.csv"].map(|file| std::fs::metadata(world.path("two").join(file)).unwrap().len());
        assert_eq!(changed["bytes_shared"], kept.iter().sum::<u64>(), "{changed}");
        let back = world.ok(who, &[&["catalog", "diff", &second, &first], place].concat());
        assert!(back.contains("- file c.csv") && !back.contains("+ file"), "{back}");
        // Of files that nobody may copy it is not told whether they are the same.
        let changed = &history[2]["difference"];
        assert_eq!((&changed["bytes_shared"], &changed["policy_changed"]), (&Value::Null, &Value::Bool(true)), "{changed}");
        let gone = world.ok(who, &[&["catalog", "diff", &third, &first], place].concat());
        assert!(gone.contains("- file c.csv\n") && gone.contains("not told"), "{gone}");
        let exact = world.ok(who, &[&["catalog", "diff", &third, &first, "--json"], place].concat());
        assert_eq!(
            serde_json::from_str::<Value>(&exact).unwrap()["files_removed"],
            serde_json::json!({ "c.csv": null }),
            "{exact}"
        );
    }
    assert!(world.fails("owner", &["catalog", "history", "nothing"]).contains("parts"));
}

#[test]
fn what_is_exported_passes_mlcommons_validator_and_is_taken_in_by_others() {
    let world = World::new();
    let (policy, file) = (world.text("policy.toml"), world.text("more.csv"));
    std::fs::write(&file, "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    std::fs::write(
        world.path("about.json"),
        r#"{ "@type": "sc:Dataset", "name": "x", "description": "Spending by town, é", "keywords": "spending, towns", "license": ["CC0-1.0"] }"#,
    )
    .unwrap();
    let about = world.text("about.json");
    world.ok("owner", &["publish", &file, "--name", "more", "--unit", "person", "--policy", &policy, "--croissant", &about]);
    let hostile = ["publish", &file, "--name", "odd", "--unit", "person", "--policy", &policy, "--description", "a\u{202e}b"];
    let said = world.fails("owner", &hostile);
    assert!(said.contains("`description`"), "{said}");
    let node = world.serve(None);
    world.ok("late", &["init"]);
    searched(&world, "owner", "spending towns", |found| found.len() == 1);
    let (out, plain) = (world.text("more.jsonld"), world.text("more.json"));
    world.ok("owner", &["catalog", "export", "more", "--croissant", "--out", &out]);
    world.ok("owner", &["catalog", "export", "more", "--out", &plain]);
    drop(node);
    let said = world.ok("late", &["catalog", "import", &out]);
    assert!(said.contains("more, signed by did:key:") && said.contains("imported"), "{said}");
    assert!(world.ok("late", &["catalog", "import", &plain]).contains("nothing new"));
    let mut forged: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    forged["tidegate:listing"] = forged["tidegate:listing"].as_str().unwrap().replacen("\"sig\":\"", "\"sig\":\"A", 1).into();
    std::fs::write(world.path("forged"), forged.to_string()).unwrap();
    assert!(world.fails("late", &["catalog", "import", &world.text("forged")]).contains("not base64"));
    let said = world.fails("late", &["catalog", "import", &about]);
    assert!(said.contains("publish --croissant"), "{said}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let validated = std::process::Command::new("python3").arg(root.join("scripts/mlcroissant.py")).arg(&out).output().unwrap();
    if validated.status.code() == Some(77) {
        assert!(std::env::var_os("REQUIRE_CROISSANT").is_none(), "{}", common::text(&validated));
        return eprintln!("SKIPPED: MLCommons' validator: {}", common::text(&validated));
    }
    assert!(validated.status.success(), "{}", common::text(&validated));
}

#[test]
fn how_a_party_is_reached_is_off_until_it_says_otherwise() {
    let world = World::new();
    let key = world.ok("owner", &["id"]).trim().to_owned();
    let said = world.ok("buyer", &["network", "--json"]);
    assert_eq!(said.trim(), r#"{"local":false}"#);
    let said = world.fails("buyer", &["ping", &key]);
    assert!(said.contains("address lookup is off") && said.contains("network --local on"), "{said}");
    for bad in ["relay.example", "ftp://relay.example/", "https://"] {
        world.fails("buyer", &["network", "--relay", bad]);
    }
    let said = world.ok("buyer", &["network", "--relay", "https://relay.example", "--lookup", "https://pkarr.example/pkarr"]);
    assert!(said.contains("relay   https://relay.example/") && said.contains("lookup  https://pkarr.example/pkarr"), "{said}");
    let said = world.ok("buyer", &["network", "--relay", "off", "--lookup", "off", "--json"]);
    assert_eq!(said.trim(), r#"{"local":false}"#);
    // A relay is part of an address, and a name has it.
    world.ok("buyer", &["peers", "add", "hospital", &format!("{key}@https://relay.example/")]);
    world.ok("buyer", &["network", "--relay", "https://relay.example"]);
    std::fs::write(world.path("buyer").join("network.toml"), "relay = 5\n").unwrap();
    let said = world.fails("buyer", &["ping", "hospital"]);
    assert!(said.contains("network.toml"), "{said}");
}
