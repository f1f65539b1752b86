//! What says nothing is marked, wherever a result is shown.

use crate::common::World;
use serde_json::Value;

/// Groups that hold nobody give averages and ratios too: they are marked, by what was released alone, wherever a result is shown.
#[test]
fn averages_of_too_few_and_computed_numbers_are_marked_in_words() {
    let world = World::new();
    let node = world.serve(None);
    let keys: String = (0..20).map(|i| format!(", [\"empty {i}\"]")).collect();
    let query =
        "SELECT city, COUNT(*) AS n, AVG(spend) AS a, SUM(spend) / COUNT(*) AS r, COUNT(*) + 1 AS m FROM dataset GROUP BY city";
    let job = world.job("towns.toml", &format!("rho = 0.8\n[sql]\nquery = \"{query}\"\nkeys = [[\"north\"]{keys}]\n"));
    let (grant, csv) = (world.text("grant"), world.text("towns.csv"));
    let said = world.ok("buyer", &["run", &job, "--to", &node.address, "--grant", &grant, "--out", &csv]);
    for part in ["too few to say  [0, 100]", " too few to say  "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let list = world.ok("buyer", &["results", "list", "--json"]);
    let id = serde_json::from_str::<Value>(list.lines().next().unwrap()).unwrap()["request"].as_str().unwrap().to_owned();
    let shown: Value = serde_json::from_str(&world.ok("buyer", &["results", "show", &id, "--json"])).unwrap();
    let (answer, text) = (&shown["answer"], std::fs::read_to_string(&csv).unwrap());
    assert!(text.starts_with("city,n,n_low,n_high,a,a_low,a_high,a_note,r,r_low,r_high,r_note,m,m_low,m_high\n"), "{text}");
    let mut marked = [0; 2];
    for (at, row) in answer["rows"].as_array().unwrap().iter().enumerate() {
        let end = |column: usize, end: usize| answer["intervals"][at][column][end].as_f64().unwrap();
        let whole = end(2, 0) < 1e-6 && end(2, 1) > 100.0 - 1e-6;
        let zero = end(1, 0) <= 0.0 && end(1, 1) >= 0.0;
        marked = [marked[0] + u32::from(whole), marked[1] + u32::from(zero)];
        let few = |is: bool, or: Value| if is { Value::from("too few to say") } else { or };
        // A ratio whose divisor is near zero may have no interval either.
        let lost = answer["intervals"][at][3].is_null();
        assert!(lost || !zero, "{row}");
        let notes = serde_json::json!([null, null, few(whole, Value::Null), few(lost, Value::Null), null]);
        assert_eq!(answer["notes"][at], notes, "{row}");
        // One more than a count has the count's noise.
        let number = |column: usize| row[column].as_f64().unwrap();
        let width = |column: usize| end(column, 1) - end(column, 0);
        assert!((width(4) / width(1) - 1.0).abs() < 0.25, "{row}: {} of {}", width(4), width(1));
        assert!(end(4, 0) <= number(4) && number(4) <= end(4, 1), "{row}");
        if !lost {
            let ratio = number(3);
            assert!(end(3, 0) <= ratio && ratio <= end(3, 1) && end(3, 0) < end(3, 1), "{row}");
        }
        let place = shown["result"]["columns"].as_array().unwrap().iter().position(|name| name == "a").unwrap();
        let released = shown["result"]["rows"].as_array().unwrap().iter().position(|one| one["key"][0] == row[0]).unwrap();
        assert_eq!(shown["cell_notes"][released][place], few(whole, Value::Null), "{row}");
        let line = text.lines().find(|line| line.starts_with(&format!("{},", row[0].as_str().unwrap()))).unwrap();
        assert_eq!(line.matches("too few to say").count(), usize::from(whole) + usize::from(lost), "{line}");
        if row[0] == "north" {
            assert!(!whole && !lost, "sixty rows are told from noise: {row}");
        }
    }
    let rehearse = ["rehearse", &job, "--mock", &world.text("data.csv"), "--policy", &world.text("policy.toml"), "--json"];
    let rehearsed: Value = serde_json::from_str(&world.ok("buyer", &rehearse)).unwrap();
    let rows = |of: &Value| of.as_array().map(Vec::len);
    assert_eq!(rows(&rehearsed["cell_notes"]), rows(&rehearsed["result"]["rows"]));
    assert!(rehearsed["notes"][0].as_str().unwrap().contains("SUM(x) / COUNT(*)"), "{rehearsed}");
    // Each of twenty empty groups is told from zero with a chance of a fortieth.
    assert!(marked.iter().all(|marked| *marked > 0), "{marked:?}");
}
