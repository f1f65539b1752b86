//! Laplace noise: its price in pure ε, checked before anything is asked.

use crate::common;
use crate::common::World;

#[test]
fn check_says_what_laplace_noise_costs_and_where_there_is_none() {
    let world = World::new();
    let policy = common::POLICY
        .replace("\nrho = 1.0", "\nepsilon = 3.0\nlaplace_epsilon = 2.0")
        .replace("per_buyer_rho = 0.9", "per_buyer_epsilon = 2.0\nper_buyer_laplace_epsilon = 1.5")
        .replace("dangerous_no_tick_for = [\"BUYER\"]", "");
    std::fs::write(world.path("purse.toml"), policy).unwrap();
    let job = |name: &str, dataset: &str, price: &str| {
        let path = world.path(name);
        let query = "SELECT city, COUNT(DISTINCT person) AS n FROM dataset GROUP BY city";
        std::fs::write(&path, format!("dataset = \"{dataset}\"\n{price}\n[sql]\nquery = \"{query}\"\n")).unwrap();
        path.display().to_string()
    };
    let fair = job("fair.toml", "purse", "epsilon = 0.8\nnoise = \"laplace\"");
    // A policy without a purse has no Laplace noise, and says so before anything is asked.
    let none = job("none.toml", "towns", "epsilon = 0.5\nnoise = \"laplace\"");
    let (rows, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let said = world.fails("buyer", &["check", &none, "--rows", &rows, "--policy", &policy]);
    assert!(said.contains("laplace_epsilon") && said.contains("cost.epsilon_micro"), "{said}");
    let (rows, policy) = (world.text("data.csv"), world.text("purse.toml"));
    let said = world.ok("buyer", &["check", &fair, "--rows", &rows, "--policy", &policy]);
    assert!(said.contains("accept") && said.contains("pure ε = 0.8") && said.contains("for pure ε = 0.4"), "{said}");
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
