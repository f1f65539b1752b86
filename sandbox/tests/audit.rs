//! A statistical audit of programs: what a hostile guest makes of one person more or less, per person, by blocks and over the rounds of a training run, must not tell
//! better than the price allows. The guest does its worst: it looks for one person and shouts.
//!
//! `TIDEGATE_AUDIT_RUNS` sets the number of releases a side.

#[path = "../../gate/tests/common/mod.rs"]
mod distinguish;

use crate::common::{Table, job, policy, table};
use distinguish::excess;
use tidegate_gate::{Plan, Sums, epsilon_of, release};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::FemtoDelta,
    job::{Blocks, Output, Program, Reducer, Split},
    result::ResultDoc,
};
use tidegate_sandbox::{Help, admit, run};

const RHO: f64 = 0.5;

fn promised() -> Vec<(f64, f64)> {
    [0.3, 0.1, 0.03, 0.01, 0.002].map(|delta| (epsilon_of(RHO, delta).unwrap(), delta)).into()
}

/// Forty people, with or without the one that the guest looks for.
fn people(with: bool) -> Table {
    let rows: Vec<_> =
        (0..40).chain(with.then_some(40)).map(|p| (Some(p), Some(if p == 40 { 25_000.0 } else { 3.0 }), 1, "x")).collect();
    table(&rows)
}

fn sums(guest: &str, split: Split, outputs: &[Output], with: bool) -> (Plan, Sums) {
    let t = people(with);
    let bytes = tidegate_fixtures::guest(guest).unwrap();
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: "SELECT spend, visits FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split,
        outputs: outputs.to_vec(),
    });
    let admitted = admit(&job, &policy(), &t.schema, Some(bytes.into())).unwrap();
    let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help::default()).unwrap();
    (admitted.plan().clone(), sums)
}

/// How much better than promised `rounds` releases, paid together with `paid`, tell the two apart.
fn told_apart(guest: &str, split: Split, outputs: &[Output], rounds: u32, paid: f64, look: fn(&ResultDoc) -> f64) -> f64 {
    let sides = [false, true].map(|with| sums(guest, split, outputs, with));
    assert_ne!(sides[0].1.groups[0].lanes, sides[1].1.groups[0].lanes, "the guest does its worst");
    let price = Cost::dp(MicroRho::ceil(paid / f64::from(rounds)).unwrap(), FemtoDelta(0));
    let calibration = sides[0].0.calibrate(price).unwrap();
    excess(&promised(), |side| {
        let (plan, sums) = &sides[side];
        let one = || look(release(plan, &calibration, &[], sums, ContentHash([0; 32])).unwrap().document());
        // Who sees all rounds adds them up: the best there is against noise of one kind.
        (0..rounds).map(|_| one()).sum()
    })
}

fn sum(name: &str, hi: f64) -> Output {
    Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 }
}

fn first(result: &ResultDoc) -> f64 {
    result.rows[0].cells[0].value
}

fn all(result: &ResultDoc) -> f64 {
    result.rows[0].cells.iter().map(|cell| cell.value).sum()
}

#[test]
fn a_hostile_guest_cannot_tell_of_one_person() {
    let outputs = [sum("value", 4096.0), sum("found", 1.0)];
    for split in [Split::Unit, Split::Blocks(Blocks::of(20)), Split::Blocks(Blocks { number: 20, resample: 3 })] {
        for look in [first as fn(&ResultDoc) -> f64, |result| result.rows[0].cells[1].value] {
            let excess = told_apart("leak", split, &outputs, 1, RHO, look);
            assert!(excess <= 0.0, "{split:?}: told apart by {excess} more than was paid for");
        }
        // Noise for eight times what was charged: the audit is audited too.
        let excess = told_apart("leak", split, &outputs, 1, 8.0 * RHO, first);
        assert!(excess > 0.0, "{split:?}: this is broken, and the audit did not see it: {excess}");
    }
}

#[test]
fn all_rounds_together_cannot_tell_of_one_person() {
    let gradient = [Output { name: "gradient".into(), lo: -1.0, hi: 1.0, reducer: Reducer::Vector { len: 2 }, default: 0.0 }];
    let excess = told_apart("gradient", Split::Unit, &gradient, 8, RHO, first);
    assert!(excess <= 0.0, "told apart by {excess} more than was paid for");
    let excess = told_apart("gradient", Split::Unit, &gradient, 8, RHO, all);
    assert!(excess <= 0.0, "told apart by {excess} more than was paid for");
    // Each round at the price of all of them.
    let excess = told_apart("gradient", Split::Unit, &gradient, 8, 8.0 * RHO, first);
    assert!(excess > 0.0, "this is broken, and the audit did not see it: {excess}");
}
