//! What an owner may hand in, good and bad.

use crate::common;
use crate::common::World;

#[test]
fn files_that_cannot_be_published_are_named_with_the_reason() {
    let world = World::new();
    let parquet = std::fs::read(tidegate_fixtures::path("data/rand_hie.parquet")).unwrap();
    std::fs::write(world.path("cut.parquet"), &parquet[..parquet.len() / 2]).unwrap();
    std::fs::write(world.path("ragged.csv"), "person,spend,city\n1,2,north\n2,3\n").unwrap();
    std::fs::write(world.path("no-unit.csv"), "who,spend,city\n1,2,north\n").unwrap();
    std::fs::write(world.path("null-unit.csv"), "person,spend,city\n,2,north\n,3,south\n").unwrap();
    std::fs::write(world.path("no-column.csv"), "person,spend\n1,2\n").unwrap();
    std::fs::write(world.path("text-bounds.csv"), "person,spend,city\n1,much,north\n").unwrap();
    std::fs::write(world.path("float-unit.csv"), "person,spend,city\n1.5,2,north\n").unwrap();
    let many: String = (0..101).map(|p| format!("{p},1,north\n")).collect();
    std::fs::write(world.path("many.csv"), format!("person,spend,city\n{many}")).unwrap();
    std::fs::write(world.path("data.xlsx"), "x").unwrap();
    let policy = world.text("policy.toml");
    for (file, word) in [
        ("cut.parquet", "cut.parquet"),
        ("ragged.csv", "ragged.csv"),
        ("no-unit.csv", "`person`"),
        ("null-unit.csv", "unit"),
        ("no-column.csv", "`city`"),
        ("text-bounds.csv", "not numeric"),
        ("float-unit.csv", "must be an integer, a text"),
        ("many.csv", "max_units"),
        ("data.xlsx", "not a .xlsx file"),
        ("missing.csv", "missing.csv"),
    ] {
        let path = world.text(file);
        let said = world.fails("owner", &["publish", &path, "--unit", "person", "--policy", &policy, "--name", "x"]);
        assert!(said.contains(word), "{file}: {said}");
    }
    std::fs::write(world.path("inverted.toml"), common::POLICY.replace("lo = 0, hi = 100", "lo = 100, hi = 0")).unwrap();
    let (data, inverted) = (world.text("data.csv"), world.text("inverted.toml"));
    let said = world.fails("owner", &["publish", &data, "--unit", "person", "--policy", &inverted, "--name", "x"]);
    assert!(said.contains("policy"), "{said}");
}

/// Rows in any order and format count the same: unordered CSV, newline JSON, and a folder of both halves.
#[test]
fn every_format_and_order_gives_the_same_count() {
    let world = World::new();
    let mut lines: Vec<(u32, &str)> = (0..40).flat_map(|p| [(p, "north"), (p, "south")]).collect();
    lines.reverse();
    let csv: String = lines.iter().map(|(p, c)| format!("{p},{p},{c}\n")).collect();
    let json: String = lines.iter().map(|(p, c)| format!("{{\"person\":{p},\"spend\":{p},\"city\":\"{c}\"}}\n")).collect();
    std::fs::write(world.path("a.csv"), format!("person,spend,city\n{csv}")).unwrap();
    std::fs::write(world.path("b.ndjson"), json).unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    std::fs::write(world.path("folder/.notes.txt"), "left out").unwrap();
    for (name, half) in [("1.csv", &lines[..33]), ("2.csv", &lines[33..])] {
        let rows: String = half.iter().map(|(p, c)| format!("{p},{p}0,{c}\n")).collect();
        std::fs::write(world.path("folder").join(name), format!("person,spend,city\n{rows}")).unwrap();
    }
    for (name, file) in [("a", "a.csv"), ("b", "b.ndjson"), ("c", "folder")] {
        world.publish(file, &["--name", name]);
        let buyer = world.ok("buyer", &["id"]);
        world.ok("owner", &["grant", name, "--to", buyer.trim(), "--rho", "1", "--out", &world.text(&format!("grant-{name}"))]);
    }
    let node = world.serve(None);
    for name in ["a", "b", "c"] {
        let job = world.path(&format!("{name}.toml"));
        std::fs::write(
            &job,
            format!("dataset = \"{name}\"\nrho = 0.9\n[sql]\nquery = \"SELECT COUNT(DISTINCT person) FROM dataset\"\n"),
        )
        .unwrap();
        let (job, grant) = (job.display().to_string(), world.text(&format!("grant-{name}")));
        let value: serde_json::Value =
            serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
        let units = value["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
        // Δ = 1, σ = 1/√1.8 ≈ 0.75
        assert!((units - 40.0).abs() <= 8.0, "{name}: {units}");
    }
}

/// A receipt names what was published: where the files are something else by now, no job runs and nothing is charged.
#[test]
fn a_file_that_was_changed_after_publication_is_not_computed_on() {
    let world = World::new();
    let copies = std::fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path());
    let copy = copies.into_iter().find(|p| p.to_string_lossy().ends_with(".clustered.parquet")).unwrap();
    let good = std::fs::read(&copy).unwrap();
    let node = world.serve(None);
    let (job, grant) = (world.count_job(), world.text("grant"));
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    std::fs::write(&copy, changed).unwrap();
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(said.contains("unavailable"), "{said}");
    assert_eq!(world.spent(), 0);
    // The same bytes again, though touched.
    std::fs::write(&copy, good).unwrap();
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
}

/// Versions that share their first file have copies of their own: neither changes what the other's receipts name.
#[test]
fn a_version_with_more_files_leaves_the_copy_of_the_one_before() {
    let world = World::new();
    let datasets = || {
        let entries = std::fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path());
        entries.map(|p| (p.clone(), std::fs::read(p).unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = datasets();
    let first = before.keys().find_map(|p| p.file_name()?.to_str()?.strip_suffix(".json").map(str::to_owned)).unwrap();
    std::fs::write(world.path("more.csv"), "person,spend,city\n70,1,north\n").unwrap();
    let (more, policy) = (world.text("more.csv"), world.text("policy.toml"));
    let args = ["publish", &world.text("data.csv"), &more, "--unit", "person", "--policy", &policy, "--name", "towns"];
    let refused = world.fails("owner", &args);
    assert!(refused.contains("--version-of"), "{refused}");
    world.ok("owner", &[&args[..], &["--version-of", &first]].concat());
    let after = datasets();
    assert_eq!(after.len(), before.len() + 2, "a record and a copy more");
    assert!(before.iter().all(|(path, bytes)| after[path] == *bytes), "what was there is as it was");
}
