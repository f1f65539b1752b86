//! `tidegate policy`: a policy from the columns of files, and what a policy allows and its budget buys.

use std::fmt::Write as _;

use serde_json::Value;

use crate::common::World;

/// Visits of 40 people, of whom each has a temperature and a city made of `first` and `city`.
fn visits(world: &World, file: &str, first: u32, city: &str) -> String {
    let mut rows = String::from("person,temp,the city\n");
    for person in 0..40 {
        writeln!(rows, "u{first}{person},{}.25,{city}{person}", first + person).unwrap();
    }
    std::fs::write(world.path(file), rows).unwrap();
    world.text(file)
}

fn checked(world: &World, policy: &str) -> Value {
    serde_json::from_str(&world.ok("owner", &["policy", "check", policy, "--json"])).unwrap()
}

fn keys(checked: &Value) -> Vec<&str> {
    checked["warnings"].as_array().unwrap().iter().map(|warning| warning["key"].as_str().unwrap()).collect()
}

#[test]
fn a_suggested_policy_is_one_and_has_nothing_of_the_rows() {
    let world = World::new();
    let (file, other) = (visits(&world, "visits.csv", 73_421, "Zanzibar"), visits(&world, "other.csv", 58_907, "Quito"));
    let said = world.ok("owner", &["policy", "suggest", &file, "--unit", "person"]);
    assert_eq!(said, world.ok("owner", &["policy", "suggest", &other, "--unit", "person"]), "other values, the same columns");
    let data = std::fs::read_to_string(&file).unwrap();
    for value in data.lines().skip(1).flat_map(|line| line.split(',')) {
        assert!(!said.contains(value), "{value}: {said}");
    }
    assert!(said.contains("\ncolumn = \"person\""), "{said}");
    assert!(
        said.contains("# bounds of \"temp\" (DOUBLE): write what is known of the field, not what the data have\ntemp = {}\n")
    );
    assert!(said.contains("# \"the city\" (text)\n\"the city\" = {}"), "{said}");
    // Printed and written are the same; nothing is written over unasked.
    let out = world.text("suggested.toml");
    let suggest = ["policy", "suggest", &file, "--unit", "person", "--out", &out];
    world.ok("owner", &suggest);
    assert_eq!(std::fs::read_to_string(&out).unwrap().trim_end(), said.trim_end());
    assert!(world.fails("owner", &suggest).contains("--force"));
    world.ok("owner", &[&suggest[..], &["--force"]].concat());
    assert_eq!(keys(&checked(&world, &out)), ["columns"], "bounds are all that it lacks");
    world.ok("owner", &["publish", &file, "--name", "visits", "--unit", "person", "--policy", &out]);
}

#[test]
fn tables_are_suggested_each_with_its_columns() {
    let world = World::new();
    let file = world.text("visits.csv");
    let (people, out) = (format!("people={}", world.text("data.csv")), world.text("tables.toml"));
    // The unit has one type in all tables.
    let numbers: String = (0..40).map(|person| format!("{person},{person}.5\n")).collect();
    std::fs::write(&file, format!("person,temp\n{numbers}")).unwrap();
    world.ok("owner", &["policy", "suggest", &people, &format!("visits={file}"), "--unit", "person", "--out", &out]);
    let said = std::fs::read_to_string(&out).unwrap();
    let (people, visits) = said.split_once("[tables.visits]").unwrap();
    assert!(people.contains("[tables.people]") && people.contains("spend = {}") && visits.contains("temp = {}"), "{said}");
    assert_eq!(keys(&checked(&world, &out)), ["columns"]);
}

#[test]
fn a_unit_that_is_no_column_is_said_with_the_columns() {
    let world = World::new();
    let said = world.fails("owner", &["policy", "suggest", &world.text("data.csv"), "--unit", "Person"]);
    for words in ["--unit Person", "Perhaps it is person", "They have person, spend, city"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = world.fails("owner", &["policy", "suggest", &world.text("data.csv"), "--unit", "patient"]);
    assert!(said.contains("They have person, spend, city") && !said.contains("Perhaps"), "{said}");
}

#[test]
fn what_a_policy_turns_off_is_said_with_what_to_write() {
    let world = World::new();
    let safe = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let exact = "[reviewed]\njobs = 3\nmin_units = 3\ndominance = { units = 1, percent = 95 }\np_percent = 2\nround_to = 1\n";
    let open = safe
        .replace("per_buyer_rho = 0.9", "per_buyer_rho = 50.0")
        .replace("rho = 1.0", "rho = 50.0")
        .replace("min_units = 5", "min_units = 2")
        .replace("replicate = \"nobody\"", "replicate = \"granted\"\nreplay = \"granted\"")
        .replace("spend = { lo = 0, hi = 100 }", "spend = {}")
        .replace("[columns]", &format!("[versions]\nanswer = \"all\"\n{exact}[columns]"));
    let path = world.text("open.toml");
    std::fs::write(&path, &open).unwrap();
    let found = checked(&world, &path);
    assert_eq!(found["verdict"], "valid");
    assert_eq!(
        keys(&found),
        [
            "sql.rows",
            "budget.epsilon",
            "budget.per_buyer_epsilon",
            "budget.per_buyer_epsilon",
            "jobs.min_units",
            "jobs.tick",
            "jobs.dangerous_no_tick_for",
            "access.replicate",
            "access.replay",
            "versions.answer",
            "reviewed",
            "reviewed.min_units",
            "reviewed.dominance",
            "reviewed.p_percent",
            "reviewed.round_to",
            "columns",
        ]
    );
    let said = world.ok("owner", &["policy", "check", &path]);
    for warning in found["warnings"].as_array().unwrap() {
        let [key, problem, fix] = ["key", "problem", "fix"].map(|part| warning[part].as_str().unwrap());
        assert!(said.contains(&format!("  {key} {problem}. {fix}\n")), "{warning}: {said}");
    }
    // Mirrors see sizes: of files that nobody may copy only a bound that the owner states.
    let mirrored = |replicate: &str, more: &str| {
        let access = format!("replicate = \"{replicate}\"\nmirror = \"granted\"\n{more}");
        std::fs::write(&path, safe.replace("replicate = \"nobody\"", &access)).unwrap();
    };
    mirrored("nobody", "");
    let said = world.fails("owner", &["policy", "check", &path]);
    assert!(said.contains("files.max_mib") && said.contains("mirrors would see"), "{said}");
    for (replicate, more, seen) in
        [("nobody", "[files]\nmax_mib = 64", "padded to files.max_mib"), ("granted", "", "sizes are rounded")]
    {
        mirrored(replicate, more);
        let found = checked(&world, &path);
        let of_mirrors = found["warnings"].as_array().unwrap().iter().find(|warning| warning["key"] == "access.mirror").unwrap();
        assert!(of_mirrors["problem"].as_str().unwrap().contains(seen), "{of_mirrors}");
    }
    std::fs::write(&path, safe.replace("lo = 0, hi = 100", "lo = 100, hi = 0")).unwrap();
    assert!(world.fails("owner", &["policy", "check", &path]).contains("columns.spend"));
    assert!(world.fails("owner", &["policy", "check", &world.text("none.toml")]).contains("none.toml"));
}

/// What a budget is said to buy is what a job at that price is checked to have.
#[test]
fn what_a_budget_buys_is_the_noise_of_jobs_at_that_price() {
    let world = World::new();
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let found = checked(&world, &policy);
    let buys = found["buys"].as_array().unwrap();
    assert_eq!(buys.iter().map(|bought| bought["questions"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 100]);
    for bought in buys {
        let rho = bought["price"]["rho_micro"].as_f64().unwrap() / 1e6;
        let answers = bought["answers"].as_array().unwrap();
        let asked =
            [("a count of units", "COUNT(DISTINCT person)"), ("a count of rows", "COUNT(*)"), ("a sum of spend", "SUM(spend)")];
        assert_eq!(answers.len(), asked.len(), "{bought}");
        for (answer, (of, number)) in answers.iter().zip(asked) {
            assert_eq!(answer["of"], of);
            let job = world.job("one.toml", &format!("rho = {rho}\n[sql]\nquery = \"SELECT {number} AS x FROM dataset\"\n"));
            let job: Value =
                serde_json::from_str(&world.ok("owner", &["check", &job, "--rows", &data, "--policy", &policy, "--json"]))
                    .unwrap();
            let half = job["noise"][0]["parts"][0]["half_width_95"].as_f64().unwrap();
            assert!((answer["half_width_95"].as_f64().unwrap() - half).abs() <= half * 1e-4, "{answer}: {half}");
        }
    }
    let said = world.ok("owner", &["policy", "check", &policy]);
    assert!(said.contains("one buyer may spend ρ = 0.9") && said.contains("100 questions that share the budget"), "{said}");
    assert!(said.contains("a count of units is right to ± ") && said.contains("a sum of spend is right to ± "), "{said}");
}
