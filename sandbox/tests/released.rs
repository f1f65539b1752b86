//! What a result looks like follows from the job: where keys are none or declared, a document is the same on neighbours and over nobody, but for its numbers.

use tidegate_gate::{Keys, release};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::FemtoDelta,
    job::{Blocks, Key, Output, Program, Reducer, Split},
    result::ResultDoc,
};
use tidegate_sandbox::{Help, admit, run};

use crate::common::{job, neighbours::World, policy, queries, table};

/// Most numbers that noise is drawn for in a test's release.
const NUMBERS: usize = 500;

/// A document without its numbers, as canonical JSON.
fn shape(result: &ResultDoc) -> String {
    let mut result = result.clone();
    for cell in result.rows.iter_mut().flat_map(|row| &mut row.cells).chain(result.remainder.iter_mut().flatten()) {
        // What is not finite would be null, and so no result that verifies.
        assert!(cell.value.is_finite() && cell.low.is_finite() && cell.high.is_finite(), "{cell:?}");
        (cell.value, cell.low, cell.high) = (0.0, 0.0, 0.0);
    }
    serde_json_canonicalizer::to_string(&result).unwrap()
}

/// All of these have one shape, with so many rows.
fn alike(what: &str, released: &[ResultDoc], rows: usize) {
    for one in released {
        assert_eq!(shape(one), shape(&released[0]), "{what}");
        assert_eq!(one.rows.len(), rows, "{what}");
        assert!(one.rows.iter().all(|row| row.key.len() == one.keys.len() && row.cells.len() == one.columns.len()), "{what}");
    }
}

/// Those that were found by hand, and their kind.
#[test]
fn nobody_in_it_looks_like_somebody_in_it() {
    let world = World::new();
    let text = |keys: &[&str]| Some(keys.iter().map(|k| vec![Key::Text((*k).into())]).collect::<Vec<_>>());
    let pairs = Some(vec![vec![Key::Text("unique".into()), Key::Int(7)], vec![Key::Null, Key::Null]]);
    let rare = "FROM dataset WHERE city = 'unique' AND visits = 7";
    for (query, keys, rows) in [
        ("SELECT COUNT(*) AS n RARE", None, 1),
        ("SELECT COUNT(*) AS n RARE GROUP BY GROUPING SETS (())", None, 1),
        ("SELECT grouping, n FROM (SELECT COUNT(*) AS n, 1 AS grouping RARE GROUP BY ())", None, 1),
        ("SELECT COUNT(*) AS n RARE HAVING COUNT(*) > 0 ORDER BY n DESC LIMIT 1", None, 1),
        ("SELECT SUM(clamp(n, 0, 9)) AS s FROM (SELECT person, COUNT(*) AS n RARE GROUP BY person)", None, 1),
        ("SELECT AVG(spend) AS a, VAR(spend) AS v, MEDIAN(spend) AS m, CORR(spend, visits) AS c RARE", None, 1),
        ("SELECT city, COUNT(*) AS n RARE GROUP BY city", text(&["unique", "north"]), 2),
        ("SELECT city, COUNT(*) AS n RARE GROUP BY ROLLUP (city)", text(&["unique", "north"]), 3),
        ("SELECT city, COUNT(*) AS n RARE GROUP BY GROUPING SETS ((city), ())", text(&["unique"]), 2),
        ("SELECT city, visits, COUNT(*) AS n RARE GROUP BY CUBE (city, visits)", pairs.clone(), 7),
        ("SELECT city, visits, COUNT(*) AS n RARE GROUP BY GROUPING SETS ((city), (visits))", pairs, 4),
        ("SELECT city, COUNT(*) AS n RARE GROUP BY city HAVING COUNT(*) > 5 LIMIT 1", text(&["unique", "north"]), 2),
    ] {
        let query = query.replace("RARE", rare);
        let asked = match world.declare(&query, keys.as_deref()) {
            Ok(asked) => asked,
            // Not every spelling of the empty set is taken.
            Err(refusal) if query.contains("GROUP BY ()") => {
                assert!(!refusal.message.is_empty());
                continue;
            }
            Err(refusal) => panic!("{query}: {refusal}"),
        };
        alike(&query, &world.released(&asked), rows);
    }
}

/// Queries by the hundred: those without keys, and those with, whose keys are then declared as groups have them, and some that no group has.
/// `TIDEGATE_QUERIES` sets how many.
#[test]
fn no_generated_querys_result_looks_like_its_rows() {
    let world = World::new();
    let count: u32 = std::env::var("TIDEGATE_QUERIES").map_or(400, |n| n.parse().unwrap());
    let mut looked = [0; 3];
    for seed in 0..count {
        let mut bytes = [0; 256];
        blake3::Hasher::new().update(b"released").update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let query = queries::query(&mut queries::Choices::new(&bytes));
        let Ok(mut asked) = world.declare(&query, None) else { continue };
        let undeclared = matches!(asked.keys(), Keys::Undeclared { .. });
        if undeclared {
            let sets = query.contains("ROLLUP") || query.contains("SETS");
            let mut keys = world.keys(&asked);
            keys.sort_by_key(|key| format!("{key:?}"));
            // A set's groups are declared without the column that tells sets apart.
            keys.iter_mut().filter(|_| sets).for_each(|key| drop(key.pop()));
            keys.dedup();
            keys.truncate(4);
            if keys.is_empty() {
                continue;
            }
            // As they come in a job.
            let json = serde_json_canonicalizer::to_string(&keys).unwrap();
            let keys: Vec<Vec<Key>> = serde_json::from_str(&json).unwrap();
            asked = world.declare(&query, Some(&keys)).unwrap_or_else(|e| panic!("{query}\n  {json}: {e}"));
            looked[1 + usize::from(sets)] += 1;
        } else {
            looked[0] += 1;
        }
        if asked.numbers() > NUMBERS {
            continue;
        }
        let rows = if let Keys::Declared(n) = asked.keys() { n as usize } else { 1 };
        alike(&query, &world.released(&asked), rows);
    }
    assert!(looked.iter().all(|n| *n > count / 200), "{looked:?} of {count}");
}

/// Programs' results: outputs at random, per unit and by blocks, over many, one fewer, and nobody.
#[test]
fn no_programs_result_looks_like_its_rows() {
    let people = |n: i64| table(&(0..n).map(|p| (Some(p), Some((p * 997) as f64), 1, "x")).collect::<Vec<_>>());
    let tables = [people(40), people(39), people(0)];
    let guests = ["leak", "gradient"].map(|name| tidegate_fixtures::guest(name).unwrap());
    let mut random = 1u64;
    let mut of = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    for _ in 0..25 {
        let outputs: Vec<Output> = (0..=of(3))
            .map(|i| {
                let classes = 2 + of(3) as u32;
                let (reducer, lo, hi) = match of(8) {
                    0 => (Reducer::Sum, -3.0, 4096.0),
                    1 => (Reducer::Mean, 0.0, 1.0),
                    2 => (Reducer::Histogram { bins: 1 + of(9) as u32 }, 0.0, 10.0),
                    3 => (Reducer::Quantiles { at: vec![0.5, 0.9] }, 0.0, 10.0),
                    4 => (Reducer::Confusion { classes }, 0.0, f64::from(classes - 1)),
                    5 => (Reducer::Scores { bins: 8, cut: 0.5 }, 0.0, 1.0),
                    6 => (Reducer::Calibration { bins: 4 }, 0.0, 1.0),
                    _ => (Reducer::Vector { len: 1 + of(4) as u32 }, 0.0, 2.0),
                };
                Output { name: format!("out{i}"), lo, hi, reducer, default: lo }
            })
            .collect();
        let split = [Split::Unit, Split::Blocks(Blocks::of(5)), Split::Blocks(Blocks { number: 6, resample: 2 })][of(3) as usize];
        let guest = guests[of(2) as usize].clone();
        let program = job(Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(&guest),
            select: "SELECT spend, visits FROM dataset".into(),
            params_base64: String::new(),
            data: None,
            split,
            outputs: outputs.clone(),
        });
        let what = format!("{outputs:?} {split:?}");
        let mut rows = vec![];
        let mut released = vec![];
        for t in &tables {
            let Ok(admitted) = admit(&program, &policy(), &t.schema, Some(guest.clone().into())) else {
                rows.push(0);
                continue;
            };
            let calibration = admitted.plan().calibrate(Cost::dp(MicroRho(1_000_000), FemtoDelta(0))).unwrap();
            let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help::default()).unwrap();
            let result = release(admitted.plan(), &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
            rows.push(result.document().rows.len());
            released.push(result.document().clone());
        }
        assert!(rows.iter().all(|n| n == &rows[0]), "{what}: {rows:?}");
        alike(&what, &released, 1);
    }
}
