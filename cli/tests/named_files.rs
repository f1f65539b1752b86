//! Files that options name: an error says which option and which file, before anything is charged or logged.

use crate::common::World;

const NOWHERE: &str = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK@127.0.0.1:9";

#[test]
fn a_file_that_is_not_there_is_named_with_its_option() {
    let world = World::new();
    let (job, data, lost) = (world.count_job(), world.text("data.csv"), world.text("lost"));
    let beyond = world.text("no-folder/file.csv");
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let cases: [(&str, &str, Vec<&str>); 16] = [
        ("buyer", "--grant", vec!["run", &job, "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["list", "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["rehearse", &job, "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["fetch", "towns", "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["catalog", "history", "towns", "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["hold", "begin", "towns", "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["mirror", "keep", "--to", NOWHERE, "--grant", &lost]),
        ("buyer", "--grant", vec!["replay", "1", "--to", NOWHERE, "--grant", &lost, "--data", &data]),
        ("buyer", "GRANT", vec!["grant", "show", &lost]),
        ("buyer", "--policy", vec!["rehearse", &job, "--mock", &data, "--policy", &lost]),
        ("buyer", "--policy", vec!["check", &job, "--rows", &data, "--policy", &lost]),
        ("buyer", "--policy", vec!["gate", "sample", &job, "--data", &data, "--policy", &lost]),
        ("owner", "--policy", vec!["publish", &data, "--name", "x", "--unit", "person", "--policy", &lost]),
        ("buyer", "--offers", vec!["check", &job, "--offers", &lost]),
        ("buyer", "--out", vec!["run", &job, "--to", NOWHERE, "--out", &beyond]),
        ("owner", "--out", vec!["grant", "towns", "--to", &buyer, "--out", &beyond]),
    ];
    let before = world.ok("owner", &["grants"]);
    for (who, option, args) in cases {
        let said = world.fails(who, &args);
        let file = if option == "--out" { &beyond } else { &lost };
        assert!(said.contains(&format!("{option} {file}")), "{args:?}: {said}");
    }
    assert_eq!(world.ok("owner", &["grants"]), before, "no grant is logged that nobody gets");
}

#[test]
fn a_grant_may_be_given_as_its_text() {
    let world = World::new();
    let node = world.serve(None);
    let (job, token) = (world.count_job(), std::fs::read_to_string(world.path("grant")).unwrap());
    world.ok("buyer", &world.run_args(&job, &node.address, token.trim()));
    world.ok("buyer", &["grant", "show", token.trim()]);
    // What is neither a file nor a token is not printed whole.
    let broken = format!("{}x", token.trim());
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &broken));
    assert!(said.contains("--grant ") && said.contains("or the token itself") && !said.contains(&broken), "{said}");
}

#[test]
fn who_rehearses_without_mock_rows_is_told_where_they_come_from() {
    let world = World::new();
    let node = world.serve(None);
    let said = world.fails("buyer", &["rehearse", &world.count_job(), "--to", &node.address]);
    assert!(said.contains("publish --mock") && said.contains("--policy FILE"), "{said}");
}
