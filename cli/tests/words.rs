//! What errors say: the field, the value, what it may be, and what to do next.

use crate::common::{POLICY, World};

fn holds(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_price_that_is_too_large_is_said_to_be_with_the_largest() {
    let world = World::new();
    let data = world.text("data.csv");
    let publish = |from: &str, to: &str| {
        std::fs::write(world.path("wide.toml"), POLICY.replace("\"BUYER\"", "").replace(from, to)).unwrap();
        let policy = world.text("wide.toml");
        world.fails("owner", &["publish", &data, "--name", "wide", "--unit", "person", "--policy", &policy])
    };
    holds(&publish("rho = 1.0", "rho = 2000000"), &["`budget.rho`", "is 2000000; the maximum is 1000000"]);
    holds(&publish("rho = 1.0", "epsilon = 1001"), &["`budget.epsilon`", "is 1001; the maximum is 1000"]);
    holds(&publish("_rho = 0.9", "_rho = 2e6"), &["`budget.per_buyer_rho`", "is 2000000; the maximum is 1000000"]);
    holds(&publish("_rho = 0.9", "_epsilon = -1"), &["`budget.per_buyer_epsilon`", "is -1; it must be positive"]);
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let grant = |more: &[&str]| world.fails("owner", &[&["grant", "towns", "--to", &buyer], more].concat());
    holds(&grant(&["--rho", "2e9"]), &["--rho is 2000000000; the maximum is 1000000000"]);
    holds(&grant(&["--rho=-1"]), &["--rho is -1; it must be positive"]);
    let check = |price: &str| {
        let job = world.job("dear.toml", &format!("{price}\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n"));
        world.fails("owner", &["check", &job])
    };
    holds(&check("rho = 1e30"), &["rho is 1000000000000000000000000000000; the maximum is 1000000000"]);
    holds(&check("rho = -1"), &["rho is -1; it must be positive"]);
    holds(&check("noise = \"laplace\"\nepsilon = 2e9"), &["epsilon is 2000000000; the maximum is 1000000000"]);
}

/// A rehearsal that lacks the runtime says so, and names no file of its own making.
#[test]
fn a_rehearsal_without_the_runtime_says_what_is_missing() {
    let world = World::new();
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let select = "SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset";
    let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let job = world.job(
        "score.toml",
        &format!(
            "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"{select}\"\noutput = \"score\"\nreduce = \"max\"\n{outputs}\n"
        ),
    );
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    for words in [
        vec!["rehearse", &job, "--mock", &data, "--policy", &policy],
        vec!["gate", "sample", &job, "--data", &data, "--policy", &policy, "--runs", "1"],
    ] {
        let output = world.command("buyer").env("TIDEGATE_ORT_DYLIB", "/nowhere/libonnxruntime.so").args(words).output().unwrap();
        let said = crate::common::text(&output);
        assert!(!output.status.success() && !said.contains("laid-out"), "{said}");
        holds(&said, &["this machine has no ONNX Runtime", "fetch_ort.py", "tidegate doctor"]);
    }
}

/// A table that is wider than the terminal has a block for each row; a file has the numbers as they are.
#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let world = World::new();
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let job = world.job(
        "wide.toml",
        "rho = 0.5\n[sql]\nquery = \"SELECT city, COUNT(*) AS n, AVG(spend) AS mean_spending FROM dataset GROUP BY city\"\nkeys = [[\"north\"], [\"south\"]]\n",
    );
    let said = |columns: Option<&str>| {
        let mut command = world.command("buyer");
        command.args(["rehearse", &job, "--mock", &data, "--policy", &policy]);
        if let Some(columns) = columns {
            command.env("COLUMNS", columns);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", crate::common::text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    for whole in [said(None), said(Some("200"))] {
        assert!(whole.contains("│ city ") && whole.contains("│ south ") && !whole.contains("row 1 of 2"), "{whole}");
    }
    let narrow = said(Some("30"));
    let lines: Vec<&str> = narrow.lines().take_while(|line| !line.starts_with("mock rows")).collect();
    holds(&narrow, &["row 1 of 2", "row 2 of 2", "mean_spending", "north", "south"]);
    assert!(!narrow.contains('│'), "{narrow}");
    let table = lines.iter().position(|line| line.starts_with("row 1")).unwrap();
    assert!(lines[table..table + 4].iter().all(|line| line.chars().count() <= 30), "{narrow}");
    // A count has no decimal places, and every number of a cell as many as the others.
    let count = lines.iter().find(|line| line.trim_start().starts_with("n ")).unwrap();
    assert!(count.contains('[') && !count.contains('.'), "{count}");
    let json = world.ok("buyer", &["rehearse", &job, "--mock", &data, "--policy", &policy, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mean = json["result"]["rows"][0]["cells"][1]["value"].as_f64().unwrap();
    assert!(mean.to_string().len() > 6, "a mean of noised sums has all of its digits: {mean}");
}
