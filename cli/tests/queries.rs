//! What a query does with released numbers: computed where it was asked, from exactly what the owner released.

use crate::common;
use crate::common::World;

/// A public table comes with the job, is named in it by hash, and what it says of each row can be counted.
#[test]
fn a_public_table_comes_with_the_job() {
    let world = World::new();
    let node = world.serve(None);
    std::fs::write(world.dir.path().join("places.csv"), "town,zone,size\nnorth,cold,3\nsouth,warm,8\n").unwrap();
    let query = "SELECT zone, COUNT(*) AS n, AVG(size) AS size FROM dataset JOIN places ON city = town GROUP BY zone";
    let body = format!(
        "rho = 0.6\n[sql]\nquery = \"\"\"{query}\"\"\"\nkeys = [[\"cold\"], [\"warm\"]]\ntables = {{ places = \"places.csv\" }}\n"
    );
    let (job, grant) = (world.job("zones.toml", &body), world.text("grant"));
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    let columns = said["receipt"]["statement"]["predicate"]["facts"]["mechanism"]["columns"].clone();
    assert_eq!((&columns[1]["lo"], &columns[1]["hi"]), (&3.0.into(), &8.0.into()), "the table's own bounds: {said}");
    assert_eq!(said["result"]["rows"].as_array().unwrap().len(), 2);
    std::fs::write(world.dir.path().join("places.csv"), "town,zone,size\nnorth,cold,3\nnorth,warm,8\n").unwrap();
    let refused = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(refused.contains("north is there twice") && refused.contains("program.tables.places"), "{refused}");
}

#[test]
fn having_order_limit_and_arithmetic_are_computed_from_what_was_released() {
    let world = World::new();
    let node = world.serve(None);
    let query = "SELECT upper(city) AS town, SUM(spend) / COUNT(*) AS mean, COUNT(*) AS n FROM dataset GROUP BY city \
        HAVING COUNT(*) > 0 ORDER BY mean DESC LIMIT 1";
    let body = format!(
        "rho = 0.6\nweights = {{ \"sum(spend)\" = 5 }}\n[sql]\nquery = \"\"\"{query}\"\"\"\nkeys = [[\"north\"], [\"south\"], [\"none\"]]\n"
    );
    let (job, grant, out) = (world.job("top.toml", &body), world.text("grant"), world.text("top.csv"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    let (answer, released) = (&said["answer"], &said["result"]);
    assert_eq!(answer["columns"], serde_json::json!(["town", "mean", "n"]));
    assert_eq!(released["rows"].as_array().unwrap().len(), 3, "all that was declared is released");
    let column = |name: &str| {
        released["columns"].as_array().unwrap().iter().position(|c| c == name).unwrap_or_else(|| panic!("{released}"))
    };
    let value = |row: &serde_json::Value, name: &str| row["cells"][column(name)]["value"].as_f64().unwrap();
    let means = released["rows"].as_array().unwrap().iter().filter(|r| value(r, "n") > 0.0);
    let mut means: Vec<_> =
        means.map(|r| (value(r, "sum(spend)") / value(r, "n"), r["key"][0].as_str().unwrap().to_uppercase())).collect();
    means.sort_by(|a, b| b.0.total_cmp(&a.0));
    let [row] = answer["rows"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((row[0].as_str().unwrap(), row[1].as_f64().unwrap()), (means[0].1.as_str(), means[0].0));
    // Five parts of six of ρ: σ of the sum is for ρ/2·(5/6) a group.
    let noise = said["receipt"]["statement"]["predicate"]["facts"]["mechanism"]["columns"][column("sum(spend)")]["noise_scale"]
        [0]
    .as_f64()
    .unwrap();
    assert!((noise / (200.0 / (2.0f64 * 0.25).sqrt()) - 1.0).abs() < 1e-6, "{noise}");
    let csv = std::fs::read_to_string(&out).unwrap();
    assert!(csv.starts_with("town,mean,mean_low,mean_high,mean_note,n,n_low,n_high\n") && csv.lines().count() == 2, "{csv}");
    // Where a value is the released one, its interval is there too, wherever it is looked for.
    let first = released["rows"].as_array().unwrap().iter().find(|r| r["key"][0].as_str().unwrap().to_uppercase() == row[0]);
    let cell = &first.unwrap()["cells"][column("n")];
    assert_eq!(answer["intervals"][0][2], serde_json::json!([cell["low"], cell["high"]]));
    // The mean has one too, unless the count is near zero.
    let (mean, ends) = (row[1].as_f64().unwrap(), &answer["intervals"][0][1]);
    let within = |ends: &serde_json::Value| ends[0].as_f64().unwrap() <= mean && mean <= ends[1].as_f64().unwrap();
    assert!(if ends.is_null() { answer["notes"][0][1] == "too few to say" } else { within(ends) }, "{answer}");
    let line: Vec<f64> = csv.lines().nth(1).unwrap().split(',').skip(5).map(|n| n.parse().unwrap()).collect();
    assert_eq!(serde_json::json!(line), serde_json::json!([cell["value"], cell["low"], cell["high"]]));
    // The account shows both charges, who made them, and what each may still spend.
    world.ok("buyer", &world.run_args(&world.count_job(), &node.address, &grant));
    let account: serde_json::Value = serde_json::from_str(&world.ok("owner", &["budget", "--json"])).unwrap();
    assert_eq!(
        (&account["buyers"][0]["spent"]["rho_micro"], &account["buyers"][0]["left"]["rho_micro"]),
        (&700_000.into(), &200_000.into())
    );
    assert_eq!((account["charges"].as_array().unwrap().len(), &account["reserved"]["rho_micro"]), (2, &0.into()));
    let shown = world.ok("owner", &["budget", "--plot"]);
    assert!(shown.contains("ρ by job, of 1") && shown.lines().count() > 10, "{shown}");
    // Who misspells a weight is told the columns.
    let bad = world.job("bad.toml", &body.replace("sum(spend)", "sum"));
    let said = world.fails("buyer", &world.run_args(&bad, &node.address, &grant));
    assert!(said.contains("weights.sum") && said.contains("sum(spend)"), "{said}");
}

/// Shares, ranks and a total of a released table: computed where it was asked, from one aggregate that is paid for once, with the intervals of what is released.
#[test]
fn shares_and_totals_are_of_the_released_table_whose_receipt_holds() {
    let world = World::new();
    let node = world.serve(None);
    let query = "WITH t AS (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city) \
        SELECT city, n, 100.0 * n / SUM(n) OVER () AS share, RANK() OVER (ORDER BY n DESC) AS place FROM t WHERE n > -1000 \
        UNION ALL SELECT 'all', SUM(n), 100, (SELECT COUNT(*) FROM t) FROM t";
    let body = format!("rho = 0.2\n[sql]\nquery = \"\"\"{query}\"\"\"\nkeys = [[\"north\"], [\"south\"], [\"none\"]]\n");
    let (job, grant, out) = (world.job("shares.toml", &body), world.text("grant"), world.text("shares.csv"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    let (answer, released) = (&said["answer"], said["result"]["rows"].as_array().unwrap());
    assert_eq!((&answer["columns"], released.len()), (&serde_json::json!(["city", "n", "share", "place"]), 3));
    let rows = answer["rows"].as_array().unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {answer}"));
    let counts: Vec<f64> = released.iter().map(|row| number(&row["cells"][0]["value"])).collect();
    let total: f64 = counts.iter().sum();
    assert_eq!(rows.len(), 4);
    for (i, row) in rows[..3].iter().enumerate() {
        let cell = &released.iter().find(|released| released["key"][0] == row[0]).unwrap()["cells"][0];
        assert_eq!((&row[1], &answer["intervals"][i][1]), (&cell["value"], &serde_json::json!([cell["low"], cell["high"]])));
        assert!((number(&row[2]) - 100.0 * number(&row[1]) / total).abs() < 1e-9, "{answer}");
        assert_eq!(number(&row[3]), 1.0 + counts.iter().filter(|n| **n > number(&row[1])).count() as f64, "{answer}");
        assert_eq!(answer["notes"][i], serde_json::json!([null, null, null, "no interval"]), "{answer}");
        let ends = [0, 1].map(|end| number(&answer["intervals"][i][2][end]));
        assert!(ends[0] < number(&row[2]) && number(&row[2]) < ends[1] && ends[1] - ends[0] < 100.0, "{answer}");
    }
    assert_eq!((&rows[3][0], number(&rows[3][2]), number(&rows[3][3])), (&"all".into(), 100.0, 3.0));
    assert!((number(&rows[3][1]) - total).abs() < 1e-9, "{answer}");
    // A total has the noise of all, a rank has none, and 100 is no released number.
    let width = |ends: &serde_json::Value| number(&ends[1]) - number(&ends[0]);
    let (total, one) = (width(&answer["intervals"][3][1]), width(&answer["intervals"][0][1]));
    assert!((total / one / 3_f64.sqrt() - 1.0).abs() < 0.25, "{answer}");
    assert_eq!(answer["intervals"][3], serde_json::json!([null, answer["intervals"][3][1], null, null]));
    assert_eq!(answer["notes"][3], serde_json::json!([null, null, null, "no interval"]), "{answer}");
    let csv = std::fs::read_to_string(&out).unwrap();
    assert!(
        csv.starts_with("city,n,n_low,n_high,share,share_low,share_high,share_note,place,place_note\n")
            && csv.lines().any(|line| line.starts_with("all,")),
        "{csv}"
    );
    // Paid for once, and the log with its receipt holds.
    assert_eq!(world.spent(), 200_000);
    let report = world.audit(&node.address);
    assert!(report["outcomes"] == 1 && report["findings"].as_array().unwrap().is_empty(), "{report}");
    // What was kept says the same again.
    let listed = world.ok("buyer", &["results", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = listed["request"].as_str().unwrap_or_else(|| panic!("{listed}"));
    let kept: serde_json::Value = serde_json::from_str(&world.ok("buyer", &["results", "show", id, "--json"])).unwrap();
    assert_eq!(kept["answer"], *answer);
    // The same on mock rows, and a verdict before any.
    let (mock, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let shown: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &["rehearse", &job, "--mock", &mock, "--policy", &policy, "--json"])).unwrap();
    assert_eq!((&shown["answer"]["columns"], &shown["answer"]["rows"][3][0]), (&answer["columns"], &"all".into()));
    let several = body.replace("SUM(n), 100, (SELECT COUNT(*) FROM t) FROM t", "COUNT(*), 100, 0 FROM dataset");
    let refused = world.fails("buyer", &world.run_args(&world.job("several.toml", &several), &node.address, &grant));
    assert!(refused.contains("several aggregates") && refused.contains("a job for each"), "{refused}");
    assert_eq!(world.spent(), 200_000);
}

/// The name under which the owner published is a table's name wherever a query is looked at: with a manifest it is the manifest's, and without one what the job says.
#[test]
fn a_dataset_may_be_called_by_its_name() {
    let world = World::new();
    let node = world.serve(None);
    let grant = world.text("grant");
    let body = "rho = 0.1\n[sql]\nquery = \"SELECT towns.city, COUNT(*) AS n, SUM(towns.spend) FROM towns GROUP BY city\"\nkeys = [[\"north\"]]\n";
    let job = world.job("named.toml", body);
    let (policy, data) = (world.text("policy.toml"), world.text("data.csv"));
    for (who, args) in [
        ("owner", vec!["check", &job]),
        ("buyer", vec!["check", &job, "--to", &node.address, "--grant", &grant]),
        ("buyer", vec!["check", &job, "--rows", &data, "--policy", &policy]),
        ("buyer", vec!["rehearse", &job, "--mock", &data, "--policy", &policy]),
    ] {
        world.ok(who, &args);
    }
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    assert_eq!(said["result"]["columns"], serde_json::json!(["n", "sum(spend)"]), "{said}");
    // By its id it is the same dataset, with the same name.
    let id = said["receipt"]["statement"]["predicate"]["facts"]["dataset"].as_str().unwrap().to_owned();
    std::fs::write(world.path("by-id.toml"), format!("dataset = \"{id}\"\n{body}")).unwrap();
    let again = world.ok("buyer", &world.run_args(&world.text("by-id.toml"), &node.address, &grant));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap()["result"]["columns"], said["result"]["columns"]);
    std::fs::write(world.path("towns.csv"), "city,size\nnorth,3\n").unwrap();
    let taken = world.job("taken.toml", &format!("{body}tables = {{ towns = \"towns.csv\" }}\n"));
    let refused = world.fails("buyer", &world.run_args(&taken, &node.address, &grant));
    assert!(refused.contains("program.tables.towns") && refused.contains("the name of the dataset"), "{refused}");
    let other = world.job("other.toml", &body.replace("FROM towns", "FROM town"));
    let refused = world.fails("buyer", &world.run_args(&other, &node.address, &grant));
    assert!(refused.contains("there is no table town") && refused.contains("There are: dataset, towns"), "{refused}");
}

/// Where the policy says so, a question that was asked before has the answer that was given, at no cost; at another price it is another question.
#[test]
fn a_question_that_was_asked_before_is_answered_again_for_nothing() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let policy = common::POLICY.replace("BUYER", &buyer).replace("min_units = 5", "min_units = 5\nanswer_again = true");
    std::fs::write(world.path("again.toml"), policy).unwrap();
    std::fs::write(world.path("again.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let (file, policy, pass) = (world.text("again.csv"), world.text("again.toml"), world.text("pass"));
    world.ok("owner", &["publish", &file, "--name", "again", "--unit", "person", "--policy", &policy]);
    world.ok("owner", &["grant", "again", "--to", &buyer, "--out", &pass]);
    let node = world.serve(None);
    let ask = |price: &str, dataset: &str, grant: &str| {
        let path = world.path("asked.toml");
        let body = format!("dataset = \"{dataset}\"\nrho = {price}\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
        std::fs::write(&path, body).unwrap();
        let said = world.ok("buyer", &world.run_args(&path.display().to_string(), &node.address, grant));
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let (first, second, third) = (ask("0.1", "again", &pass), ask("0.1", "again", &pass), ask("0.2", "again", &pass));
    assert_eq!((&first["earlier"], &second["earlier"], &third["earlier"]), (&false.into(), &true.into(), &false.into()));
    assert_eq!((&first["result"], &first["receipt"]), (&second["result"], &second["receipt"]));
    assert_eq!(second["remaining"]["rho_micro"], 800_000);
    assert_ne!(first["result"]["job"], third["result"]["job"]);
    assert_eq!(third["remaining"]["rho_micro"], 600_000);
    // A policy that does not say so charges both.
    let grant = world.text("grant");
    let (first, second) = (ask("0.1", "towns", &grant), ask("0.1", "towns", &grant));
    assert_ne!(first["result"]["job"], second["result"]["job"]);
    assert_eq!(second["remaining"]["rho_micro"], 700_000);
}
