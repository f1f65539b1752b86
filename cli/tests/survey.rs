//! What bounds leave out is said: exactly to the owner, by the rule to the buyer.

use crate::common::World;
use serde_json::Value;

/// Eighty people of one row, twenty of nine in three cities each: of 260 rows the policy's two rows and two groups let 120 count.
fn clinic(world: &World) -> String {
    let row = |person: u32, row: u32| format!("{person},{},{}\n", 50 + row % 5, ["north", "south", "west"][row as usize % 3]);
    let rows = (0..100).flat_map(|p| (0..if p < 80 { 1 } else { 9 }).map(move |r| row(p, r)));
    std::fs::write(world.path("visits.csv"), format!("person,spend,city\n{}", rows.collect::<String>())).unwrap();
    world.text("visits.csv")
}

#[test]
fn what_bounds_leave_out_is_said_to_the_owner() {
    let world = World::new();
    let (file, policy) = (clinic(&world), world.text("policy.toml"));
    let before: Value = serde_json::from_str(&world.ok("owner", &["survey", &file, "--policy", &policy, "--json"])).unwrap();
    let published: Value = serde_json::from_str(&world.publish("visits.csv", &["--name", "visits"])).unwrap();
    assert_eq!(published["survey"], before, "the same before it is published");
    let again: Value = serde_json::from_str(&world.ok("owner", &["survey", "visits", "--json"])).unwrap();
    assert_eq!(again, before);
    let survey = &before[0];
    assert_eq!((&survey["units"], &survey["rows"]), (&100.into(), &260.into()));
    let bound = &survey["max_rows"];
    assert_eq!(bound["units_over"], 20);
    assert!((bound["rows_counted"].as_f64().unwrap() - 120.0 / 260.0).abs() < 1e-9, "{bound}");
    assert_eq!(bound["others"], serde_json::json!([{ "allows": 9, "rows_counted": 1.0, "noise": 4.5 }]));
    let grouped = &survey["max_groups"][0];
    assert_eq!((&grouped["column"], &grouped["bound"]["units_over"]), (&"city".into(), &20.into()));
    let said = world.ok("owner", &["survey", "visits"]);
    for words in [
        "260 rows of 100 units",
        "unit.max_rows = 2: 46.1 % of the rows count",
        "20 % of the privacy units have more rows",
        "unit.max_rows = 9 would count 100 %, with noise 4.5 times as wide",
        "unit.max_groups = 2, grouped by city (3 values): 76.9 %",
        "unit.max_groups = 3 would count 100 %, with noise 1.2 times as wide",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(world.path("owner")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("laid-out")), "{left:?}");
}

/// How many rows have no person is exact, and so in nothing that leaves the owner's machine.
#[test]
fn rows_without_a_person_are_told_to_the_owner_alone() {
    let world = World::new();
    let rows: String = (0..100).map(|p| format!("{p},50,north\n")).collect();
    std::fs::write(world.path("lossy.csv"), format!("person,spend,city\n{rows}{}", ",50,north\n".repeat(7))).unwrap();
    let published: Value = serde_json::from_str(&world.publish("lossy.csv", &["--name", "lossy"])).unwrap();
    let notes = published["read"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().contains("7 of 107 rows have no privacy unit")), "{notes:?}");
    let (file, policy) = (world.text("lossy.csv"), world.text("policy.toml"));
    for args in [&["survey", &file, "--policy", &policy][..], &["survey", "lossy"]] {
        let said = world.ok("owner", args);
        assert!(said.contains("7 more rows have no privacy unit"), "{said}");
        let json = world.ok("owner", &[args, &["--json"]].concat());
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), published["survey"]);
    }
    // What is signed and shown has nothing of it.
    let kept = tidegate_catalog::dataset::load_all(&world.path("owner/datasets")).unwrap().pop().unwrap();
    assert_eq!(kept.record.dropped, [7]);
    let signed = serde_json::to_string(&(kept.manifest.body(), kept.policy.body())).unwrap();
    assert!(!["dropped", "without_unit", "no privacy unit"].iter().any(|word| signed.contains(word)), "{signed}");
}

/// Values beyond the bounds count as the bounds: how many do is told to the owner, and which bounds would hold them.
#[test]
fn values_beyond_the_bounds_are_told_to_the_owner() {
    let world = World::new();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let spend = policy.lines().find(|line| line.starts_with("spend")).unwrap();
    std::fs::write(world.path("policy.toml"), policy.replace(spend, "spend = { lo = 10, hi = 100 }")).unwrap();
    let spent = |p: u32| match p {
        0..5 => 1,
        5..90 => 60,
        _ => p * 10,
    };
    let rows: String = (0..100).map(|p| format!("{p},{},north\n", spent(p))).collect();
    std::fs::write(world.path("visits.csv"), format!("person,spend,city\n{rows}")).unwrap();
    let published: Value = serde_json::from_str(&world.publish("visits.csv", &["--name", "visits"])).unwrap();
    let bounds = &published["survey"][0]["bounds"][0];
    assert_eq!((&bounds["below"], &bounds["above"]), (&0.05.into(), &0.1.into()), "{bounds}");
    assert_eq!(bounds["most"], serde_json::json!([1.0, 990.0]));
    let said = world.ok("owner", &["survey", "visits"]);
    for words in [
        "spend: 5 % of the values are below lo = 10 and count as 10",
        "spend: 10 % of the values are above hi = 100 and count as 100",
        "lo = 1, hi = 990 would hold 99 % of them",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_bounds_leave_out_is_said_to_the_buyer_who_can_ask_for_more() {
    let world = World::new();
    clinic(&world);
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let dear = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    std::fs::write(world.path("policy.toml"), dear.replace("rho = 1.0", "rho = 900000").replace("_rho = 0.9", "_rho = 900000"))
        .unwrap();
    world.publish("visits.csv", &["--name", "visits"]);
    world.ok("owner", &["grant", "visits", "--to", &buyer, "--rho", "900000", "--out", &world.text("all")]);
    let node = world.serve(None);
    let job = |query: &str| {
        std::fs::write(world.path("q.toml"), format!("dataset = \"visits\"\nrho = 1000\n[sql]\nquery = \"{query}\"\n")).unwrap();
        world.text("q.toml")
    };
    let grant = world.text("all");
    for (query, words) in [
        ("SELECT COUNT(*) AS n FROM dataset", "of each privacy unit, at most 2 rows count"),
        (
            "SELECT city, COUNT(*) AS n FROM dataset GROUP BY city",
            "of each privacy unit, at most 2 rows in each of at most 2 groups count",
        ),
        ("SELECT city, COUNT(DISTINCT person) AS n FROM dataset GROUP BY city", "of each privacy unit, at most 2 groups count"),
    ] {
        let path = job(query);
        let checked = world.ok("owner", &["check", &path]);
        assert!(checked.contains(words), "{checked}");
        let args = world.run_args(&path, &node.address, &grant);
        let args: Vec<&str> = args.iter().copied().filter(|a| *a != "--json").collect();
        let ran = world.ok("buyer", &args);
        assert!(ran.contains(words), "{ran}");
    }
    // How many rows units have is a question like others.
    let path = job(
        "SELECT APPROX_PERCENTILE_CONT(clamp(n, 0, 50), 0.9) AS most FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person) t",
    );
    let answer: Value = serde_json::from_str(&world.ok("buyer", &world.run_args(&path, &node.address, &grant))).unwrap();
    let most = answer["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
    assert!((8.5..9.5).contains(&most), "{answer}");
}
