//! Intervals of what a query computes from released numbers: how often they hold the number without noise, where there are none, and where they have no ends.

use tidegate_gate::Noise;
use tidegate_protocol::result::ResultDoc;
use tidegate_sandbox::sql::{Simulated, Spread, View};

use arrow::{array::AsArray as _, compute::cast, datatypes::DataType, datatypes::Float64Type};

use crate::{
    common::tables::{self, Dice},
    differential::World,
};

/// What all of these read.
const TABLE: &str = "SELECT city, grade, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY city, grade";

/// How often the intervals of each number hold at least, less what chance may take in so many.
const LEAST: f64 = 0.94;

/// Standard deviations of the noise on both numbers.
const DEVIATIONS: [f64; 2] = [9.0, 40.0];

fn world() -> World {
    World::new(tables::table(1), tables::COLUMNS)
}

fn view(world: &World, rest: &str) -> View {
    let query = format!("WITH t AS ({TABLE}) {rest}");
    let admitted = world.admitted(&query, None).unwrap_or_else(|e| panic!("{rest}: {e}"));
    admitted.view.unwrap_or_else(|| panic!("{rest} is no more than the released table"))
}

/// The released table without noise, of hundreds of people in each group and more.
fn exact(world: &World) -> ResultDoc {
    let (mut document, _) = world.released(&world.admitted(TABLE, None).unwrap(), TABLE);
    for (at, row) in document.rows.iter_mut().enumerate() {
        for (cell, (least, step)) in row.cells.iter_mut().zip([(200.0, 37.0), (3000.0, 411.0)]) {
            cell.value = least + step * at as f64;
        }
    }
    document
}

/// A number between 0 and 1.
fn uniform(dice: &mut Dice) -> f64 {
    (f64::from(u32::from_le_bytes(dice.bytes())) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

/// Noise of standard deviation 1.
fn unit(dice: &mut Dice, noise: Noise) -> f64 {
    let (u, v) = (uniform(dice), uniform(dice));
    match noise {
        Noise::Gaussian => (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos(),
        Noise::Laplace => u.ln() * if v < 0.5 { -0.5_f64.sqrt() } else { 0.5_f64.sqrt() },
    }
}

fn noised(document: &ResultDoc, noise: Noise, dice: &mut Dice) -> ResultDoc {
    let mut noised = document.clone();
    for cell in noised.rows.iter_mut().flat_map(|row| row.cells.iter_mut().zip(DEVIATIONS)) {
        let (cell, deviation) = cell;
        cell.value += deviation * unit(dice, noise);
        (cell.low, cell.high) = (cell.value - 2.0 * deviation, cell.value + 2.0 * deviation);
    }
    noised
}

fn spreads(document: &ResultDoc) -> Vec<Vec<Spread>> {
    let row = || DEVIATIONS.map(|deviation| Spread { below: deviation, above: deviation }).to_vec();
    document.rows.iter().map(|_| row()).collect()
}

/// The answer's numbers, column by column, and their intervals.
async fn simulated(view: &View, document: &ResultDoc, noise: Noise) -> (Vec<Vec<Option<f64>>>, Vec<Option<Simulated>>) {
    let answered = view.answer(document).await.unwrap();
    let numbers = answered.table.columns().iter().map(|column| match cast(column, &DataType::Float64) {
        Ok(numbers) => numbers.as_primitive::<Float64Type>().iter().collect(),
        Err(_) => vec![None; answered.table.num_rows()],
    });
    let intervals = view.simulate(document, &answered, noise, &spreads(document)).await.unwrap();
    (numbers.collect(), intervals)
}

/// Of every number that a query computes the interval holds the number without noise. `TIDEGATE_COVERAGE_RUNS` sets how many releases there are.
#[tokio::test]
async fn intervals_hold_what_is_computed_without_noise() {
    let runs: u32 = std::env::var("TIDEGATE_COVERAGE_RUNS").map_or(20, |runs| runs.parse().unwrap());
    let world = world();
    let document = exact(&world);
    assert!(document.rows.len() > 5, "{}", document.rows.len());
    for (seed, rest) in [
        "SELECT city, grade, 100.0 * n / SUM(n) OVER () AS share, s / n AS mean, n - LAG(n) OVER (ORDER BY city, grade) AS more, \
         SUM(n) OVER (ORDER BY city, grade) AS so_far, n * s / 100 AS product, s / n - s / (n + 50) AS less FROM t",
        "SELECT city, n / (SELECT SUM(n) FROM t) AS share, round(sqrt(n), 2) AS root, coalesce(n / LAG(n) OVER (ORDER BY city, grade) - 1, n) AS growth \
         FROM t",
        "SELECT city, AVG(n) AS mean, SUM(s) / SUM(n) AS ratio, SUM(n) * 1.0 / COUNT(*) AS a_group FROM t GROUP BY city",
        "SELECT city, n + s AS x FROM t UNION ALL SELECT 'all', SUM(n) FROM t",
        "SELECT a.n - b.n AS x, CASE WHEN a.grade = b.grade THEN a.n / b.s ELSE a.s / b.n END AS y FROM t a JOIN t b ON a.city = b.city AND a.grade < b.grade \
         ORDER BY a.city, a.grade, b.grade",
    ]
    .into_iter()
    .enumerate()
    {
        let view = view(&world, rest);
        for noise in [Noise::Gaussian, Noise::Laplace] {
            let (truths, _) = simulated(&view, &document, noise).await;
            let mut dice = Dice::new("coverage", seed as u32);
            let mut seen = vec![(0u32, 0u32, 0.0); truths.len()];
            for _ in 0..runs {
                let (values, intervals) = simulated(&view, &noised(&document, noise, &mut dice), noise).await;
                for (((truths, values), intervals), seen) in truths.iter().zip(&values).zip(&intervals).zip(&mut seen) {
                    let Some(intervals) = intervals else { continue };
                    for ((truth, value), ends) in truths.iter().zip(values).zip(&intervals.ends) {
                        let (Some(truth), Some(value), Some([low, high])) = (truth, value, ends) else { continue };
                        assert!(low <= value && value <= high && low < high, "{rest}: {value} in {low} to {high}");
                        assert!(low.is_finite() && high.is_finite(), "{rest}: {value} is far from zero");
                        // Truths are computed in floats.
                        let near = 1e-9 * truth.abs();
                        *seen = (seen.0 + u32::from(low - near <= *truth && *truth <= high + near), seen.1 + 1, seen.2 + high - low);
                    }
                }
            }
            for (at, (held, of, width)) in seen.iter().enumerate().filter(|(_, (_, of, _))| *of > 0) {
                let (held, of) = (f64::from(*held), f64::from(*of));
                println!("{rest}, column {at}, {noise:?}: {:.3} of {of}, mean width {:.3}", held / of, width / of);
                // Numbers of one release depend on one another: as if each release were one.
                let chance = 5.0 * (LEAST * (1.0 - LEAST) / f64::from(runs)).sqrt();
                assert!(held / of >= LEAST - chance, "{rest}, column {at}, {noise:?}: {held} of {of}");
            }
            assert!(seen.iter().any(|(_, of, _)| *of > runs), "{rest}: {seen:?}");
        }
    }
}

/// A sum of independent numbers has the root of the sum of their squares; who computes again has the same ends.
#[tokio::test]
async fn widths_are_those_of_the_noise() {
    let world = world();
    let document = exact(&world);
    let view = view(&world, "SELECT n + s AS x, 3 * n AS y, n AS z, SUM(n) OVER () AS total, n - n AS none FROM t");
    let rows = document.rows.len() as f64;
    for noise in [Noise::Gaussian, Noise::Laplace] {
        let (_, first) = simulated(&view, &document, noise).await;
        let (_, again) = simulated(&view, &document, noise).await;
        let ends = |all: &[Option<Simulated>]| all.iter().map(|one| one.as_ref().map(|one| one.ends.clone())).collect::<Vec<_>>();
        assert_eq!(ends(&first), ends(&again));
        let mean = |column: usize| {
            let ends: Vec<[f64; 2]> = first[column].as_ref().unwrap().ends.iter().flatten().copied().collect();
            (ends.iter().map(|[low, high]| high - low).sum::<f64>() / ends.len() as f64, ends.len() as f64)
        };
        let [n, s] = DEVIATIONS;
        // Of a Laplace variable's standard deviation 95 % are within ln 20 / √2.
        let reach = if noise == Noise::Gaussian { 1.96 } else { 20_f64.ln() / 2_f64.sqrt() };
        for (column, expected) in [(0, n.hypot(s)), (1, 3.0 * n), (3, n * rows.sqrt())] {
            let (width, of) = mean(column);
            let near = (width / (2.0 * reach * expected) - 1.0).abs();
            assert!(of == rows && near < 0.25, "{noise:?}, column {column}: {width} for {expected}");
        }
        // A released number has an interval of its own, and a number without noise one of no width.
        assert_eq!(mean(2).1, 0.0);
        assert_eq!(mean(4), (0.0, rows));
    }
}

/// What has no interval: the largest of several numbers, ranks, and what is not monotone.
#[tokio::test]
async fn what_quantiles_say_nothing_of_has_no_interval() {
    let world = world();
    let document = exact(&world);
    for (rest, drawn) in [
        ("SELECT MAX(n) AS x, SUM(n) AS y FROM t", vec![false, true]),
        (
            "SELECT city, MIN(n) AS x, STDDEV(n) AS y, COUNT(*) + SUM(n) AS z FROM t GROUP BY city",
            vec![false, false, false, true],
        ),
        ("SELECT RANK() OVER (ORDER BY n) * 2 AS x, abs(n) AS y, n % 7 AS z, n + 1 AS w FROM t", vec![false, false, false, true]),
        ("SELECT greatest(n, s) AS x, CAST(n AS TEXT) AS y, n > 300 AS z, n * 2 AS w FROM t", vec![false, false, false, true]),
        (
            "SELECT n + MAX(n) OVER () AS x, n - (SELECT MIN(n) FROM t) AS y, n - (SELECT AVG(n) FROM t) AS z FROM t",
            vec![false, false, true],
        ),
        ("SELECT n / (SELECT SUM(u.n) FROM t u WHERE u.city = t.city) AS x, n / 2 AS y FROM t", vec![false, true]),
        ("SELECT x + 1 AS x, SUM(y) AS y FROM (SELECT n AS x, s AS y FROM t) GROUP BY x", vec![false, true]),
    ] {
        let (_, intervals) = simulated(&view(&world, rest), &document, Noise::Gaussian).await;
        let found: Vec<bool> =
            intervals.iter().map(|one| one.as_ref().is_some_and(|one| one.ends.iter().any(Option::is_some))).collect();
        assert_eq!(found, drawn, "{rest}");
    }
}

/// A divisor that may be zero, and both factors of a product that may be: the ends are beyond any number. So is what is computed from such.
#[tokio::test]
async fn what_may_be_divided_by_zero_has_no_ends() {
    let world = world();
    let document = exact(&world);
    // The first row has 200, give or take 9.
    for (rest, lost) in [
        ("SELECT s / (n - 200) AS x FROM t ORDER BY city, grade", true),
        ("SELECT (n - 200) * (n - 200) AS x FROM t ORDER BY city, grade", true),
        ("SELECT SUM(s / (n - 200)) OVER () AS x FROM t ORDER BY city, grade", true),
        ("SELECT sqrt(n - 201) AS x FROM t ORDER BY city, grade", true),
        ("SELECT (n - 200) / s AS x FROM t ORDER BY city, grade", false),
        ("SELECT (n - 200) * s AS x FROM t ORDER BY city, grade", false),
        ("SELECT n - 200 AS x FROM t ORDER BY city, grade", false),
    ] {
        let mut document = document.clone();
        for (at, row) in document.rows.iter_mut().enumerate() {
            row.cells[0].value = 202.0 + 300.0 * at as f64;
        }
        let (values, intervals) = simulated(&view(&world, rest), &document, Noise::Gaussian).await;
        let found = intervals[0].as_ref().unwrap_or_else(|| panic!("{rest} is not drawn"));
        let infinite = found.ends.iter().flatten().filter(|ends| **ends == [f64::NEG_INFINITY, f64::INFINITY]).count();
        let all = if rest.contains("OVER") { document.rows.len() } else { 1 };
        assert_eq!(infinite, if lost { all } else { 0 }, "{rest}: {values:?} {found:?}");
        assert_eq!(found.partial, lost || rest.contains(" / ") || rest.contains(" * "), "{rest}");
    }
    // Nothing is known of a number: nothing is of what is computed from it.
    let view = view(&world, "SELECT n + 1 AS x, s + 1 AS y FROM t");
    let answered = view.answer(&document).await.unwrap();
    let mut unknown = spreads(&document);
    unknown[2][0] = Spread { below: f64::NAN, above: f64::NAN };
    let intervals = view.simulate(&document, &answered, Noise::Gaussian, &unknown).await.unwrap();
    let finite =
        |column: usize, row: usize| intervals[column].as_ref().unwrap().ends[row].unwrap().iter().all(|end| end.is_finite());
    assert!(!finite(0, 2) && finite(0, 1) && finite(1, 2));
}
