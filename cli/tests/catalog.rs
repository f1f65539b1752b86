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
    // From what was found to an answer.
    let grant = world.text("grant");
    let place = shown.lines().find_map(|l| l.trim().strip_prefix("address")).unwrap().trim().to_owned();
    world.ok("buyer", &world.run_args(&world.count_job(), &place, &grant));
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
    assert!(said.contains("more, signed by did:key:") && said.contains("taken in"), "{said}");
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
