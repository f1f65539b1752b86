//! Laplace noise: paid in pure ε, from a purse of the policy's own.

use crate::common;
use crate::common::World;

#[test]
fn laplace_noise_is_paid_from_a_purse_of_its_own() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let policy = common::POLICY
        .replace("BUYER", &buyer)
        .replace("\nrho = 1.0", "\nepsilon = 3.0\nlaplace_epsilon = 2.0")
        .replace("per_buyer_rho = 0.9", "per_buyer_epsilon = 2.0\nper_buyer_laplace_epsilon = 1.5");
    std::fs::write(world.path("purse.toml"), policy).unwrap();
    std::fs::write(world.path("own.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "99,1,north\n").unwrap();
    let (file, policy, pass) = (world.text("own.csv"), world.text("purse.toml"), world.text("pass"));
    world.ok("owner", &["publish", &file, "--name", "purse", "--unit", "person", "--policy", &policy]);
    world.ok("owner", &["grant", "purse", "--to", &buyer, "--epsilon", "0.8", "--out", &pass]);
    let node = world.serve(None);
    let job = |name: &str, dataset: &str, price: &str| {
        let path = world.path(name);
        let query = "SELECT city, COUNT(DISTINCT person) AS n FROM dataset GROUP BY city";
        std::fs::write(&path, format!("dataset = \"{dataset}\"\n{price}\n[sql]\nquery = \"{query}\"\n")).unwrap();
        path.display().to_string()
    };
    let fair = job("fair.toml", "purse", "epsilon = 0.8\nnoise = \"laplace\"");
    let said: serde_json::Value = serde_json::from_str(&world.ok("buyer", &world.run_args(&fair, &node.address, &pass))).unwrap();
    let facts = &said["receipt"]["statement"]["predicate"]["facts"];
    // A thousandth of the half of δ that is for thresholds pays for the keys.
    assert_eq!(facts["ledger"]["cost"], serde_json::json!({ "rho_micro": 0, "epsilon_micro": 800_000, "delta_femto": 500_000 }));
    assert_eq!(facts["mechanism"]["noise"], "discrete-laplace");
    // Half for the threshold, half for the column, over two groups: b = 2/0.4.
    let stated = |what: &str| facts["mechanism"]["columns"][0][what][0].as_f64().unwrap();
    let (scale, deviation) = (stated("noise_scale"), stated("deviation"));
    assert!((scale / 5.0 - 1.0).abs() < 1e-6, "{scale}");
    // Of the discrete distribution: 2α/(1 − α)², α = e^(−1/5).
    let alpha = (-0.2f64).exp();
    assert!((deviation / ((2.0 * alpha).sqrt() / (1.0 - alpha)) - 1.0).abs() < 1e-6, "{deviation}");
    assert_eq!((&said["remaining"]["epsilon_micro"], &said["remaining"]["delta_femto"]), (&700_000.into(), &499_500_000.into()));

    // The purse is empty before the rest of the budget is, and the grant has a ceiling for it.
    let refused = world.fails("buyer", &world.run_args(&fair, &node.address, &pass));
    assert!(refused.contains("cost.epsilon_micro") && refused.contains("pure ε = 0.7"), "{refused}");
    let dear = job("dear.toml", "purse", "epsilon = 0.81\nnoise = \"laplace\"");
    assert!(world.fails("buyer", &world.run_args(&dear, &node.address, &pass)).contains("grant"));
    let gauss = job("gauss.toml", "purse", "epsilon = 0.4");
    world.ok("buyer", &world.run_args(&gauss, &node.address, &pass));
    let account: serde_json::Value = world
        .ok("owner", &["budget", "--json"])
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .find(|a: &serde_json::Value| a["dataset"] == "purse")
        .unwrap();
    assert_eq!(account["left"]["epsilon_micro"], 1_200_000);
    assert!(account["left"]["rho_micro"].as_u64().unwrap() > 0);
    let shown = world.ok("owner", &["budget", "--plot"]);
    assert!(shown.contains("pure ε by job, of 2") && shown.contains("pure ε = 0.8"), "{shown}");
    assert_eq!(world.audit(&node.address)["findings"], serde_json::json!([]));

    // A policy without a purse has no Laplace noise, and says so before anything is asked.
    let none = job("none.toml", "towns", "epsilon = 0.5\nnoise = \"laplace\"");
    let (rows, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let said = world.fails("buyer", &["check", &none, "--rows", &rows, "--policy", &policy]);
    assert!(said.contains("laplace_epsilon") && said.contains("cost.epsilon_micro"), "{said}");
    let (rows, policy) = (world.text("data.csv"), world.text("purse.toml"));
    let said = world.ok("buyer", &["check", &fair, "--rows", &rows, "--policy", &policy]);
    assert!(said.contains("accept") && said.contains("pure ε = 0.8") && said.contains("for pure ε 0.4"), "{said}");
    for (name, price) in [
        ("a.toml", "rho = 0.1\nnoise = \"laplace\""),
        ("b.toml", "noise = \"laplace\""),
        ("c.toml", "epsilon = -1\nnoise = \"laplace\""),
    ] {
        let bad = job(name, "purse", price);
        let said = world.fails("buyer", &["check", &bad, "--rows", &rows, "--policy", &policy]);
        assert!(said.contains("epsilon"), "{price}: {said}");
    }
}
