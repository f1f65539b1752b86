//! `tidegate check` answers as the owner would, without owner, data, network or charge.

use crate::common;
use crate::common::World;

fn verdict(world: &World, who: &str, args: &[&str]) -> (bool, serde_json::Value) {
    let output = world.try_run(who, &[&["check"], args, &["--json"]].concat());
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", common::text(&output))))
}

#[test]
fn a_check_gives_the_owners_verdict_and_the_jobs_own_noise() {
    let world = World::new();
    let node = world.serve(None);
    let offers = world.ok("buyer", &["list", "--to", &node.address, "--json"]);
    std::fs::write(world.path("offers.json"), offers).unwrap();
    let (count, grant, offers) = (world.count_job(), world.text("grant"), world.text("offers.json"));
    let rows = world.job("rows.toml", "rho = 0.1\n[sql]\nquery = \"SELECT spend FROM dataset\"\n");
    let run: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&count, &node.address, &grant))).unwrap();
    let refused = world.fails("buyer", &world.run_args(&rows, &node.address, &grant));
    drop(node);
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    for (who, against) in
        [("buyer", vec!["--offers", &offers]), ("buyer", vec!["--rows", &data, "--policy", &policy]), ("owner", vec![])]
    {
        let (accepted, said) = verdict(&world, who, &[&[count.as_str()], &against[..]].concat());
        assert!(accepted && said["verdict"] == "accept", "{said}");
        assert_eq!(said["mechanism"], run["receipt"]["statement"]["predicate"]["facts"]["mechanism"], "as the receipt states it");
        assert_eq!(said["cost"], run["result"]["cost"]);
        let split = &said["split"];
        let all: f64 = split["columns"].as_array().unwrap().iter().map(|rho| rho.as_f64().unwrap()).sum();
        assert!((all + split["threshold"].as_f64().unwrap_or(0.0) - 0.1).abs() < 1e-9, "{split}");
        let (accepted, said) = verdict(&world, who, &[&[rows.as_str()], &against[..]].concat());
        assert!(!accepted && said["verdict"] == "reject", "{said}");
        assert!(refused.contains(said["reason"].as_str().unwrap()), "{said} is not {refused}");
    }
    assert_eq!(world.spent(), 100_000, "the one job that ran");
}

/// Whoever refuses a query, its line is shown with a caret under what is meant; the text is the buyer's own, and moves nothing on a terminal.
#[test]
fn a_refusal_shows_where_in_the_query_it_is() {
    let world = World::new();
    let node = world.serve(None);
    let query = "SELECT COUNT(*) AS n\nFROM dataset\nWHERE city <> 'a\u{9b}b' AND spnd > 3";
    let job = world.job("where.toml", &format!("rho = 0.1\n[sql]\nquery = {}\n", serde_json::json!(query)));
    let (grant, data, policy) = (world.text("grant"), world.text("data.csv"), world.text("policy.toml"));
    let line = "3 | WHERE city <> 'a\u{FFFD}b' AND spnd > 3\n";
    let caret = "  |                         ^";
    let checked = world.try_run("owner", &["check", &job]);
    let rehearsed = world.fails("buyer", &["rehearse", &job, "--mock", &data, "--policy", &policy]);
    let run = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    for said in [common::text(&checked), rehearsed, run] {
        let set_in = format!("{line}  {caret}");
        assert!(said.contains("program.query:3:25") && said.contains("Perhaps it is spend"), "{said}");
        assert!(said.contains(&format!("{line}{caret}")) || said.contains(&set_in), "{said}");
        assert!(said.lines().all(tidegate_protocol::shown::is_plain), "{said:?}");
    }
    assert_eq!(world.spent(), 0);
}

/// Releases drawn again and again have the spread that the receipt would state, around the true count; nothing is charged for them.
#[test]
fn sampled_releases_have_the_stated_spread() {
    let world = World::new();
    let (job, data, policy) = (world.count_job(), world.text("data.csv"), world.text("policy.toml"));
    let args = ["gate", "sample", &job, "--data", &data, "--policy", &policy, "--runs", "2000"];
    let lines = world.ok("auditor", &[&args[..], &["--json"]].concat());
    let counts: Vec<f64> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["rows"][0]["cells"][0]["value"].as_f64().unwrap())
        .collect();
    assert_eq!(counts.len(), 2000);
    let (_, said) = verdict(&world, "owner", &[&job]);
    let sigma = said["mechanism"]["columns"][0]["deviation"][0].as_f64().unwrap();
    let mean = counts.iter().sum::<f64>() / 2000.0;
    let deviation = (counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 1999.0).sqrt();
    // Six standard errors: of the mean σ/√n, of the deviation σ/√(2n).
    assert!((mean - 120.0).abs() < 6.0 * sigma / 2000f64.sqrt(), "{mean}");
    assert!((deviation / sigma - 1.0).abs() < 6.0 / 4000f64.sqrt(), "{deviation} is not {sigma}");
    let shown = world.ok("auditor", &args);
    assert!(shown.contains("in 2000 of 2000") && shown.contains("noise"), "{shown}");
    assert_eq!(world.spent(), 0);
    let left: Vec<_> = std::fs::read_dir(world.path("auditor")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Weights go by the names that the query's output has, above ORDER BY too, and each column's noise is said with what it is on.
#[test]
fn weights_take_the_outputs_names_and_noise_is_labelled() {
    let world = World::new();
    let query = "[sql]\nquery = \"SELECT city, SUM(spend) AS total, SUM(spend) AS again, COUNT(*) AS n FROM dataset GROUP BY city ORDER BY total DESC LIMIT 5\"\n";
    let job = |name: &str, head: &str| world.job(name, &format!("rho = 0.1\n{head}\n{query}"));
    let (accepted, said) = verdict(&world, "owner", &[&job("named.toml", "weights = { total = 3 }")]);
    assert!(accepted, "{said}");
    let split = said["split"]["columns"].as_array().unwrap();
    assert!((split[0].as_f64().unwrap() / split[1].as_f64().unwrap() - 3.0).abs() < 1e-9, "{said}");
    let by_other = verdict(&world, "owner", &[&job("other.toml", "weights = { again = 3 }")]).1;
    assert_eq!(by_other["split"], said["split"], "by its other name, the same");
    let (accepted, twice) = verdict(&world, "owner", &[&job("twice.toml", "weights = { total = 3, again = 2 }")]);
    assert!(!accepted && twice["reason"].as_str().unwrap().contains("two weights for one column"), "{twice}");
    let (accepted, unknown) = verdict(&world, "owner", &[&job("unknown.toml", "weights = { totl = 3 }")]);
    assert!(!accepted && unknown["fix"].as_str().unwrap().contains("again (released as total), n"), "{unknown}");
    // The receipt's number, and its share of 95 %.
    let (noise, sigma) = (&said["noise"][0]["parts"][0], &said["mechanism"]["columns"][0]["deviation"][0]);
    assert_eq!((&noise["of"], &noise["standard_deviation"]), (&"sum".into(), sigma));
    let half = noise["half_width_95"].as_f64().unwrap();
    assert!((half / sigma.as_f64().unwrap() - 1.96).abs() < 1e-3, "{noise}");
    let shown = world.ok("owner", &["check", &world.text("named.toml")]);
    assert!(shown.contains("noise on the sum: standard deviation") && shown.contains("95 % within ±"), "{shown}");
    let inside = world.job("inside.toml", &format!("rho = 0.1\n{query}weights = {{ total = 3 }}\n"));
    let said = world.fails("owner", &["check", &inside]);
    assert!(said.contains("top of the file"), "{said}");
}

/// A sum over a count is not the mean where a person has more rows than count: said where both are asked for.
#[test]
fn a_sum_beside_a_count_is_said_not_to_make_a_mean() {
    let world = World::new();
    let job = |name: &str, what: &str| world.job(name, &format!("rho = 0.1\n[sql]\nquery = \"SELECT {what} FROM dataset\"\n"));
    let notes = |job: &str| verdict(&world, "owner", &[job]).1["notes"].as_array().unwrap().clone();
    let by_hand = job("by_hand.toml", "SUM(spend) / COUNT(*) AS m");
    let said = notes(&by_hand);
    assert!(said.len() == 1 && said[0].as_str().unwrap().contains("SUM(x) / COUNT(*) differs from AVG(x)"), "{said:?}");
    assert!(world.ok("owner", &["check", &by_hand]).contains("note: for a privacy unit with more than"));
    for (name, what) in [("avg.toml", "AVG(spend) AS m"), ("sum.toml", "SUM(spend) AS s")] {
        assert!(notes(&job(name, what)).is_empty(), "{what}");
    }
}

/// What takes long to plan is refused before it is charged, however cheap it is for a row: it would be planned within its slot too, and leave too little of it to the rows.
#[test]
fn what_takes_long_to_plan_is_refused() {
    let world = World::new();
    let node = world.serve(None);
    let nest = |x: &str| (0..4).fold(x.to_owned(), |inner, _| format!("concat('b', {inner})"));
    let mut tables = format!("WITH l0 AS (SELECT {} AS x, spend FROM dataset)", nest("city"));
    for level in 1..9 {
        tables += &format!(", l{level} AS (SELECT {} AS x, spend FROM l{})", nest("x"), level - 1);
    }
    let named = (0..18).map(|i| format!(" OR x = '{i}'")).collect::<String>();
    let query = format!("{tables} SELECT COUNT(*) AS n FROM l8 WHERE spend > 0{named}");
    let job = world.job("nest.toml", &format!("rho = 0.1\n[sql]\nquery = \"{query}\"\n"));
    let refused = world.fails("buyer", &world.run_args(&job, &node.address, &world.text("grant")));
    assert!(refused.contains("to plan"), "{refused}");
    assert_eq!(world.spent(), 0, "nothing is charged");
}

/// A query whose texts may be long reads fewer rows of each unit than there may be, and says how many.
#[test]
fn rows_that_are_not_read_are_said_to_be_left_out() {
    let world = World::new();
    let job = |name: &str, filter: &str| {
        world.job(name, &format!("rho = 0.1\n[sql]\nquery = \"SELECT AVG(spend) AS m FROM dataset WHERE {filter}\"\n"))
    };
    let said = |job: &str| verdict(&world, "owner", &[job]).1;
    let texts = job("texts.toml", "lower(city) <> 'q'");
    let planned = said(&texts);
    let read = planned["mechanism"]["rows_read"].as_u64().unwrap();
    assert!((2..10_000).contains(&read), "{planned}");
    let shown = world.ok("owner", &["check", &texts]);
    assert!(shown.contains(&format!("only the first {read} rows of each privacy unit are read")), "{shown}");
    assert!(shown.contains("averages are over all rows read of each privacy unit"), "{shown}");
    // Numbers alone: so many rows that no unit has more.
    let numbers = said(&job("numbers.toml", "spend > 1"));
    assert!(numbers["mechanism"]["rows_read"].as_u64().is_none_or(|rows| rows > read), "{numbers}");
    assert!(
        numbers["notes"].as_array().unwrap().iter().all(|note| !note.as_str().unwrap().contains("only the first")),
        "{numbers}"
    );
}
