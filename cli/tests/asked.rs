//! A query on the command line stands for a job file, and what is offered can be checked against where it is offered.

use crate::common::World;
use serde_json::Value;

const SQL: &str = "SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset";

fn json(said: &str) -> Value {
    serde_json::from_str(said).unwrap()
}

#[test]
fn a_query_on_the_command_line_is_the_job_that_its_file_is() {
    let world = World::new();
    let node = world.serve(None);
    world.ok("buyer", &["peers", "add", "clinic", &node.address]);
    let (count, grant, out) = (world.count_job(), world.text("grant"), world.text("results"));
    let written = json(&world.ok("buyer", &["check", &count, "--to", "clinic", "--json"]));
    let said = json(&world.ok("buyer", &["check", "--sql", SQL, "--rho", "0.1", "--to", "clinic", "--json"]));
    assert_eq!(written, said);
    assert_eq!((said["verdict"].as_str(), said["cost"]["rho_micro"].as_u64()), (Some("accept"), Some(100_000)));
    let query = ["run", "--sql", SQL, "--to", "clinic", "--grant", &grant];
    let run = json(&world.ok("buyer", &[&query[..], &["--rho", "0.1", "--out", &out, "--json"]].concat()));
    assert_eq!(run["result"]["rows"][0]["cells"].as_array().unwrap().len(), 2, "{run}");
    assert!(world.path("results/receipts/query.dsse.json").exists());
    assert_eq!(world.spent(), 100_000);
    // It is the very same as the file's, and was asked.
    assert!(world.fails("buyer", &["run", &count, "--to", "clinic", "--grant", &grant]).contains("the same job was sent"));
    let answer = world.ok("buyer", &[&query[..], &["--epsilon", "0.5", "--dataset", "towns"]].concat());
    assert!(answer.contains("95 % interval"), "{answer}");
    // The rules of a job file are those of what stands for one.
    assert!(world.fails("buyer", &query).contains("give either epsilon or rho"));
    let both = world.fails("buyer", &[&query[..], &["--epsilon", "1", "--rho", "1"]].concat());
    assert!(both.contains("give either epsilon or rho"), "{both}");
    assert!(world.fails("buyer", &["run", &count, "--sql", SQL, "--to", "clinic"]).contains("cannot be used with"));
    assert!(world.fails("buyer", &["run", &count, "--rho", "1", "--to", "clinic"]).contains("cannot be used with"));
    assert!(world.fails("buyer", &["run", "--sql", SQL, "--rho", "1"]).contains("--dataset"));
    drop(node);
    // Of several datasets it is said which.
    std::fs::write(world.path("more.csv"), "person,spend,city\na,1,north\nb,2,south\n").unwrap();
    world.publish("more.csv", &["--name", "more"]);
    let node = world.serve(None);
    let several = world.fails("buyer", &["check", "--sql", SQL, "--rho", "0.1", "--to", &node.address]);
    assert!(several.contains("--dataset: there are more, towns"), "{several}");
    world.ok("buyer", &["check", "--sql", SQL, "--rho", "0.1", "--to", &node.address, "--dataset", "more"]);
}

/// On mock rows too: an owner's, and one's own, which have no name.
#[test]
fn a_query_on_the_command_line_is_rehearsed() {
    let world = World::new();
    std::fs::write(world.path("mocked.csv"), "person,spend,city\n901,1,north\n902,2,south\n").unwrap();
    world.publish("mocked.csv", &["--name", "mocked", "--mock", &world.text("data.csv")]);
    let node = world.serve(None);
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let query = ["rehearse", "--sql", SQL, "--rho", "0.5", "--json"];
    let mine = json(&world.ok("buyer", &[&query[..], &["--mock", &data, "--policy", &policy]].concat()));
    let theirs = json(&world.ok("buyer", &[&query[..], &["--to", &node.address, "--dataset", "mocked"]].concat()));
    for rehearsed in [mine, theirs] {
        assert_eq!(rehearsed["result"]["cost"]["rho_micro"], 500_000, "{rehearsed}");
        assert_eq!(rehearsed["result"]["columns"], serde_json::json!(["n", "s"]), "{rehearsed}");
    }
    let unpaid = world.fails("buyer", &[&query[..3], &["--mock", &data, "--policy", &policy]].concat());
    assert!(unpaid.contains("give either epsilon or rho"), "{unpaid}");
    assert!(world.fails("buyer", &["rehearse", "--mock", &data, "--policy", &policy]).contains("--sql"));
}

#[test]
fn a_check_against_nothing_says_what_to_check_against() {
    let world = World::new();
    let said = world.fails("buyer", &["check", &world.count_job()]);
    for part in ["no dataset \"towns\" here", "--to PEER", "--offers FILE", "--rows FILE --policy FILE"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// A table without rows comes with the reason, and a long released table is not printed below the few rows that were asked for.
#[test]
fn an_empty_answer_has_a_reason_and_a_long_table_is_not_repeated() {
    let world = World::new();
    let (mock, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let rehearsed = |query: &str, keys: &str| {
        let job = world.job("asked.toml", &format!("rho = 0.2\n[sql]\nquery = \"{query}\"\n{keys}\n"));
        world.ok("buyer", &["rehearse", &job, "--mock", &mock, "--policy", &policy])
    };
    let of = |rest: &str| format!("SELECT city, COUNT(*) AS n FROM dataset {rest}");
    let (none, left_out, computed) = ("no row was released", "removed all released rows", "was computed here");
    let said = rehearsed(&of("WHERE spend > 90 GROUP BY city"), "");
    assert!(said.contains(none) && said.contains("`keys`") && !said.contains(left_out), "{said}");
    let said = rehearsed(&of("GROUP BY city HAVING COUNT(*) > 100000"), "keys = [[\"north\"]]");
    assert!(said.contains(left_out) && !said.contains(none) && said.contains("│ north "), "{said}");
    let towns = |number: usize| {
        let keys: Vec<_> = (0..number).map(|town| format!("[\"t{town}\"]")).collect();
        rehearsed(&of("GROUP BY city ORDER BY n DESC LIMIT 1"), &format!("keys = [{}]", keys.join(", ")))
    };
    let (short, long) = (towns(20), towns(21));
    assert!(short.contains(computed) && short.matches("│ t").count() == 21, "{short}");
    assert!(long.contains("from 21 released rows: --json prints them") && long.matches("│ t").count() == 1, "{long}");
    assert!(!long.contains(none) && !long.contains(left_out), "{long}");
}
