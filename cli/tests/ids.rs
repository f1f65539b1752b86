//! Ids may be cut to what tells them apart, wherever one is written.

use crate::common::World;
use serde_json::Value;

#[test]
fn the_beginning_of_an_id_stands_for_it_wherever_it_is_written() {
    let world = World::new();
    let listed = |address: &str| -> Vec<Value> {
        let said = world.ok("buyer", &["list", "--to", address, "--grant", &world.text("grant"), "--json"]);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let node = world.serve(None);
    let id = listed(&node.address)[0]["id"].as_str().unwrap().to_owned();
    let (cut, short) = (&id[..8], &id[..5]);
    let body = |id: &str| format!("dataset = \"{id}\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    std::fs::write(world.path("cut.toml"), body(cut)).unwrap();
    std::fs::write(world.path("short.toml"), body(short)).unwrap();
    let grant = world.text("grant");
    world.ok("buyer", &world.run_args(&world.text("cut.toml"), &node.address, &grant));
    assert!(world.fails("buyer", &world.run_args(&world.text("short.toml"), &node.address, &grant)).contains("no dataset"));
    assert!(world.ok("owner", &["catalog", "history", cut]).contains(&id));
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    world.ok("owner", &["grant", cut, "--to", &buyer, "--out", &world.text("other-grant")]);
    drop(node);
    std::fs::write(world.path("next.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "61,3,north\n").unwrap();
    let next: Value = serde_json::from_str(&world.publish("next.csv", &["--name", "towns", "--version-of", cut])).unwrap();
    let next = next["dataset"].as_str().unwrap().to_owned();
    assert!(world.ok("owner", &["catalog", "diff", cut, &next[..8]]).contains("file"));
    assert!(world.fails("owner", &["retire", short]).contains("no dataset"));
    assert!(world.ok("owner", &["retire", &next[..8]]).contains("retired version"));
}
