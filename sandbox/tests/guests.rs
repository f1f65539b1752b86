//! The worked examples in each language, on real rows, against the same computed here.

use std::{fs::File, path::PathBuf};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tidegate_gate::Sums;
use tidegate_protocol::{
    ContentHash, Job,
    cost::Cost,
    job::{Blocks, Data, Mode, Output, Program, Reducer, Split},
    policy::{Policy, PolicyFile},
};
use tidegate_sandbox::{Attachment, Help, admit, run, sql::admit_select, units};

#[path = "../../guest/rust/network/src/network.rs"]
mod network;

const POLICY: &str = r#"
    unit = { column = "zper", max_units = 6000, max_rows = 5, max_groups = 1 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["wasm"], min_units = 10, fuel = 2000000000, memory_mib = 128, slot = "100000s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    columns = { plan = {}, disea = { lo = 0, hi = 60 }, mdvis = { lo = 0, hi = 50 }, totadm = { lo = 0, hi = 10 }, meddol = { lo = 0, hi = 4000 } }
"#;

fn policy() -> Policy {
    PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap()
}

fn people() -> File {
    File::open(tidegate_fixtures::path("data/rand_hie.parquet")).unwrap()
}

fn sum(name: &str, hi: f64) -> Output {
    Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 }
}

fn run_guest(component: Vec<u8>, select: &str, params: &str, split: Split, outputs: Vec<Output>) -> Sums {
    run_with(component, select, params, &[], split, outputs)
}

fn run_with(component: Vec<u8>, select: &str, params: &str, data: &[u8], split: Split, outputs: Vec<Output>) -> Sums {
    let job = Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost: Cost::dp(tidegate_protocol::MicroRho(1), tidegate_protocol::cost::FemtoDelta(0)),
        created: 0,
        mode: Mode::Dp,
        weights: Default::default(),
        program: Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(&component),
            select: select.into(),
            params_base64: BASE64_STANDARD.encode(params),
            data: (!data.is_empty()).then(|| Data::of(data)),
            split,
            outputs,
        },
    };
    let schema = units::schema(&people()).unwrap();
    let admitted = admit(&job, &policy(), &schema, Some(Attachment::from(component).with_data(data.to_vec()))).unwrap();
    run(&admitted, &[people()], &[7; 32], Help::default()).unwrap()
}

/// Each person's rows, column by column; None where a value is missing.
fn each_person(select: &str, mut visit: impl FnMut(&RecordBatch, Vec<Vec<Option<f64>>>)) {
    let schema = units::schema(&people()).unwrap();
    let select = admit_select(select, Split::Unit, &schema, &policy()).unwrap();
    units::each_unit(&[people()], &select, |_, batch| {
        let numbers = batch.columns().iter().filter_map(|column| {
            let column = cast(column, &DataType::Float64).ok()?;
            Some(column.as_primitive::<Float64Type>().iter().collect())
        });
        visit(&batch, numbers.collect());
        Ok(())
    })
    .unwrap();
}

/// Sums as numbers, within what rounding each person to a step may add.
fn close(sums: &Sums, expected: &[f64], his: &[f64]) {
    let group = &sums.groups[0];
    for ((lane, expected), hi) in group.lanes.iter().zip(expected).zip(his) {
        let step = 2f64.powi(hi.log2().ceil() as i32 - 20);
        let got = *lane as f64 * step;
        let tolerance = group.units as f64 * step;
        assert!((got - expected).abs() <= tolerance, "{got} is not {expected}, give or take {tolerance}");
    }
}

#[test]
fn mean_risk_in_c() {
    let select = "SELECT disea, mdvis, totadm FROM dataset";
    let guest = tidegate_fixtures::guest("risk").unwrap();
    let sums = run_guest(guest, select, "0.05 0.1 0.75 -2.5", Split::Unit, vec![sum("risk", 1.0), sum("above", 1.0)]);
    let (mut risk, mut above, mut persons) = (0.0, 0.0, 0);
    each_person(select, |batch, columns| {
        let risks: Vec<f64> = (0..batch.num_rows())
            .filter_map(|row| {
                let logit = 0.05 * columns[0][row]? + 0.1 * columns[1][row]? + 0.75 * columns[2][row]? - 2.5;
                Some(1.0 / (1.0 + (-logit).exp()))
            })
            .collect();
        risk += risks.iter().sum::<f64>() / risks.len().max(1) as f64;
        above += f64::from(risks.iter().any(|r| *r > 0.5));
        persons += 1;
    });
    assert_eq!(sums.groups[0].units, persons);
    assert!(persons > 5000 && above > 100.0);
    close(&sums, &[risk, above], &[1.0, 1.0]);
}

/// Modules that compilers left as they leave those of WASI's first preview: with their libraries' allocators, sorting, logarithms, output and environment.
#[test]
fn spread_in_c_and_rust_with_their_libraries() {
    let select = "SELECT mdvis FROM dataset";
    let (mut apart, mut most) = (0.0, 0.0);
    each_person(select, |_, columns| {
        let mut visits: Vec<f64> = columns[0].iter().flatten().copied().collect();
        visits.sort_by(f64::total_cmp);
        if let Some(last) = visits.last() {
            apart += (visits[visits.len() / 2] - visits.iter().sum::<f64>() / visits.len() as f64).abs();
            most += last.ln_1p();
        }
    });
    assert!(apart > 1000.0 && most > 5000.0, "{apart} {most}");
    for name in ["spread", "spread.rust"] {
        let module = std::fs::read(tidegate_fixtures::path(&format!("guests/{name}.preview1.wasm"))).unwrap();
        let guest = tidegate_guest::component::componentize(&module).unwrap();
        let sums = run_guest(guest, select, "", Split::Unit, vec![sum("apart", 50.0), sum("most", 8.0)]);
        close(&sums, &[apart, most], &[50.0, 8.0]);
    }
}

/// Weights come beside the program: more of them than parameters could hold.
#[test]
fn a_network_in_rust() {
    let select = "SELECT disea, mdvis, totadm FROM dataset";
    let (inputs, hidden) = (3, 700);
    let weights: Vec<f64> = (0..hidden * (inputs + 2) + 1).map(|i| f64::from((i * 7919 % 2003) as u32) / 5000.0 - 0.2).collect();
    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    assert!(bytes.len() > tidegate_protocol::limits::PARAMS_BYTES);
    let guest = tidegate_fixtures::guest("network").unwrap();
    let sums = run_with(guest, select, "", &bytes, Split::Unit, vec![sum("score", 1.0), sum("years", 8.0)]);
    let network = network::Network::new(weights, inputs).unwrap();
    let (mut score, mut years) = (0.0, 0.0);
    each_person(select, |batch, columns| {
        let row = |row: usize| columns.iter().map(|c| c[row]).collect::<Option<Vec<f64>>>();
        let scores: Vec<f64> = (0..batch.num_rows()).filter_map(row).map(|inputs| network.score(&inputs)).collect();
        score += scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        years += scores.len() as f64;
    });
    assert!(score > 100.0 && score < 5900.0, "{score}");
    close(&sums, &[score, years], &[1.0, 8.0]);
}

#[test]
fn words_in_assemblyscript() {
    let text = "SELECT CASE WHEN plan < 8 THEN 'Pays a share' WHEN plan < 16 THEN 'Free care' END AS t FROM dataset";
    let guest = tidegate_fixtures::guest("words").unwrap();
    let sums = run_guest(guest, text, "FREE", Split::Unit, vec![sum("free", 1.0), sum("words", 10.0)]);
    let (mut free, mut words) = (0.0, 0.0);
    each_person(text, |batch, _| {
        let texts: Vec<&str> = batch.column(0).as_string::<i32>().iter().flatten().collect();
        let all = texts.len().max(1) as f64;
        free += texts.iter().filter(|t| t.to_lowercase().split(' ').any(|w| w == "free")).count() as f64 / all;
        words += texts.iter().map(|t| t.split(' ').count()).sum::<usize>() as f64 / all;
    });
    assert!(free > 1000.0);
    close(&sums, &[free, words], &[1.0, 10.0]);
}

/// Blocks' centres, averaged, lie where those of all people lie.
#[test]
fn k_means_in_rust() {
    let select = "SELECT mdvis, CASE WHEN meddol > 1500 THEN 15 ELSE meddol / 100 END AS cost FROM dataset WHERE meddol > 0";
    let start = [[2.0, 1.0], [20.0, 10.0]];
    let outputs = ["visits_0", "cost_0", "visits_1", "cost_1"].map(|name| sum(name, 50.0)).to_vec();
    let sums =
        run_guest(tidegate_fixtures::guest("kmeans").unwrap(), select, "2 1; 20 10", Split::Blocks(Blocks::of(20)), outputs);
    let mut points: Vec<[f64; 2]> = vec![];
    each_person(select, |batch, columns| {
        points.extend((0..batch.num_rows()).filter_map(|row| Some([columns[0][row]?, columns[1][row]?])));
    });
    let mut centres = start;
    for _ in 0..20 {
        let mut sums = [[0.0; 3]; 2];
        for p in &points {
            let distance = |c: &[f64; 2]| (c[0] - p[0]).powi(2) + (c[1] - p[1]).powi(2);
            let sum = &mut sums[usize::from(distance(&centres[1]) < distance(&centres[0]))];
            *sum = [sum[0] + p[0], sum[1] + p[1], sum[2] + 1.0];
        }
        centres = sums.map(|[x, y, n]| [x / n, y / n]);
    }
    assert_eq!(sums.groups[0].units, 20);
    for (lane, expected) in sums.groups[0].lanes.iter().zip(centres.concat()) {
        let got = *lane as f64 * 2f64.powi(6 - 20) / 20.0;
        // A block of a few hundred people sees less of the long tail.
        assert!((got / expected - 1.0).abs() < 0.3, "{got} is far from {expected}: {:?}", sums.groups[0].lanes);
    }
}

/// An interpreter and all, one instance a block.
#[test]
fn a_score_in_python() {
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests/score.wasm"));
    let Ok(guest) = std::fs::read(&built) else {
        assert!(std::env::var_os("REQUIRE_PYTHON_GUEST").is_none(), "{}: run scripts/python_guest.py", built.display());
        eprintln!("skipped: {} is not built; scripts/python_guest.py does", built.display());
        return;
    };
    let select = "SELECT disea, mdvis, totadm FROM dataset";
    // One block too many to be sure that each has a row: what comes of all is the same.
    let sums = run_guest(guest, select, "", Split::Blocks(Blocks::of(8)), vec![sum("score", 10.0), sum("years", 8192.0)]);
    let mut years = 0.0;
    each_person(select, |batch, columns| {
        years += (0..batch.num_rows()).filter(|row| columns.iter().all(|c| c[*row].is_some())).count() as f64;
    });
    assert_eq!(sums.groups[0].units, 8);
    close(
        &Sums { groups: vec![tidegate_gate::GroupSums { lanes: vec![sums.groups[0].lanes[1]], ..sums.groups[0].clone() }] },
        &[years],
        &[8192.0],
    );
    let score = sums.groups[0].lanes[0] as f64 * 2f64.powi(4 - 20) / 8.0;
    assert!((1.0..4.0).contains(&score), "{score}");
}
