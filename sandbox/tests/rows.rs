//! Row functions: whatever is proven of them, the same comes out, and a failure is one person's alone.

use crate::common::{Table, job, policy, table};
use tidegate_gate::Sums;
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Output, Program, Reducer, Split},
};
use tidegate_sandbox::{Attachment, Help, Rehearsal, admit, run, wasm::Code};

type Row = (Option<i64>, Option<f64>, i64, &'static str);

/// Many people, of one to five rows; some values are missing.
fn people() -> Table {
    let rows = (0..3000i64).flat_map(|p| (0..=p % 5).map(move |i| (p, i)));
    let rows: Vec<Row> = rows.map(|(p, i)| (Some(p), (p % 13 != i).then_some((p * 7 % 100 + i) as f64), i + 1, "x")).collect();
    table(&rows)
}

fn output(name: &str, hi: f64, default: f64) -> Output {
    Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default }
}

/// As it is, and from kept code.
fn run_text(t: &Table, text: &str, outputs: &[Output], shown: &mut Rehearsal) -> Result<Sums, Refusal> {
    let bytes = wat::parse_str(text).unwrap();
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: "SELECT spend, visits FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs: outputs.to_vec(),
    });
    let files = || [t.file.try_clone().unwrap()];
    let code = Code::compile(&bytes, policy().limits.memory_bytes as usize)?;
    let kept = admit(&job, &policy(), &t.schema, Some(Attachment::from(code)))?;
    let kept = run(&kept, &files(), &[7; 32], Help::default()).unwrap();
    let admitted = admit(&job, &policy(), &t.schema, Some(bytes.into()))?;
    let sums = run(&admitted, &files(), &[7; 32], Help { rehearsal: Some(shown), ..Help::default() }).unwrap();
    assert_eq!(sums.groups, kept.groups);
    Ok(sums)
}

/// A function with this body; in three modules of which ever less is proven.
fn three(fields: &str, body: &str) -> [String; 3] {
    let module = |more: &str, first: &str| {
        format!(
            r#"(module {fields} {more} (func $f (param f64 f64) (result f64 f64) {body})
              (func (export "row") (param f64 f64) (result f64 f64) {first} (call $f (local.get 0) (local.get 1))))"#
        )
    };
    [
        module("", ""),
        module("", "(block (loop (br 1)))"),
        module("(global $g (mut i32) (i32.const 0))", "(global.set $g (i32.add (global.get $g) (i32.const 1)))"),
    ]
}

#[test]
fn what_is_proven_does_not_change_what_comes_out() {
    let t = people();
    let outputs = [output("a", 500.0, 3.0), output("b", 10.0, 2.0)];
    for (fields, body) in [
        ("", "(f64.mul (local.get 0) (local.get 1)) (f64.sqrt (local.get 1))"),
        (
            "(memory 1) (data (i32.const 8) \"\\00\\00\\00\\00\\00\\00\\f0\\3f\")",
            "(f64.add (local.get 0) (f64.load (i32.const 8))) (local.get 1)",
        ),
        // Traps where the value is missing, and for people of some values.
        ("", "(drop (i32.trunc_f64_s (local.get 0))) (local.get 0) (f64.const 1)"),
        ("", "(if (f64.eq (local.get 0) (f64.const 37)) (then (unreachable))) (local.get 0) (f64.const 1)"),
        ("", "(f64.const nan) (f64.div (f64.const 1) (f64.sub (local.get 0) (local.get 0)))"),
    ] {
        let mut said = Vec::new();
        let mut seen = Vec::new();
        for text in three(fields, body) {
            let mut shown = Rehearsal::default();
            seen.push(run_text(&t, &text, &outputs, &mut shown).unwrap().groups);
            said.push(shown.lines);
        }
        assert_eq!(seen[0][0].units, 3000, "{body}");
        assert!(seen.iter().all(|one| *one == seen[0]), "{body}");
        assert!(said.iter().all(|one| *one == said[0]), "{body}: {said:?}");
        assert_eq!(said[0].is_empty(), !body.contains("trunc") && !body.contains("unreachable"), "{body}: {said:?}");
    }
}

/// Every person's rows are added up, missing values are NaN, and who has one of them in the sum has the default.
#[test]
fn a_persons_rows_are_added_up() {
    let t = table(&[
        (Some(1), Some(2.0), 1, ""),
        (Some(1), Some(3.0), 2, ""),
        (Some(2), Some(5.0), 3, ""),
        (Some(3), None, 4, ""),
        (Some(3), Some(1.0), 5, ""),
    ]);
    let text = r#"(module (func (export "row") (param f64 f64) (result f64 f64) (local.get 0) (local.get 1)))"#;
    let sums = run_text(&t, text, &[output("spend", 16.0, 7.0), output("visits", 16.0, 0.0)], &mut Rehearsal::default()).unwrap();
    let step = 16.0 / f64::from(1 << 20);
    let lanes: Vec<f64> = sums.groups[0].lanes.iter().map(|lane| *lane as f64 * step).collect();
    assert_eq!(lanes, [2.0 + 3.0 + 5.0 + 7.0, 1.0 + 2.0 + 3.0 + 9.0]);
}

/// State does not get from one person to the next, though it may from row to row of one.
#[test]
fn an_unproven_function_starts_anew_for_each_person() {
    let t = people();
    let text = r#"(module (global $n (mut f64) (f64.const 0)) (func (export "row") (param f64 f64) (result f64 f64)
        (global.set $n (f64.add (global.get $n) (f64.const 1))) (global.get $n) (f64.const 0)))"#;
    let sums = run_text(&t, text, &[output("n", 16.0, 0.0), output("z", 1.0, 0.0)], &mut Rehearsal::default()).unwrap();
    let expected: i64 = (0..3000i64).map(|p| (1..=p % 5 + 1).sum::<i64>()).sum();
    assert_eq!(sums.groups[0].lanes[0] as f64 * 16.0 / f64::from(1 << 20), expected as f64);
}

/// One person's long calls, or many rows, use up one person's fuel.
#[test]
fn fuel_is_a_persons_own() {
    let t = table(
        &(0..100)
            .flat_map(|p| (0..if p == 50 { 2500 } else { 3 }).map(move |_| (Some(p), Some(p as f64), 1, "")))
            .collect::<Vec<Row>>(),
    );
    let fuel = policy().fuel_per_call(policy().unit.max_units);
    let long = "(drop (f64.sqrt (local.get 0)))".repeat(fuel as usize / 13 / 1000);
    for (text, failed) in [
        (r#"(module (func (export "row") (param f64 f64) (result f64 f64)
            (if (f64.eq (local.get 0) (f64.const 7)) (then (loop (br 0)))) (f64.const 1) (f64.const 0)))"#.to_owned(), 1),
        (r#"(module (global $g (mut i32) (i32.const 0)) (func (export "row") (param f64 f64) (result f64 f64)
            (global.set $g (i32.const 1)) (if (f64.eq (local.get 0) (f64.const 7)) (then (loop (br 0)))) (f64.const 1) (f64.const 0)))"#.to_owned(), 1),
        // So long that a thousand rows are more than a person's fuel.
        (format!(r#"(module (func (export "row") (param f64 f64) (result f64 f64) {long} (f64.const 1) (f64.const 0)))"#), 1),
    ] {
        let mut shown = Rehearsal::default();
        let sums = run_text(&t, &text, &[output("n", 4.0, 0.0), output("z", 1.0, 0.0)], &mut shown).unwrap();
        // 99 people of three rows, and one at the upper bound unless it is the one that failed.
        let all = if text.len() > 500 { 99 * 3 } else { 98 * 3 + 4 };
        assert_eq!(sums.groups[0].lanes[0], all * (1 << 20) / 4, "{:?}", shown.lines);
        assert!(shown.lines[0].contains(&format!("{failed} people")), "{:?}", shown.lines);
    }
}

#[test]
fn what_does_not_fit_is_refused_before_it_runs() {
    let t = people();
    let outputs = [output("a", 1.0, 0.0), output("b", 1.0, 0.0)];
    let row = |kind: &str, body: &str| format!(r#"(module (func (export "row") {kind} {body}))"#);
    let long = "(drop (f64.sqrt (local.get 0)))".repeat(policy().fuel_per_call(policy().unit.max_units) as usize / 3 + 1);
    for (text, why) in [
        (row("(param f64) (result f64 f64)", "(f64.const 0) (f64.const 0)"), "takes 1 numbers, and the query selects 2"),
        (row("(param f64 f64) (result f64)", "(f64.const 0)"), "returns 1 numbers, and the job declares 2"),
        (row("(param f64 i32) (result f64 f64)", "(f64.const 0) (f64.const 0)"), "f64 alone"),
        ("(module)".into(), "no function row"),
        (row("(param f64 f64) (result f64 f64)", &format!("{long} (f64.const 0) (f64.const 0)")), "of fuel"),
    ] {
        let said = run_text(&t, &text, &outputs, &mut Rehearsal::default()).unwrap_err().to_string();
        assert!(said.contains(why), "{why}: {said}");
    }
}

/// How a person's rows lie in batches does not matter: what their fuel is enough for is the same, to the row.
#[test]
fn fuel_does_not_depend_on_where_rows_lie() {
    for more in 0..4 {
        let text = format!(
            r#"(module (func (export "row") (param f64 f64) (result f64 f64) (block (loop (br 1))) {} (f64.const 1) (f64.const 0)))"#,
            "(drop (local.get 0))".repeat(more)
        );
        let fails = |before: i64, rows: i64| {
            let people =
                (0..before).map(|p| (Some(p), Some(0.0), 1, "")).chain((0..rows).map(|_| (Some(before), Some(0.0), 1, "")));
            let mut shown = Rehearsal::default();
            let outputs = [output("n", 4.0, 0.0), output("z", 1.0, 0.0)];
            run_text(&table(&people.collect::<Vec<Row>>()), &text, &outputs, &mut shown).unwrap();
            !shown.lines.is_empty()
        };
        let (mut enough, mut many) = (1, 60_000);
        assert!(!fails(0, enough) && fails(0, many), "so many rows are too many");
        while many - enough > 1 {
            let rows = i64::midpoint(enough, many);
            if fails(0, rows) { many = rows } else { enough = rows }
        }
        // What an instance's memory costs is nobody's fuel.
        let large = text.replace("(module", "(module (memory 60)");
        let alone = |rows: i64| {
            let mut shown = Rehearsal::default();
            let people = (0..rows).map(|_| (Some(1), Some(0.0), 1, "")).collect::<Vec<Row>>();
            run_text(&table(&people), &large, &[output("n", 4.0, 0.0), output("z", 1.0, 0.0)], &mut shown).unwrap();
            !shown.lines.is_empty()
        };
        assert!(!alone(enough) && alone(enough + 1), "{enough} rows, with more memory");
        // In one more or one less of what is called at once.
        for before in [300, 600, 900] {
            assert!(!fails(before, enough), "{enough} rows after {before}");
            assert!(fails(before, enough + 1), "{enough} + 1 rows after {before}");
        }
    }
}

/// What cannot be instantiated gives everybody the default, whatever is proven of it, and breaks no worker.
#[test]
fn what_cannot_begin_gives_the_default() {
    let t = people();
    for text in three("(memory 1) (data (i32.const 65535) \"xx\")", "(local.get 0) (local.get 1)") {
        let mut shown = Rehearsal::default();
        let sums = run_text(&t, &text, &[output("a", 4.0, 3.0), output("b", 4.0, 1.0)], &mut shown).unwrap();
        assert_eq!((sums.groups[0].units, &sums.groups[0].lanes[..]), (3000, &[9000 << 18, 3000 << 18][..]), "{text}");
    }
}
