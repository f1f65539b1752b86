//! What is said where the newest version of a dataset is retired, or all of it: nobody is sent to what does not answer.

use serde_json::Value;

use crate::common::World;

/// The owner's versions of `towns`, the first published first.
fn versions(world: &World) -> Vec<String> {
    let lines = world.ok("owner", &["catalog", "history", "towns", "--json"]);
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    lines.lines().map(id).collect()
}

fn published(said: &str) -> String {
    serde_json::from_str::<Value>(said).unwrap()["dataset"].as_str().unwrap().to_owned()
}

#[test]
fn who_asks_for_a_retired_version_is_told_what_answers() {
    let world = World::new();
    let (first, grant, by_name) = (versions(&world)[0].clone(), world.text("grant"), world.count_job());
    std::fs::write(
        world.path("by_id.toml"),
        format!("dataset = \"{first}\"\nrho = 0.01\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n"),
    )
    .unwrap();
    let by_id = world.text("by_id.toml");
    let second = published(&world.publish("data.csv", &["--name", "towns", "--version-of", &first]));
    world.ok("owner", &["retire", &second]);
    let node = world.serve(None);
    let said = world.fails("buyer", &world.run_args(&by_name, &node.address, &grant));
    assert!(said.contains("newest version of \"towns\" is retired") && !said.contains("It offers"), "{said}");
    let said = world.fails("buyer", &world.run_args(&by_id, &node.address, &grant));
    assert!(said.contains("is also retired") && !said.contains("Name the dataset"), "{said}");
    let said = world.ok("buyer", &["list", "--to", &node.address]);
    assert!(said.contains("nothing is offered"), "{said}");
    assert_eq!(world.ok("buyer", &["list", "--to", &node.address, "--json"]), "");
    drop(node);
    // Where its policy lets older ones answer, they are named.
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    std::fs::write(world.path("policy.toml"), format!("[versions]\nanswer = \"all\"\n{policy}")).unwrap();
    let third = published(&world.publish("data.csv", &["--name", "towns", "--version-of", &first]));
    world.ok("owner", &["retire", &third]);
    let node = world.serve(None);
    let said = world.fails("buyer", &world.run_args(&by_name, &node.address, &grant));
    assert!(said.contains(&first) && !said.contains(&second), "{said}");
    world.ok("buyer", &world.run_args(&by_id, &node.address, &grant));
}

#[test]
fn rows_of_a_retired_dataset_have_no_second_budget_and_no_advice_that_fails() {
    let world = World::new();
    let first = versions(&world)[0].clone();
    world.ok("owner", &["retire", "towns", "--all"]);
    let publish = |file: &str, more: &[&str]| {
        let (file, policy) = (world.text(file), world.text("policy.toml"));
        world.fails("owner", &[&["publish", file.as_str(), "--unit", "person", "--policy", policy.as_str()], more].concat())
    };
    let said = publish("data.csv", &["--name", "again"]);
    assert!(said.contains("cannot be published by this key again") && !said.contains("--version-of"), "{said}");
    let said = publish("data.csv", &["--name", "towns", "--version-of", &first]);
    assert!(said.contains("retired permanently"), "{said}");
    let said = publish("data.csv", &["--name", "towns"]);
    assert!(said.contains("another --name") && !said.contains("--version-of"), "{said}");
    // Other people's rows are another dataset.
    let csv: String = (100..140).map(|person| format!("{person},{},north\n", person % 50)).collect();
    std::fs::write(world.path("others.csv"), format!("person,spend,city\n{csv}")).unwrap();
    world.publish("others.csv", &["--name", "others"]);
    let node = world.serve(None);
    let said = world.ok("buyer", &["list", "--to", &node.address]);
    assert!(said.contains("others") && !said.contains("towns") && !said.contains("nothing"), "{said}");
    world.ok("owner", &["retire", "others", "--all"]);
    let said = world.ok("buyer", &["list", "--to", &node.address]);
    assert!(said.contains("nothing is offered"), "{said}");
}

#[test]
fn what_is_published_beside_a_running_node_is_refused_with_what_to_do() {
    let world = World::new();
    let first = versions(&world)[0].clone();
    let node = world.serve(None);
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let args = ["publish", &data, "--name", "towns", "--unit", "person", "--policy", &policy, "--version-of", &first];
    let said = world.fails("owner", &args);
    assert!(said.contains("tidegate serve") && said.contains("start it again"), "{said}");
    drop(node);
    world.ok("owner", &args);
}
