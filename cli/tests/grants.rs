//! Grants in the hands of real parties: narrowed for a colleague, for one program, for so many jobs an hour; and what anybody may see.

use crate::common::{self, World};

/// The id of a home's party.
fn id(world: &World, who: &str) -> String {
    world.ok(who, &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned()
}

#[test]
fn a_colleague_works_on_the_holder_s_account_until_the_owner_revokes_that() {
    let world = World::new();
    world.ok("colleague", &["init"]);
    let (buyer, colleague) = (id(&world, "buyer"), id(&world, "colleague"));
    let (grant, given, job) = (world.text("grant"), world.text("given"), world.count_job());
    world.ok("buyer", &["grant", "narrow", &grant, "--to", &colleague, "--rho", "0.1", "--out", &given]);
    let said = world.fails("colleague", &["grant", "narrow", &grant, "--to", &colleague, "--out", &given]);
    assert!(said.contains("only the holder can narrow it for others"), "{said}");
    let shown = world.ok("colleague", &["grant", "show", &given]);
    assert!(shown.contains(&format!("holder      {buyer}")) && shown.contains("narrowed for another holder by"), "{shown}");
    let node = world.serve(None);
    let result = world.ok("colleague", &world.run_args(&job, &node.address, &given));
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert!(result.to_string().contains(&colleague), "{result}");
    // In no other hands, and not for more.
    for (who, grant) in [("buyer", &given), ("colleague", &grant)] {
        let said = world.fails(who, &world.run_args(&job, &node.address, grant));
        assert!(said.contains("not granted"), "{who}: {said}");
    }
    let dear = world.job("dear.toml", "rho = 0.2\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    let said = world.fails("colleague", &world.run_args(&dear, &node.address, &given));
    assert!(said.contains("not granted"), "{said}");
    // One account: 0.1 of 0.9 is gone for its holder too.
    let rest = world.job("rest.toml", "rho = 0.85\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    let said = world.fails("buyer", &world.run_args(&rest, &node.address, &grant));
    assert!(said.contains("this buyer's remaining budget is"), "{said}");
    world.ok("owner", &["revoke", &given]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let tried = world.try_run("colleague", &world.run_args(&job, &node.address, &given));
        if common::text(&tried).contains("has revoked this grant") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{}", common::text(&tried));
    }
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    let report = world.audit(&node.address);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn programs_reducers_and_rates_are_bounds() {
    let world = World::new();
    let (buyer, job) = (id(&world, "buyer"), world.count_job());
    let grant = |name: &str, more: &[&str]| {
        let out = world.text(name);
        let mut args = vec!["grant", "towns", "--to", &buyer, "--out", &out];
        args.extend(more);
        world.ok("owner", &args);
        out.clone()
    };
    let (program, sums) = (grant("program", &["--program", &job]), grant("sums", &["--reducer", "sum"]));
    let (both, once) = (grant("both", &["--reducer", "sum,count"]), grant("once", &["--per-hour", "1"]));
    let node = world.serve(None);
    let other = world.job("other.toml", "rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    let refused = |job: &str, grant: &str, why: &str| {
        let said = world.fails("buyer", &world.run_args(job, &node.address, grant));
        assert!(said.contains(why), "{grant}: {said}");
    };
    world.ok("buyer", &world.run_args(&job, &node.address, &program));
    refused(&other, &program, "not granted");
    // The text alone is not the program: nor are declared keys, weights or public tables the holder's to choose; price and kind of noise are.
    let text = "[sql]\nquery = \"SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset\"\n";
    for (name, body) in [
        ("weights.toml", format!("rho = 0.1\nweights = {{ n = 2.0 }}\n{text}")),
        ("keys.toml", format!("rho = 0.1\n{text}keys = [[1]]\n")),
    ] {
        refused(&world.job(name, &body), &program, "not granted");
    }
    world.ok("buyer", &world.run_args(&world.job("cheap.toml", &format!("rho = 0.01\n{text}")), &node.address, &program));
    let shown = world.ok("buyer", &["grant", "show", &program]);
    let checked = world.ok("owner", &["check", &job, "--json"]);
    let id = serde_json::from_str::<serde_json::Value>(&checked).unwrap()["program"].as_str().unwrap().to_owned();
    assert!(
        shown.contains(&format!("programs    {id}")) && shown.contains("declared keys") && shown.contains("free "),
        "{shown}"
    );
    refused(&job, &sums, "not granted");
    world.ok("buyer", &world.run_args(&job, &node.address, &both));
    // A job that is sent again is no further one.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let mut same = world.run_args(&other, &node.address, &once);
    same.extend(["--request", "00112233445566778899aabbccddeeff", "--created", &now]);
    assert_eq!(world.ok("buyer", &same), world.ok("buyer", &same));
    refused(&other, &once, "not granted");
    let report = world.audit(&node.address);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn what_not_everybody_may_see_is_shown_to_those_with_a_grant() {
    let world = World::new();
    let (buyer, mock) = (id(&world, "buyer"), world.text("mock.csv"));
    let closed =
        common::POLICY.replace("BUYER", &buyer).replace("[access]", "[access]\nlist = \"granted\"\nrehearse = \"granted\"");
    std::fs::write(world.path("closed.toml"), closed).unwrap();
    std::fs::write(world.path("closed.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    std::fs::write(&mock, "person,spend,city\n8,2,north\n9,3,south\n").unwrap();
    let (file, policy) = (world.text("closed.csv"), world.text("closed.toml"));
    let args = ["publish", &file, "--name", "closed", "--unit", "person", "--policy", &policy, "--mock", &mock];
    world.ok("owner", &args);
    let grants = ["list", "rehearse", "compute"].map(|action| {
        let out = world.text(action);
        world.ok("owner", &["grant", "closed", "--to", &buyer, "--action", action, "--out", &out]);
        out.clone()
    });
    let node = world.serve(None);
    let listed = |args: &[&str]| world.ok("buyer", &[&["list", "--to", node.address.as_str()], args].concat());
    assert!(!listed(&[]).contains("closed") && listed(&[]).contains("towns"));
    // With the types that the signed manifest has.
    for line in ["unit person: BIGINT, at most", "spend: BIGINT in [0, 100]", "city: text\n"] {
        assert!(listed(&[]).contains(line), "{line}: {}", listed(&[]));
    }
    let offer: serde_json::Value = serde_json::from_str(&listed(&["--json"])).unwrap();
    let schema = offer["manifest"]["schema"].as_array().unwrap();
    assert!(schema.contains(&serde_json::json!({ "name": "spend", "arrow": "Int64" })), "{schema:?}");
    assert!(!listed(&["--grant", &world.text("grant")]).contains("closed"), "a grant of another dataset");
    for grant in &grants {
        assert!(listed(&["--grant", grant]).contains("closed"), "{grant}");
    }
    let job = world.path("closed-job.toml");
    std::fs::write(&job, "dataset = \"closed\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n").unwrap();
    let job = job.display().to_string();
    let rehearse = |grant: &'_ str| {
        vec!["rehearse".to_owned(), job.clone(), "--to".into(), node.address.clone(), "--grant".into(), grant.into()]
    };
    let run = |grant: &str| world.try_run("buyer", &rehearse(grant).iter().map(String::as_str).collect::<Vec<_>>());
    let said = common::text(&run(&grants[0]));
    assert!(said.contains("not granted"), "{said}");
    for grant in &grants[1..] {
        let done = run(grant);
        assert!(done.status.success(), "{grant}: {}", common::text(&done));
        std::fs::remove_dir_all(world.path("buyer/mocks")).unwrap();
    }
}

/// What of a component or a model a grant binds: its rows, parameters and outputs too.
#[test]
fn a_grant_for_a_program_is_for_all_of_it() {
    let world = World::new();
    let buyer = id(&world, "buyer");
    std::fs::write(world.path("heavy.wasm"), tidegate_fixtures::guest("heavy").unwrap()).unwrap();
    let output = |name: &str, hi: u32| format!("{{ name = \"{name}\", lo = 0, hi = {hi}, reducer = \"mean\", default = 0 }}");
    let body = |rho: &str, select: &str, more: &str, hi: u32| {
        let outputs = format!("outputs = [{}, {}]\n", output("a", hi), output("b", 1));
        format!("rho = {rho}\n[wasm]\nmodule = \"heavy.wasm\"\nselect = \"{select}\"\n{more}{outputs}")
    };
    let rows = "SELECT spend FROM dataset";
    let bound = world.job("bound.toml", &body("0.1", rows, "", 1));
    let grant = world.text("bound");
    world.ok("owner", &["grant", "towns", "--to", &buyer, "--program", &bound, "--out", &grant]);
    // The holder binds it for a colleague without the owner.
    let narrowed = world.text("narrowed");
    world.ok("buyer", &["grant", "narrow", &world.text("grant"), "--program", &bound, "--out", &narrowed]);
    let node = world.serve(None);
    for grant in [&grant, &narrowed] {
        for (name, other) in [
            ("rows.toml", body("0.1", "SELECT spend FROM dataset WHERE spend < 3", "", 1)),
            ("params.toml", body("0.1", rows, "params = \"x\"\n", 1)),
            ("split.toml", body("0.1", rows, "split = { blocks = 5 }\n", 1)),
            ("outputs.toml", body("0.1", rows, "", 2)),
        ] {
            let said = world.fails("buyer", &world.run_args(&world.job(name, &other), &node.address, grant));
            assert!(said.contains("not granted"), "{name}: {said}");
        }
        world.ok("buyer", &world.run_args(&world.job("price.toml", &body("0.02", rows, "", 1)), &node.address, grant));
    }
    assert_eq!(world.audit(&node.address)["findings"].as_array().map(Vec::len), Some(0));
}

/// A buyer is told before anything is charged, and in the owner's words: whom a grant is for, of which dataset, and what a job may cost under it.
#[test]
fn check_says_what_a_grant_does_not_allow() {
    let world = World::new();
    world.ok("colleague", &["init"]);
    let (buyer, job) = (id(&world, "buyer"), world.count_job());
    let grant = |name: &str, dataset: &str, more: &[&str]| {
        let out = world.text(name);
        let mut args = vec!["grant", dataset, "--to", &buyer, "--out", &out];
        args.extend(more);
        world.ok("owner", &args);
        out.clone()
    };
    std::fs::write(world.path("more.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    std::fs::write(world.path("more.toml"), policy).unwrap();
    let (file, policy) = (world.text("more.csv"), world.text("more.toml"));
    world.ok("owner", &["publish", &file, "--name", "more", "--unit", "person", "--policy", &policy]);
    let (cheap, sums) = (grant("cheap", "towns", &["--rho", "0.05"]), grant("sums", "towns", &["--reducer", "sum"]));
    let (other, listing) = (grant("other", "more", &[]), grant("listing", "towns", &["--action", "list"]));
    let node = world.serve(None);
    let good = world.text("grant");
    world.ok("buyer", &["check", &job, "--to", &node.address, "--grant", &good]);
    for (who, grant, field, why) in [
        ("buyer", &cheap, "grant.rho_ceiling", "at most ρ = 0.05"),
        ("buyer", &sums, "grant.reducers", "the job also has count"),
        ("buyer", &other, "grant", "for another dataset"),
        ("buyer", &listing, "grant.actions", "not compute"),
        ("colleague", &good, "grant.holder", "the grant's holder is"),
    ] {
        let checked = world.fails(who, &["check", &job, "--to", &node.address, "--grant", grant, "--json"]);
        let checked: serde_json::Value = serde_json::from_str(checked.lines().next().unwrap()).unwrap();
        let said = world.fails(who, &world.run_args(&job, &node.address, grant));
        assert_eq!((&checked["verdict"], &checked["field"]), (&"reject".into(), &field.into()), "{checked}");
        let reason = checked["reason"].as_str().unwrap();
        assert!(reason.contains(why) && said.contains(reason), "{checked}\n{said}");
    }
    assert_eq!(world.spent(), 0);
}
