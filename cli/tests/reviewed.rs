//! Exact results: only for a job whose every byte the owner approved, only what the owner's rules let through, and the receipt says so.

use crate::common::World;

const RULES: &str =
    "\n[reviewed]\njobs = 2\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n";

const QUERY: &str = "SELECT city, COUNT(DISTINCT person) AS people, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY city";

/// Forty in north who have 10 each, thirty in south of whom one has nearly all, twenty in east, three in west.
fn world() -> World {
    world_of(RULES)
}

fn world_of(rules: &str) -> World {
    world_with(rules, 100)
}

/// A world in which one in south spends so much.
fn world_with(rules: &str, one: u32) -> World {
    let world = World::new();
    let mut csv = String::from("person,spend,city\n");
    for person in 0..93 {
        let (city, spend) = match person {
            0..40 => ("north", 10),
            40 => ("south", one),
            41..70 => ("south", 0),
            70..90 => ("east", 7),
            _ => ("west", 50),
        };
        csv.push_str(&format!("{person},{spend},{city}\n"));
    }
    std::fs::write(world.path("exact.csv"), csv).unwrap();
    let policy = world.path("policy.toml");
    std::fs::write(&policy, format!("{}{rules}", std::fs::read_to_string(&policy).unwrap())).unwrap();
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
    for (query, says) in [
        ("SELECT city, COUNT(*) AS n FROM dataset GROUP BY ROLLUP (city)", "one grouping"),
        ("SELECT COUNT(*) AS n FROM dataset GROUP BY GROUPING SETS (())", "one grouping"),
        (
            "SELECT g, COUNT(DISTINCT person) AS n FROM (SELECT person, 1 AS g FROM dataset UNION ALL SELECT person, 2 FROM dataset WHERE spend < 60) GROUP BY g",
            "counts each row once",
        ),
        ("SELECT city, spend, COUNT(*) AS n FROM dataset GROUP BY city, spend", "needs declared groups"),
    ] {
        let refused = job(&world, "refused.toml", query);
        assert!(world.fails("buyer", &world.run_args(&refused, &node.address, &grant)).contains(says), "{query}");
    }
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
    // West is too small, and east is kept back with it, so that no margin gives it away; one person in south has all of its sum, and counts as the others do.
    assert_eq!(rows, [("north", vec![40.0, 40.0, 400.0]), ("south", vec![30.0, 30.0, 0.0])]);
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
        world.fails("buyer", &world.run_args(&towns, &node.address, &world.text("grant"))).contains("allows no exact results")
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
    let body = format!(
        "dataset = \"exact\"\nmode = \"reviewed\"\n[sql]\nquery = \"{query}\"\ntables = {{ places = \"places.csv\" }}\nkeys = [[\"cold\"], [\"warm\"]]\n"
    );
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

struct Asker<'a> {
    world: &'a World,
    node: &'a str,
    created: String,
}

impl Asker<'_> {
    fn ask(&self, request: char, job: &str) -> std::process::Output {
        let (request, grant) = (request.to_string().repeat(32), self.world.text("exact-grant"));
        let again = ["--request", &request, "--created", &self.created];
        self.world.try_run("buyer", &[&self.world.run_args(job, self.node, &grant)[..], &again].concat())
    }

    fn gets(&self, request: char, job: &str) -> serde_json::Value {
        let output = self.ask(request, job);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The job waits: its id, and the tables that are to be read beside it.
    fn waits(&self, request: char, job: &str) -> (String, Vec<String>) {
        let output = self.ask(request, job);
        assert!(String::from_utf8_lossy(&output.stderr).contains("waits for the owner's approval"), "{output:?}");
        let pending = self.world.ok("owner", &["pending", "--json"]);
        let last: serde_json::Value = serde_json::from_str(pending.lines().last().unwrap()).unwrap();
        let beside = last["beside"].as_array().unwrap().iter().map(|other| other["job"].as_str().unwrap().to_owned()).collect();
        (last["job"].as_str().unwrap().to_owned(), beside)
    }
}

/// All of them, and all but who is of interest: each table is good for itself, and both together are not. The owner reads both, or the second does not leave.
#[test]
fn a_second_table_of_the_same_people_needs_a_word_that_names_the_first() {
    let world = world_of(&RULES.replace("jobs = 2", "jobs = 9"));
    let node = world.serve(None);
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let asker = Asker { world: &world, node: &node.address, created };
    let all = job(&world, "all.toml", "SELECT SUM(spend) AS s, COUNT(*) AS n FROM dataset");
    let (first, beside) = asker.waits('a', &all);
    assert!(beside.is_empty());
    world.ok("owner", &["approve", &first]);
    asker.gets('a', &all);
    // The same table again has nothing to be read beside it.
    let (same, beside) = asker.waits('b', &all);
    assert!(beside.is_empty());
    world.ok("owner", &["approve", &same]);
    asker.gets('b', &all);
    // Two others, of which each differs by few.
    let but = |name: &str, spend: u32| job(&world, name, &format!("SELECT SUM(spend) AS s FROM dataset WHERE spend <> {spend}"));
    let (one, other) = (but("one.toml", 100), but("other.toml", 50));
    let (one_id, beside) = asker.waits('c', &one);
    assert_eq!(beside.len(), 1);
    assert!([&first, &same].contains(&&beside[0]));
    let said = world.fails("owner", &["approve", &one_id]);
    assert!(said.contains("are already released") && said.contains(&format!("--beside {}", &beside[0][..12])), "{said}");
    assert!(world.ok("owner", &["pending"]).contains("SELECT SUM(spend) AS s, COUNT(*) AS n FROM dataset"));
    world.ok("owner", &["approve", &one_id, "--beside", &beside[0][..12]]);
    let (other_id, _) = asker.waits('d', &other);
    world.ok("owner", &["approve", &other_id, "--beside", &beside[0][..12]]);
    asker.gets('c', &one);
    // Approved before that one left: it waits for another word.
    let (again, both) = asker.waits('d', &other);
    assert_eq!((&again, both.len()), (&other_id, 2));
    world.fails("owner", &["approve", &other_id, "--beside", &beside[0][..12]]);
    world.ok("owner", &["approve", &other_id, "--beside", &both[0], "--beside", &both[1]]);
    asker.gets('d', &other);
    assert_eq!(world.audit(&node.address)["findings"], serde_json::json!([]));
}

/// All of them, and all but one, where there is such a one and where there is not: both tables are the same, and what the owner's node remembers is the owner's.
#[test]
fn two_tables_whose_conditions_differ_by_one_say_nothing_of_them() {
    let rules = RULES.replace("jobs = 2", "jobs = 9").replace("round_to = 5", "round_to = 1");
    let both = [100, 0].map(|one| {
        let world = world_with(&rules, one);
        let node = world.serve(None);
        let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
        let asker = Asker { world: &world, node: &node.address, created };
        let counts = |name: &str, which: &str| {
            let query = format!("SELECT city, COUNT(*) AS n FROM dataset WHERE {which} GROUP BY city");
            let file = job(&world, name, &query);
            std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "keys = [[\"north\"], [\"south\"], [\"east\"]]\n")
                .unwrap();
            file
        };
        let (all, but) = (counts("all.toml", "spend < 1000"), counts("but.toml", "spend <> 100"));
        let (first, _) = asker.waits('a', &all);
        world.ok("owner", &["approve", &first]);
        let first = asker.gets('a', &all);
        let (second, beside) = asker.waits('b', &but);
        assert!(world.ok("owner", &["pending"]).contains("both are over groups by city"));
        let said = world.ok("owner", &["approve", &second, "--beside", &beside[0]]);
        assert!(said.contains("is released as in the other result"), "{said}");
        let second = asker.gets('b', &but);
        // By other keys: the owner is told so.
        let total = job(&world, "total.toml", "SELECT COUNT(*) AS n FROM dataset WHERE spend <> 100");
        let (third, beside) = asker.waits('c', &total);
        assert_eq!(beside.len(), 2);
        let pending = world.ok("owner", &["pending"]);
        assert!(
            pending.contains("is not measured: the other result is over groups by city, this one over one group of all"),
            "{pending}"
        );
        world.ok("owner", &["approve", &third, "--beside", &beside[0], "--beside", &beside[1]]);
        // The same job once more, with all three behind it: the same bytes.
        assert_eq!(asker.gets('b', &but)["result"], second["result"]);
        let found =
            |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let tables = world.path("owner").join("review/tables");
        let remembered: Vec<_> = found(&tables)
            .iter()
            .flat_map(|population| found(population))
            .filter(|p| p.extension().is_some_and(|e| e == "left"))
            .collect();
        assert_eq!(remembered.len(), 2);
        for path in remembered {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        [first, second].map(|one| {
            let mut result = one["result"].clone();
            result.as_object_mut().unwrap().remove("job");
            result.to_string()
        })
    });
    assert_eq!(both[0], both[1]);
    assert!(both[0][0].contains("30") && both[0][0] == both[0][1], "{both:?}");
}

/// A program that stands is another table over another version of the data: somebody came or left.
#[test]
fn a_standing_program_waits_once_another_version_has_answered() {
    let world = world_of(&RULES.replace("jobs = 2", "jobs = 9"));
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let all = job(&world, "all.toml", "SELECT COUNT(DISTINCT person) AS n FROM dataset");
    let (rows, rules) = (world.text("exact.csv"), world.text("policy.toml"));
    let checked = world.ok("buyer", &["check", &all, "--rows", &rows, "--policy", &rules, "--json"]);
    let program = serde_json::from_str::<serde_json::Value>(&checked).unwrap()["program"].as_str().unwrap().to_owned();
    let policy = world.path("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{text}standing = [{{ buyer = \"{buyer}\", program = \"{program}\" }}]\n")).unwrap();
    let version = |rows: &str| {
        let budgets = world.ok("owner", &["budget", "--json"]);
        let account =
            budgets.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).find(|b| b["dataset"] == "exact");
        world.publish(rows, &["--name", "exact", "--version-of", account.unwrap()["manifest"].as_str().unwrap()]);
    };
    version("exact.csv");
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    {
        let node = world.serve(None);
        let asker = Asker { world: &world, node: &node.address, created: created.clone() };
        asker.gets('a', &all);
        asker.gets('b', &all);
    }
    let mut text = std::fs::read_to_string(world.path("exact.csv")).unwrap();
    text.push_str("93,50,west\n");
    std::fs::write(world.path("more.csv"), text).unwrap();
    version("more.csv");
    let node = world.serve(None);
    let asker = Asker { world: &world, node: &node.address, created };
    let (_, beside) = asker.waits('c', &all);
    assert_eq!(beside.len(), 1);
}
