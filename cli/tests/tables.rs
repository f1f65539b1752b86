//! A dataset of several tables: published from files of any order, joined on the unit, rehearsed, fetched.

use std::fmt::Write as _;

use crate::common::World;

const TABLES: &str = r#"
[tables.patients]
age = { lo = 0, hi = 128 }
town = {}
[tables.visits]
cost = { lo = 0, hi = 128 }
town = {}
"#;

/// Patients 0..60, every third of whom is in the north; each has visits that cost 3 in all, but for those from 40.
fn files(world: &World) {
    let (mut patients, mut visits) = (String::from("town,person,age\n"), String::from("person,cost,town\n"));
    for person in (0..60).rev() {
        writeln!(patients, "{},{person},{}", if person % 3 == 0 { "north" } else { "south" }, person % 90).unwrap();
    }
    for visit in [1, 2] {
        for person in 0..40 {
            writeln!(visits, "{person},{visit},elsewhere").unwrap();
        }
    }
    std::fs::write(world.path("patients.csv"), patients).unwrap();
    std::fs::write(world.path("visits.csv"), visits).unwrap();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let (head, _) = policy.split_once("[columns]").unwrap();
    std::fs::write(
        world.path("tables.toml"),
        format!("{head}{TABLES}").replace("replicate = \"nobody\"", "replicate = \"granted\""),
    )
    .unwrap();
}

fn publish<'a>(world: &World, given: &'a [&'a str]) -> Vec<String> {
    let mut args = vec!["publish".to_owned()];
    for one in given {
        let (table, file) = one.split_once('=').unwrap_or(("", one));
        let path = world.text(file);
        args.push(if table.is_empty() { path } else { format!("{table}={path}") });
    }
    args.extend(["--unit", "person", "--name", "clinic", "--json", "--policy"].map(str::to_owned));
    args.push(world.text("tables.toml"));
    args
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

const JOIN: &str = "dataset = \"clinic\"\nrho = 0.9\n[sql]\nkeys = [[\"north\"], [\"south\"]]\nquery = \"SELECT p.town, SUM(cost) AS cost, \
                    COUNT(DISTINCT v.person) AS seen FROM patients p LEFT JOIN visits v ON p.person = v.person GROUP BY p.town\"\n";

#[test]
fn tables_are_joined_on_the_unit() {
    let world = World::new();
    files(&world);
    let both = publish(&world, &["patients=patients.csv", "visits=visits.csv"]);
    let mut mock = both.clone();
    for table in ["patients", "visits"] {
        mock.extend(["--mock".into(), format!("{table}={}", world.text(&format!("{table}.csv")))]);
    }
    // The files themselves as mock rows are, of course, a mistake; here they make a rehearsal that can be checked.
    world.ok("owner", &strs(&mock));
    let buyer = world.ok("buyer", &["id"]);
    let grant = world.text("grant-clinic");
    world.ok("owner", &["grant", "clinic", "--to", buyer.trim(), "--rho", "1", "--out", &grant]);
    let replicate = world.text("grant-replicate");
    world.ok("owner", &["grant", "clinic", "--to", buyer.trim(), "--rho", "1", "--action", "replicate", "--out", &replicate]);
    std::fs::write(world.path("join.toml"), JOIN).unwrap();
    let job = world.text("join.toml");
    let node = world.serve(None);
    let listed = world.ok("buyer", &["list", "--to", &node.address]);
    assert!(listed.contains("patients.age: BIGINT in [0, 128]") && listed.contains("visits.town"), "{listed}");
    let near = |value: &serde_json::Value| {
        let cells = |row: usize| {
            let cell = |c: usize| value["result"]["rows"][row]["cells"][c]["value"].as_f64().unwrap();
            (cell(0), cell(1))
        };
        let [(north, north_seen), (south, south_seen)] = [cells(0), cells(1)];
        // 14 and 26 of the forty with visits; σ of a sum is 128 · 2 / √(ρ/3 · 2) and more, of a count about two.
        assert!((north - 42.0).abs() < 3000.0 && (south - 78.0).abs() < 3000.0, "{value}");
        assert!((north_seen - 14.0).abs() < 20.0 && (south_seen - 26.0).abs() < 20.0, "{value}");
    };
    near(&serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap());
    near(&serde_json::from_str(&world.ok("buyer", &["rehearse", &job, "--to", &node.address, "--json"])).unwrap());
    // Each table's files in its own folder.
    world.ok("buyer", &["fetch", "clinic", "--to", &node.address, "--grant", &replicate, "--out", &world.text("fetched")]);
    for table in ["patients", "visits"] {
        let (there, here) = (world.path("fetched").join(table).join(format!("{table}.csv")), world.path(&format!("{table}.csv")));
        assert_eq!(std::fs::read(there).unwrap(), std::fs::read(here).unwrap());
    }
    drop(node);
    // Without a node, on files of one's own: exact enough to see what was joined.
    let data: Vec<String> = ["patients", "visits"].iter().map(|t| format!("{t}={}", world.text(&format!("{t}.csv")))).collect();
    let policy = world.text("tables.toml");
    let sampled =
        world.ok("buyer", &["gate", "sample", &job, "--policy", &policy, "--runs", "400", "--data", &data[0], &data[1]]);
    let mean = |line: &str| {
        let line = sampled.lines().find(|l| l.starts_with(line)).unwrap_or_else(|| panic!("{line}: {sampled}"));
        line.split("mean ").nth(1).unwrap().split(',').next().unwrap().parse::<f64>().unwrap()
    };
    // The mean of 400 draws of σ ≈ 4.
    assert!((mean("north  seen") - 14.0).abs() < 2.0 && (mean("south  seen") - 26.0).abs() < 2.0, "{sampled}");
    let rows = ["check", &job, "--policy", &policy, "--rows", &data[0], "--rows", &data[1], "--json"];
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &rows)).unwrap();
    assert_eq!(said["verdict"], "accept");
    assert_eq!(said["split"]["columns"].as_array().unwrap().len(), 2, "{said}");
    let own = ["rehearse", &job, "--policy", &policy, "--mock", &data[0], "--mock", &data[1], "--json"];
    near(&serde_json::from_str(&world.ok("buyer", &own)).unwrap());
    assert!(
        std::fs::read_dir(world.path("buyer")).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().contains("laid-out"))
    );
}

#[test]
fn tables_that_cannot_be_published_are_named_with_the_reason() {
    let world = World::new();
    files(&world);
    std::fs::write(world.path("texts.csv"), "person,cost,town\na,1,x\nb,2,y\n").unwrap();
    std::fs::write(world.path("ages.csv"), "person,age\n1,30\n").unwrap();
    std::fs::write(world.path("who.csv"), "who,cost,town\n1,1,x\n").unwrap();
    for (given, says) in [
        (&["patients=patients.csv"][..], "visits"),
        (&["patients.csv", "visits.csv"], "is not a table of the policy"),
        (&["patients=patients.csv", "wards=visits.csv"], "is not a table of the policy"),
        (&["patients=patients.csv", "visits=texts.csv"], "write one type"),
        (&["patients=patients.csv", "visits=who.csv"], "not in the files of table visits"),
        (&["patients=visits.csv", "visits=patients.csv"], "patients.age"),
        (&["patients=patients.csv", "visits=visits.csv", "visits=ages.csv"], "none of the policy's columns"),
    ] {
        let said = world.fails("owner", &strs(&publish(&world, given)));
        assert!(said.contains(says), "{given:?}: {said}");
    }
    let policy = std::fs::read_to_string(world.path("tables.toml")).unwrap();
    for (from, to, says) in [
        ("[tables.visits]", "[tables.Visits]", "lower-case letters"),
        ("[tables.visits]", "[columns]\nx = {}\n[tables.visits]", "cannot be combined with tables"),
        ("[tables.visits]\n", "[tables.visits]\nperson = {}\n", "tables.visits.person"),
    ] {
        std::fs::write(world.path("tables.toml"), policy.replace(from, to)).unwrap();
        let said = world.fails("owner", &strs(&publish(&world, &["patients=patients.csv", "visits=visits.csv"])));
        assert!(said.contains(says), "{to}: {said}");
    }
}
