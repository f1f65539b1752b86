//! Small inputs that people met with other tools, each with the answer that an independent tool gives, or the words of its refusal: `fixtures/cases`.

use std::path::Path;

use serde_json::Value;

use crate::common::World;

/// How far a released number may be from the right one: the jobs pay for hardly any noise.
const NEAR: f64 = 1.0;

#[test]
fn cases_that_people_met_give_the_right_answer_or_a_refusal_that_says_why() {
    let world = World::new();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases"));
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let at = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let rows = if path.join("a.csv").exists() { at("a.csv") } else { at("a.parquet") };
        let expected: Value = serde_json::from_slice(&std::fs::read(path.join("expected.json")).unwrap()).unwrap();
        let (job, policy) = (at("job.toml"), at("policy.toml"));
        let words = ["rehearse", &job, "--mock", &rows, "--policy", &policy, "--json"];
        looked_at += 1;
        if let Some(said) = expected["refused"].as_str() {
            let refused = world.fails("buyer", &words);
            assert!(refused.contains(said), "{job}: {refused}");
            continue;
        }
        let told: Value = serde_json::from_str(&world.ok("buyer", &words)).unwrap();
        let (found, right): (Vec<f64>, &Value) = match expected.get("cells") {
            Some(right) => {
                let cells = told["result"]["rows"][0]["cells"].as_array().unwrap();
                (cells.iter().map(|cell| cell["value"].as_f64().unwrap()).collect(), right)
            }
            // What the buyer's machine computes of them.
            None => {
                let row = told["answer"]["rows"][0].as_array().unwrap();
                let number = |value: &Value| value.as_f64().or_else(|| value["value"].as_f64()).unwrap();
                (row.iter().map(number).collect(), &expected["answer"])
            }
        };
        let right: Vec<f64> = right.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
        let near = found.len() == right.len() && found.iter().zip(&right).all(|(a, b)| (a - b).abs() < NEAR);
        assert!(near, "{job}: {found:?} for {right:?}");
    }
    assert!(looked_at >= 9, "{looked_at}");
}
