//! Exact results: only for a job whose every byte the owner approved, only what the owner's rules let through, and the receipt says so.

use crate::common::World;

const RULES: &str =
    "\n[reviewed]\njobs = 2\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n";

const QUERY: &str = "SELECT city, COUNT(DISTINCT person) AS people, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY city";

/// Forty in north who have 10 each, thirty in south of whom one has nearly all, twenty in east, three in west.
fn world() -> World {
    let world = World::new();
    let mut csv = String::from("person,spend,city\n");
    for person in 0..93 {
        let (city, spend) = match person {
            0..40 => ("north", 10),
            40 => ("south", 100),
            41..70 => ("south", 0),
            70..90 => ("east", 7),
            _ => ("west", 50),
        };
        csv.push_str(&format!("{person},{spend},{city}\n"));
    }
    std::fs::write(world.path("exact.csv"), csv).unwrap();
    let policy = world.path("policy.toml");
    std::fs::write(&policy, format!("{}{RULES}", std::fs::read_to_string(&policy).unwrap())).unwrap();
    world.publish("exact.csv", &["--name", "exact"]);
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    world.ok("owner", &["grant", "exact", "--to", &buyer, "--rho", "1", "--out", &world.text("exact-grant")]);
    world
}

fn job(world: &World, name: &str, query: &str) -> String {
    std::fs::write(world.path(name), format!("dataset = \"exact\"\nmode = \"reviewed\"\n[sql]\nquery = \"{query}\"\n")).unwrap();
    world.text(name)
}

#[test]
fn an_exact_result_needs_the_owners_word_and_keeps_the_rules() {
    let world = world();
    let node = world.serve(None);
    let (job_file, grant) = (job(&world, "towns.toml", QUERY), world.text("exact-grant"));
    let request = ["--request", "abababababababababababababababab"];
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let args = [&world.run_args(&job_file, &node.address, &grant)[..], &request, &["--created", &created]].concat();
    let said = world.fails("buyer", &args);
    assert!(said.contains("waits for the owner's approval") && said.contains(&format!("--created {created}")), "{said}");
    // What could not run does not wait: it is refused by the same words as any other.
    let mean = job(&world, "mean.toml", "SELECT AVG(spend) AS a FROM dataset");
    assert!(world.fails("buyer", &world.run_args(&mean, &node.address, &grant)).contains("SUM(x) / COUNT(x)"));
    let rows = job(&world, "rows.toml", "SELECT * FROM dataset");
    assert!(world.fails("buyer", &world.run_args(&rows, &node.address, &grant)).contains("Only aggregates leave"));

    let waiting = world.ok("owner", &["pending", "--json"]);
    let [waiting] = waiting.lines().collect::<Vec<_>>()[..] else { panic!("{waiting}") };
    let waiting: serde_json::Value = serde_json::from_str(waiting).unwrap();
    assert_eq!((&waiting["dataset"], &waiting["query"]), (&"exact".into(), &QUERY.into()));
    assert!(world.ok("owner", &["pending"]).contains(QUERY));
    let id = waiting["job"].as_str().unwrap();
    world.ok("owner", &["approve", &id[..12]]);
    assert!(world.ok("owner", &["pending"]).contains("no job waits"));

    // Another job, though it differs in its request id alone, waits again.
    let other = world.fails("buyer", &world.run_args(&job_file, &node.address, &grant));
    assert!(other.contains("waits for the owner's approval"), "{other}");
    let second = serde_json::from_str::<serde_json::Value>(&world.ok("owner", &["pending", "--json"])).unwrap();
    world.ok("owner", &["deny", second["job"].as_str().unwrap()]);

    let result: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    let values = |row: &serde_json::Value| {
        row["cells"].as_array().unwrap().iter().map(|c| c["value"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let rows: Vec<_> =
        result["result"]["rows"].as_array().unwrap().iter().map(|r| (r["key"][0].as_str().unwrap(), values(r))).collect();
    // West is too small, one person in south holds all of its sum; two are kept back, so no margin gives either away.
    assert_eq!(rows, [("east", vec![20.0, 20.0, 140.0]), ("north", vec![40.0, 40.0, 400.0])]);
    assert!(!result.to_string().contains("west"), "{result}");
    let predicate = &result["receipt"]["statement"]["predicate"];
    assert_eq!((&predicate["mode"], &predicate["facts"]["mechanism"]["noise"]), (&"reviewed".into(), &"none".into()));
    assert!(predicate["facts"]["approval"].is_string());
    assert_eq!(predicate["facts"]["ledger"]["cost"], serde_json::json!({ "rho_micro": 0, "delta_femto": 0, "reviewed": 1 }));
    assert_eq!(result["remaining"]["reviewed"], 1);
    // The same job again: the same bytes, not counted again. And the log holds for an auditor.
    let again: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    assert_eq!((&again["result"], &again["remaining"]["reviewed"]), (&result["result"], &1.into()));
    let report = world.audit(&node.address);
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
}

/// The policy may name a buyer and a program; the count still holds.
#[test]
fn a_standing_rule_lets_its_program_through_until_the_count_is_spent() {
    let world = world();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let (towns, rows, rules) = (job(&world, "towns.toml", QUERY), world.text("exact.csv"), world.text("policy.toml"));
    let checked = world.ok("buyer", &["check", &towns, "--rows", &rows, "--policy", &rules, "--json"]);
    let program = serde_json::from_str::<serde_json::Value>(&checked).unwrap()["program"].as_str().unwrap().to_owned();
    let policy = world.path("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{text}standing = [{{ buyer = \"{buyer}\", program = \"{program}\" }}]\n")).unwrap();
    let budgets = world.ok("owner", &["budget", "--json"]);
    let account =
        budgets.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).find(|b| b["dataset"] == "exact").unwrap();
    world.publish("exact.csv", &["--name", "exact", "--version-of", account["manifest"].as_str().unwrap()]);
    let node = world.serve(None);
    let (towns, grant) = (job(&world, "towns.toml", QUERY), world.text("exact-grant"));
    for _ in 0..2 {
        world.ok("buyer", &world.run_args(&towns, &node.address, &grant));
    }
    assert!(world.fails("buyer", &world.run_args(&towns, &node.address, &grant)).contains("over budget"));
    // The same text for other groups is another program.
    let keyed = world.text("keyed.toml");
    std::fs::write(&keyed, format!("{}keys = [[\"north\"]]\n", std::fs::read_to_string(&towns).unwrap())).unwrap();
    assert!(world.fails("buyer", &world.run_args(&keyed, &node.address, &grant)).contains("waits for the owner's approval"));
    let other = job(&world, "other.toml", "SELECT COUNT(*) AS n FROM dataset");
    assert!(world.fails("buyer", &world.run_args(&other, &node.address, &grant)).contains("waits for the owner's approval"));
    // A dataset whose policy has no such rules gives none.
    let towns = world.job("none.toml", "mode = \"reviewed\"\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    assert!(
        world.fails("buyer", &world.run_args(&towns, &node.address, &world.text("grant"))).contains("gives no exact results")
    );
}

/// Tables that a buyer sends are part of the question: they lie beside it until the owner has spoken.
#[test]
fn the_owner_can_read_what_a_question_is_joined_to() {
    let world = world();
    let node = world.serve(None);
    std::fs::write(world.path("places.csv"), "city,zone\nnorth,cold\nsouth,warm\neast,warm\nwest,warm\n").unwrap();
    let query =
        "SELECT zone, COUNT(DISTINCT person) AS people FROM dataset JOIN places ON dataset.city = places.city GROUP BY zone";
    let body =
        format!("dataset = \"exact\"\nmode = \"reviewed\"\n[sql]\nquery = \"{query}\"\ntables = {{ places = \"places.csv\" }}\n");
    std::fs::write(world.path("zones.toml"), body).unwrap();
    let (job, grant) = (world.text("zones.toml"), world.text("exact-grant"));
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let again = ["--request", "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "--created", &created];
    let args = [&world.run_args(&job, &node.address, &grant)[..], &again].concat();
    let said = world.fails("buyer", &args);
    assert!(said.contains("waits for the owner's approval"), "{said}");
    let waiting: serde_json::Value = serde_json::from_str(&world.ok("owner", &["pending", "--json"])).unwrap();
    let tables = std::path::PathBuf::from(waiting["tables"].as_str().unwrap());
    assert!(std::fs::read(&tables).unwrap().windows(4).any(|bytes| bytes == b"cold"), "they are as they were sent");
    assert!(world.ok("owner", &["pending"]).contains(waiting["tables"].as_str().unwrap()));
    world.ok("owner", &["approve", waiting["job"].as_str().unwrap()]);
    assert!(!tables.exists());
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    assert_eq!(said["result"]["rows"].as_array().unwrap().len(), 2, "{said}");
}
