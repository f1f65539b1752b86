//! The gate against the reference, on plans, bounds, weights, prices and values at random.
//!
//! `TIDEGATE_REFERENCE_CASES` sets how many.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Case, Random};
use dashu::rational::RBig;
use tidegate_gate::{Calibration, Keys, Kind, Plan, SCALE_MAX, SCALE_MIN, Sums, release};
use tidegate_protocol::{ContentHash, job::Key, limits, result::ResultDoc};
use tidegate_reference::{Frame, Measure, Price, exact};

fn cases() -> u64 {
    std::env::var("TIDEGATE_REFERENCE_CASES").map_or(10_000, |n| n.parse().unwrap())
}

/// Cases on as many threads as there are processors; `of` says what became of each.
fn all(of: impl Fn(u64) -> &'static str + Sync) -> std::collections::BTreeMap<&'static str, u64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let count = |first: u64| {
        let mut seen = std::collections::BTreeMap::new();
        (first..cases()).step_by(threads as usize).for_each(|seed| *seen.entry(of(seed)).or_insert(0) += 1);
        seen
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|first| scope.spawn(move || count(first))).collect();
        let mut seen = std::collections::BTreeMap::new();
        for thread in threads {
            thread.join().unwrap().into_iter().for_each(|(what, n)| *seen.entry(what).or_insert(0) += n);
        }
        seen
    })
}

#[test]
fn the_gate_is_as_the_reference_says() {
    let seen = all(|seed| {
        let case = Case::at_random(&mut Random::new(seed));
        let accepted =
            case.columns.iter().all(|column| limits::WEIGHTS.contains(&column.weight) && column.reference.accepts(case.frame));
        let plan = match Plan::new(case.shape()) {
            Err(error) => {
                assert!(!accepted, "{seed}: {error} for {case:?}");
                return "refused for its bounds or weights";
            }
            Ok(plan) => plan,
        };
        assert!(accepted, "{seed}: taken, {case:?}");
        lanes_are_clipped(seed, &case, &plan);
        let calibration = match plan.calibrate(case.cost) {
            Ok(calibration) => calibration,
            Err(error) => {
                assert!(case.may_be_too_wide(&plan), "{seed}: {error} for {case:?}");
                return "refused for the width of its noise";
            }
        };
        noise_costs_what_is_paid(seed, &case, &plan, &calibration);
        keys_are_hidden(seed, &case, &plan, &calibration);
        released_as_the_shape_says(seed, &case, &plan, &calibration);
        "released"
    });
    println!("{seen:?}");
    let share = |what: &str| seen.get(what).copied().unwrap_or(0) as f64 / cases() as f64;
    assert!(share("released") > 0.3 && share("refused for its bounds or weights") > 0.1, "{seen:?}");
}

/// Units with rows at random: what they add is what the reference says to within the rounding of floats, and never moves further than the noise is made for.
fn lanes_are_clipped(seed: u64, case: &Case, plan: &Plan) {
    let mut random = Random::new(!seed);
    for _ in 0..3 {
        let rows = case.rows_at_random(&mut random);
        rows_stay_within_their_bounds(seed, case, plan, &rows);
        let lanes = case.lanes(plan, &rows);
        let mut parts = plan.parts().iter();
        for (i, column) in case.columns.iter().enumerate() {
            let mine: Vec<Vec<f64>> = rows.iter().map(|row| row[i].clone()).collect();
            let said = column.reference.contribution(&mine, case.frame);
            for ((said, moves), steps) in
                said.iter().zip(column.reference.moves(case.frame)).zip(column.reference.steps(case.frame))
            {
                let part = parts.next().unwrap();
                assert_eq!(exact(part.step), steps, "{seed}: {column:?}");
                let laid = &lanes[part.range()];
                let leaves = &said[said.len() - laid.len()..];
                let slack = i128::from(column.slack()) * rows.len() as i128;
                for (laid, said) in laid.iter().zip(leaves) {
                    let said = i128::try_from(said).unwrap();
                    assert!(
                        column.norm().is_some() || (laid - said).abs() <= slack,
                        "{seed}: {laid} for {said} of {column:?} at {mine:?}"
                    );
                }
                let square: i128 = laid.iter().map(|v| v * v).sum();
                let taxicab: i128 = laid.iter().map(|v| v.abs()).sum();
                if matches!(case.frame, Frame::Unit(_)) {
                    assert!(
                        dashu::integer::UBig::try_from(square).unwrap() <= moves.square,
                        "{seed}: {laid:?} of {column:?} at {mine:?}"
                    );
                    assert!(dashu::integer::UBig::try_from(taxicab).unwrap() <= moves.taxicab, "{seed}: {laid:?} of {column:?}");
                }
            }
        }
        assert!(parts.next().is_none());
    }
}

/// What a row adds lies where so many rows of a unit as count cannot leave the clip: a fold adds them without looking.
fn rows_stay_within_their_bounds(seed: u64, case: &Case, plan: &Plan, rows: &[Vec<Vec<f64>>]) {
    for (i, column) in case.columns.iter().enumerate() {
        let mut fields = vec![vec![]; plan.fields_of(i)];
        let values = column.values(&rows.iter().map(|row| row[i].clone()).collect::<Vec<_>>());
        plan.lay(i, rows.len(), &values.iter().map(Vec::as_slice).collect::<Vec<_>>(), None, &mut fields);
        let mut fields = fields.iter();
        for part in &plan.parts()[plan.parts_of(i)] {
            let within = |value: i64| match part.kind {
                Kind::Bins => (-1..part.lanes as i64).contains(&value),
                Kind::Once => value == 1,
                Kind::Sum => {
                    let all = value * plan.rows_within_clip() as i64;
                    // A block without a value is clipped as it is closed.
                    part.clip_lo <= all && all <= part.clip_hi || value == 0 && matches!(case.frame, Frame::Blocks(_))
                }
            };
            for value in fields.by_ref().take(part.fields()).flatten() {
                assert!(within(i64::from(*value)), "{seed}: {value} in {part:?} of {column:?} at {values:?}");
            }
        }
    }
}

/// Every draw's price by the reference's own sensitivity, κ times, is no more than was paid, of each column no more than its weight; and little is wasted.
fn noise_costs_what_is_paid(seed: u64, case: &Case, plan: &Plan, calibration: &Calibration) {
    let kappa = RBig::from(plan.kappa());
    let (price, paid) = case.price();
    let stated = plan.mechanism(calibration);
    let strays = stated.columns.iter().flat_map(|c| c.deviation.iter().zip(&c.steps)).zip(&calibration.scales);
    // Adding up takes as long as the noise is wide.
    for ((deviation, step), scale) in strays.filter(|(_, scale)| **scale <= 30.0) {
        let said = price.deviation(*scale);
        assert!((deviation / step - said).abs() <= 1e-9 * said + 1e-150, "{seed}: {deviation} of scale {scale}, not {said}");
    }
    let mut scales = calibration.scales.iter().zip(&calibration.remainder);
    let (mut sum, mut floor, mut loose) = (RBig::ZERO, false, false);
    let undeclared = matches!(case.keys, Keys::Undeclared { .. });
    let start = RBig::from(u8::from(undeclared));
    let weights = case.columns.iter().fold(start, |sum, c| sum + exact(c.weight));
    for column in &case.columns {
        let mut mine = RBig::ZERO;
        loose |= matches!(column.reference, Measure::Tree(..) | Measure::Vector(..));
        for moves in column.reference.moves(case.frame) {
            // A single bin over blocks is paid for, and never moves.
            floor |= moves.square.is_zero();
            let (scale, remainder) = scales.next().unwrap();
            assert!((SCALE_MIN..=SCALE_MAX).contains(scale), "{seed}: {scale}");
            floor |= *scale == SCALE_MIN;
            mine += price.of(&moves, *scale);
            let wider = match price {
                Price::Rho => exact(*remainder) * exact(*remainder) >= &kappa * exact(*scale) * exact(*scale),
                Price::Epsilon => remainder >= scale,
            };
            assert!(wider, "{seed}: {remainder} beside {scale} and κ = {kappa}");
        }
        mine *= &kappa;
        let share = &paid * exact(column.weight) / &weights;
        assert!(mine <= share, "{seed}: {column:?} costs {mine} of {share}");
        sum += mine;
    }
    if let Some(threshold) = calibration.threshold {
        floor |= threshold.scale == SCALE_MIN;
        sum += price.of(&tidegate_reference::Moves { square: 1u8.into(), taxicab: 1u8.into() }, threshold.scale) * &kappa;
    }
    assert!(sum <= paid, "{seed}: {sum} of {paid} for {case:?}");
    // Of a tree over blocks the root is paid for, and never moves.
    let least = if loose { exact(0.49) } else { exact(0.999_99) };
    assert!(floor || sum >= paid.clone() * least, "{seed}: {sum} of {paid} is wasteful for {case:?}");
}

fn keys_are_hidden(seed: u64, case: &Case, plan: &Plan, calibration: &Calibration) {
    let (Keys::Undeclared { min_units, .. }, Some(threshold)) = (case.keys, calibration.threshold) else {
        return assert!(calibration.threshold.is_none(), "{seed}");
    };
    assert!(threshold.least >= 2 && threshold.tau >= i64::from(min_units), "{seed}: {threshold:?}");
    // Adding up takes as long as the noise is wide.
    if threshold.scale <= 300.0 {
        let chance = case.price().0.tail(threshold.scale, threshold.tau - threshold.least) * f64::from(plan.kappa());
        let delta = case.cost.delta_femto.delta();
        assert!(chance <= delta * (1.0 + 1e-9), "{seed}: {chance} for {delta}, {threshold:?}");
    }
}

/// A result has the shape that the plan says, whoever is in it; and its numbers are the sums with the noise that was stated.
fn released_as_the_shape_says(seed: u64, case: &Case, plan: &Plan, calibration: &Calibration) {
    let declared: Vec<Vec<Key>> = case.declared();
    let mut random = Random::new(seed ^ 0x5eed);
    let key = declared.first().cloned().unwrap_or_default();
    let units: Vec<_> = (0..3).map(|_| case.lanes(plan, &case.rows_at_random(&mut random))).collect();
    let mut group = plan.group(key);
    group.units = 3;
    units.iter().for_each(|unit| group.lanes.iter_mut().zip(unit).for_each(|(all, one)| *all += one));
    let sums = Sums { groups: vec![group] };
    if matches!(case.keys, Keys::Undeclared { .. }) {
        return;
    }
    let of = |sums: &Sums| release(plan, calibration, &declared, sums, ContentHash([0; 32])).unwrap().document().clone();
    let (some, none) = (of(&sums), of(&Sums::default()));
    let shape = |doc: &ResultDoc| {
        let rows: Vec<_> = doc.rows.iter().map(|row| (row.key.clone(), row.cells.len())).collect();
        (rows, doc.columns.clone(), doc.keys.clone(), doc.left_out, doc.suppressed.clone(), doc.remainder.is_some())
    };
    assert_eq!(shape(&some), shape(&none), "{seed}");
    assert_eq!(some.rows.len(), declared.len().max(1), "{seed}");
    let mut cells = some.rows[0].cells.iter();
    let (mut parts, mut scales) = (plan.parts().iter(), calibration.scales.iter());
    for column in &case.columns {
        let mine: Vec<_> = cells.by_ref().take(column.cells()).collect();
        assert_eq!(mine.len(), column.cells(), "{seed}: {column:?}");
        assert!(
            mine.iter().all(|cell| cell.value.is_finite() && cell.low <= cell.value && cell.value <= cell.high),
            "{seed}: {mine:?}"
        );
        let own: Vec<_> = parts.by_ref().zip(scales.by_ref()).take(column.reference.steps(case.frame).len()).collect();
        if column.is_plain() {
            let (part, scale) = own[0];
            // One in 10^15 of a Gaussian, far less of as many Laplace draws as there are.
            let near = 40.0 * calibration.noise.deviation(*scale) * part.step + part.step;
            for (cell, sum) in mine.iter().zip(&sums.groups[0].lanes[part.range()]) {
                let exact = *sum as f64 * part.step;
                assert!(
                    (cell.value - exact).abs() <= near + exact.abs() * 1e-12,
                    "{seed}: {cell:?} for {exact} ± {near}, {column:?}"
                );
            }
        }
    }
    assert!(cells.next().is_none(), "{seed}");
}
