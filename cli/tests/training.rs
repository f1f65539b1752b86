//! A training run over real processes: weights nearly as good as those fitted on the rows themselves, a receipt a round, and a run that goes on where it broke off.

use std::fs::File;

use crate::common::World;
use arrow::{
    array::AsArray as _,
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const FEATURES: usize = 5;

/// The features and the label of demo/train.toml, by hand.
fn rows() -> (Vec<[f64; FEATURES]>, Vec<f64>) {
    let file = File::open(tidegate_fixtures::path("data/rand_hie.parquet")).unwrap();
    let (mut x, mut y) = (vec![], vec![]);
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| {
            let column = cast(batch.column_by_name(name).unwrap(), &DataType::Float64).unwrap();
            column.as_primitive::<Float64Type>().values().to_vec()
        };
        let (age, female, disea, coins, mdvis) =
            (column("age"), column("female"), column("disea"), column("coins"), column("mdvis"));
        for i in 0..batch.num_rows() {
            x.push([(age[i] - 25.0) / 20.0, female[i] - 0.5, (disea[i] - 11.0) / 7.0, (coins[i] - 25.0) / 35.0, 1.0]);
            y.push(f64::from(u8::from(mdvis[i] > 0.0)));
        }
    }
    (x, y)
}

fn logit(w: &[f64], x: &[f64; FEATURES]) -> f64 {
    w.iter().zip(x).map(|(w, x)| w * x).sum()
}

/// Area under the ROC curve: ties count half (Mann and Whitney 1947).
fn auc(w: &[f64], x: &[[f64; FEATURES]], y: &[f64]) -> f64 {
    let mut scored: Vec<(f64, f64)> = x.iter().zip(y).map(|(x, y)| (logit(w, x), *y)).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0.0, 0.0);
    for same in scored.chunk_by(|a, b| a.0 == b.0) {
        let positive = same.iter().map(|(_, y)| y).sum::<f64>();
        let negative = same.len() as f64 - positive;
        pairs += positive * (below + negative / 2.0);
        below += negative;
    }
    pairs / (below * (y.len() as f64 - below))
}

/// A run that can come to nothing is not begun, and one that diverges ends: the rounds that it would have gone on with are not charged.
#[test]
fn a_run_that_diverges_is_not_paid_for_to_the_end() {
    let world = World::new();
    let buyer: String = world.ok("buyer", &["init"]).trim().to_owned();
    let policy = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/policy.toml")).unwrap();
    let policy = policy
        .replace("tick = \"1s\"", &format!("tick = \"1s\"\ndangerous_no_tick_for = [\"{buyer}\"]"))
        .replace("\"4s\"", "\"60s\"");
    std::fs::write(world.path("hie.toml"), policy).unwrap();
    let data = tidegate_fixtures::path("data/rand_hie.parquet").display().to_string();
    world.ok("owner", &["publish", &data, "--name", "rand-hie", "--unit", "zper", "--policy", &world.text("hie.toml")]);
    world.ok("owner", &["grant", "rand-hie", "--to", &buyer, "--out", &world.text("hie.grant")]);
    let node = world.serve(None);
    let (grant, text) = (world.text("hie.grant"), include_str!("../../demo/train.toml"));
    let text = text.replace("../fixtures", concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures"));
    let run = |training: &str| {
        let job = world.path("diverges.toml");
        std::fs::write(&job, text.replace("rate = 2.0", training)).unwrap();
        let job = job.display().to_string();
        world.fails("buyer", &world.run_args(&job, &node.address, &grant))
    };
    for (training, field) in [
        ("rate = 1e308", "loop.rate"),
        ("rate = inf", "loop.rate"),
        ("rate = nan", "loop.rate"),
        ("rate = 2.0\ndecay = nan", "loop.decay"),
        ("rate = 2.0\nstart = [0, 0, nan, 0, 0]", "loop.start: number 2"),
        ("rate = 2.0\nstart = [-inf, 0, 0, 0, 0]", "loop.start: number 0"),
    ] {
        let said = run(training);
        assert!(said.contains(field), "{training}: {said}");
        assert_eq!(world.spent_on("rand-hie"), 0, "{training}");
    }
    let said = run("rate = 1e150\nunits = 1");
    assert!(said.contains("diverged in round 1 of 12"), "{said}");
    // One round of the twelve.
    let spent = world.spent_on("rand-hie");
    let report = world.audit(&node.address);
    assert!(spent > 0 && report["intents"] == 1, "{spent}: {report}");
}

#[test]
fn a_model_is_trained_on_rows_that_nobody_sees() {
    let world = World::new();
    let buyer: String = world.ok("buyer", &["init"]).trim().to_owned();
    let policy = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/policy.toml")).unwrap();
    let policy = policy
        .replace("tick = \"1s\"", &format!("tick = \"1s\"\ndangerous_no_tick_for = [\"{buyer}\"]"))
        .replace("\"4s\"", "\"60s\"");
    std::fs::write(world.path("hie.toml"), policy).unwrap();
    let data = tidegate_fixtures::path("data/rand_hie.parquet").display().to_string();
    world.ok("owner", &["publish", &data, "--name", "rand-hie", "--unit", "zper", "--policy", &world.text("hie.toml")]);
    world.ok("owner", &["grant", "rand-hie", "--to", &buyer, "--out", &world.text("hie.grant")]);
    let node = world.serve(None);
    let grant = world.text("hie.grant");
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/train.toml");
    let run = |more: &[&str]| -> serde_json::Value {
        let args = [&world.run_args(job, &node.address, &grant)[..], more].concat();
        serde_json::from_str(&world.ok("buyer", &args)).unwrap()
    };
    // On mock rows first: the whole run, at no cost.
    let mock = tidegate_fixtures::path("data/rand_hie_mock.parquet").display().to_string();
    let shown = world.ok("buyer", &["rehearse", job, "--mock", &mock, "--policy", &world.text("hie.toml"), "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((shown["trained"][0].as_array().unwrap().len(), &shown["trained"][1]), (FEATURES, &12.into()), "{shown}");
    assert!(shown["trained"][0].as_array().unwrap().iter().any(|w| w.as_f64().unwrap() != 0.0));
    let out = world.text("trained");
    let trained = run(&["--out", &out]);
    let weights: Vec<f64> = trained["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
    assert_eq!((trained["rounds"].as_u64(), weights.len()), (Some(12), FEATURES));
    let spent = world.spent_on("rand-hie");
    assert_eq!(spent, trained["cost"]["rho_micro"].as_u64().unwrap());
    let receipts = std::fs::read_dir(world.path("trained/receipts")).unwrap();
    assert_eq!(receipts.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "tlog-proof")).count(), 12);

    // Fitted on the rows themselves, by gradient descent to the end.
    let (x, y) = rows();
    let mut fitted = [0.0; FEATURES];
    for _ in 0..300 {
        let mut gradient = [0.0; FEATURES];
        for (x, y) in x.iter().zip(&y) {
            let error = 1.0 / (1.0 + (-logit(&fitted, x)).exp()) - y;
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += error * x);
        }
        fitted.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 2.0 * g / y.len() as f64);
    }
    let (best, ours) = (auc(&fitted, &x, &y), auc(&weights, &x, &y));
    eprintln!("AUC {ours:.4} against {best:.4}");
    assert!(best > 0.6 && best - ours < 0.02, "AUC {ours} against {best}");

    // The run again, as after a break: the same rounds, the same bytes, nothing charged.
    let (request, created) = (trained["request"].as_str().unwrap(), trained["created"].to_string());
    let again = run(&["--request", request, "--created", &created]);
    assert_eq!(again, trained);
    assert_eq!(world.spent_on("rand-hie"), spent);

    // A run that nobody could pay to its end does not begin.
    let dear = std::fs::read_to_string(job)
        .unwrap()
        .replace("epsilon = 3.0", "epsilon = 4.5")
        .replace("../fixtures", &tidegate_fixtures::folder().display().to_string());
    std::fs::write(world.path("dear.toml"), dear).unwrap();
    let dear = world.text("dear.toml");
    let said = world.fails("buyer", &world.run_args(&dear, &node.address, &grant));
    assert!(said.contains("the policy's cap for one buyer is"), "{said}");
    // Nor one that more than is left would pay for: it stops after its first round.
    let text = std::fs::read_to_string(&dear).unwrap().replace("epsilon = 4.5", "epsilon = 3.5");
    std::fs::write(&dear, text).unwrap();
    let said = world.fails("buyer", &world.run_args(&dear, &node.address, &grant));
    assert!(said.contains("your remaining budget after the first round"), "{said}");
}

#[test]
fn a_loop_that_cannot_be_one_is_refused_by_its_field() {
    let world = World::new();
    std::fs::write(world.path("gradient.wasm"), tidegate_fixtures::guest("gradient").unwrap()).unwrap();
    let vector = "outputs = [{ name = \"g\", lo = -1, hi = 1, reducer = { vector = { len = 2 } }, default = 0 }]";
    let wasm = format!("epsilon = 0.1\n[wasm]\nmodule = \"gradient.wasm\"\nselect = \"SELECT spend FROM dataset\"\n{vector}\n");
    for (body, word) in [
        (format!("{wasm}[loop]\nrounds = 0\nrate = 1.0"), "loop.rounds"),
        (format!("{wasm}[loop]\nrounds = 3\nrate = -1.0"), "loop.rate"),
        (format!("{wasm}[loop]\nrounds = 3\nrate = 1.0\nunits = 0"), "loop.units"),
        (format!("{wasm}[loop]\nrounds = 3\nrate = 1.0\nstart = [1.0]"), "loop.start"),
        (format!("{}[loop]\nrounds = 3\nrate = 1.0", wasm.replace("{ vector = { len = 2 } }", "\"sum\"")), "reducer vector"),
        (
            "epsilon = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n[loop]\nrounds = 3\nrate = 1.0".into(),
            "a loop needs [wasm]",
        ),
    ] {
        let said = world.fails("owner", &["check", &world.job("loop.toml", &body)]);
        assert!(said.contains(word), "{word}: {said}");
    }
}
