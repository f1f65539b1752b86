//! A component with bytes beside it, in blocks that people are in several of: over real processes.

use crate::common::World;

const JOB: &str = r#"
    rho = 0.4
    [wasm]
    module = "network.wasm"
    data = "weights.bin"
    select = "SELECT spend FROM dataset"
    split = { blocks = 1000, resample = 2 }
    outputs = [
      { name = "score", lo = 0, hi = 1, reducer = "mean", default = 0.5 },
      { name = "rows", lo = 0, hi = 5, reducer = "mean", default = 0 },
    ]
"#;

#[test]
fn weights_travel_with_the_program() {
    let world = World::new();
    std::fs::write(world.path("network.wasm"), tidegate_fixtures::guest("network").unwrap()).unwrap();
    // One hidden node that passes spend on, and a last bias: every score is nearly 1.
    let weights = |last: f64| [1.0, 0.0, 1.0, last].map(f64::to_le_bytes).concat();
    std::fs::write(world.path("weights.bin"), weights(10.0)).unwrap();
    let (job, grant) = (world.job("job.toml", JOB), world.text("grant"));
    let node = world.serve(None);
    let run = || world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    let said: serde_json::Value = serde_json::from_str(&run()).unwrap();
    let mechanism = &said["receipt"]["statement"]["predicate"]["facts"]["mechanism"];
    let (cells, columns) = (&said["result"]["rows"][0]["cells"], &mechanism["columns"]);
    assert_eq!((&mechanism["blocks"], &mechanism["resample"]), (&1000.into(), &2.into()), "{said}");
    // Each of 60 people is in two blocks with both rows: some 113 of the 1000 blocks have rows. The others have columns without rows, not the default.
    for (column, expected, chance) in [(0, 0.113, 0.01), (1, 0.24, 0.001)] {
        let deviation = columns[column]["noise_scale"][0].as_f64().unwrap() / 1000.0;
        let value = cells[column]["value"].as_f64().unwrap();
        assert!((value - expected).abs() < 6.0 * deviation + chance, "{value} is not {expected}: {said}");
    }
    // Nobody's rows are in all blocks, and none has half a block.
    for (split, problem) in [
        ("{ blocks = 40, resample = 40 }", "program.split.resample"),
        ("{ blocks = 1 }", "program.split.blocks"),
        ("{ blocks = 40, resamples = 2 }", "{ blocks = n, resample = g }"),
    ] {
        let job = world.job("wrong.toml", &JOB.replace("{ blocks = 1000, resample = 2 }", split));
        let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
        assert!(said.contains(problem), "{split}: {said}");
    }
    // A file that is not there is named.
    std::fs::remove_file(world.path("weights.bin")).unwrap();
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(said.contains("weights.bin"), "{said}");
}
