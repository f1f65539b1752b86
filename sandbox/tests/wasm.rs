//! Guests, good and hostile, compiled from C: what comes out is a bounded vector a unit, whatever they do.

use crate::common::{Table, job, policy, table};
use tidegate_gate::Sums;
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Blocks, Data, Output, Program, Reducer, Split},
};
use tidegate_sandbox::{Attachment, Help, Rehearsal, admit, run};

fn people() -> Table {
    // Person 3 is the one the hostile guests look for.
    table(&[
        (Some(1), Some(100.0), 1, "a"),
        (Some(1), Some(300.0), 1, "a"),
        (Some(2), Some(2000.0), 1, "b"),
        (Some(3), Some(25_000.0), 1, "b"),
    ])
}

fn output(name: &str, hi: f64) -> Output {
    Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 }
}

fn run_bytes(bytes: Vec<u8>, split: Split, rehearsal: Option<&mut Rehearsal>) -> Result<Sums, Refusal> {
    let t = people();
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: "SELECT spend FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split,
        outputs: vec![output("mean", 4096.0), output("heavy", 1.0)],
    });
    let mut policy = policy();
    // Fuel enough to come to the end of the stack.
    policy.limits.slot_ms *= 4;
    let admitted = admit(&job, &policy, &t.schema, Some(bytes.into()))?;
    Ok(run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help { rehearsal, ..Help::default() }).unwrap())
}

fn guest(name: &str) -> Vec<u8> {
    tidegate_fixtures::guest(name).unwrap()
}

/// Steps of an output with upper bound `hi`.
fn steps(value: f64, hi: f64) -> i128 {
    (value / 2f64.powi(hi.log2().ceil() as i32 - 20)) as i128
}

#[test]
fn a_guest_sees_one_unit_at_a_time() {
    let sums = run_bytes(guest("heavy"), Split::Unit, None).unwrap();
    assert_eq!(sums.groups[0].units, 3);
    // Means 200, 2000 and 25000 clipped to 4096; two heavy people.
    assert_eq!(sums.groups[0].lanes, [steps(200.0 + 2000.0 + 4096.0, 4096.0), steps(2.0, 1.0)]);
}

/// Bytes beside the program are paid for before they are copied: who asks for more than its fuel is at an end.
#[test]
fn data_is_paid_from_fuel() {
    let t = people();
    let bytes = guest("network");
    let job_of = |bytes: &[u8], data: &[u8], outputs: Vec<Output>| {
        job(Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(bytes),
            select: "SELECT spend FROM dataset".into(),
            params_base64: String::new(),
            data: (!data.is_empty()).then(|| Data::of(data)),
            split: Split::Unit,
            outputs,
        })
    };
    let two = || vec![output("mean", 4096.0), output("heavy", 1.0)];
    let ask = |data: Vec<u8>| {
        let job = job_of(&bytes, &data, two());
        let mut shown = Rehearsal::default();
        let admitted = admit(&job, &policy(), &t.schema, Some(Attachment::from(bytes.clone()).with_data(data)))?;
        let help = Help { rehearsal: Some(&mut shown), ..Help::default() };
        run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], help).unwrap();
        Ok::<_, Refusal>(shown)
    };
    let few = ask(vec![0; 4 * 8]).unwrap();
    assert!(few.lines.is_empty(), "{:?}", few.lines);
    let many = ask(vec![0; policy().limits.fuel as usize + 1]).unwrap();
    assert!(many.lines.iter().all(|line| line.contains("fuel")) && many.lines.len() == 3, "{:?}", many.lines);
    // A row function reads none.
    let row = wat::parse_str("(module (func (export \"row\") (param f64) (result f64) (local.get 0)))").unwrap();
    let with = |data: &[u8]| {
        let sent = Attachment::from(row.clone()).with_data(data.to_vec());
        admit(&job_of(&row, data, vec![output("mean", 4096.0)]), &policy(), &t.schema, Some(sent)).map(|_| ())
    };
    with(&[]).unwrap();
    assert!(with(&[1]).unwrap_err().to_string().contains("a row function has no data"));
    // Other bytes than the job names are not taken.
    let job = job_of(&bytes, &[0; 32], two());
    for data in [vec![], vec![1; 32], vec![0; 31]] {
        let refusal = admit(&job, &policy(), &t.schema, Some(Attachment::from(bytes.clone()).with_data(data))).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("program.data"));
    }
}

/// An output may take several numbers: as one vector they are clipped by their length, and a vector of another length gives the default.
#[test]
fn outputs_may_take_several_numbers() {
    let t = people();
    let run = |len: u32| {
        let bytes = guest("heavy");
        let vector = Output { name: "v".into(), lo: -1.0, hi: 1.0, reducer: Reducer::Vector { len }, default: 0.0 };
        let job = job(Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(&bytes),
            select: "SELECT spend FROM dataset".into(),
            params_base64: String::new(),
            data: None,
            split: Split::Unit,
            outputs: vec![vector],
        });
        let admitted = admit(&job, &policy(), &t.schema, Some(bytes.into())).unwrap();
        let files = [t.file.try_clone().unwrap()];
        run(&admitted, &files, &[7; 32], Help::default()).unwrap().groups.remove(0).lanes
    };
    // (200, 0), (2000, 1) and (25000, 1), each of length 1: their second numbers are next to nothing.
    let lanes = run(2);
    assert!(lanes[0] > steps(2.99, 1.0) && lanes[0] <= steps(3.0, 1.0) && (0..steps(0.01, 1.0)).contains(&lanes[1]), "{lanes:?}");
    assert_eq!(run(3), [0, 0, 0], "the guest returns two");
}

/// The Rust guest: one gradient step of a logistic regression, each person's clipped, against the same sum by hand.
#[test]
fn a_gradient_is_computed_person_by_person() {
    let t =
        table(&[(Some(1), Some(1.0), 1, ""), (Some(1), Some(3.0), 0, ""), (Some(2), Some(2.0), 1, ""), (Some(3), None, 1, "")]);
    let bytes = guest("gradient");
    let weights = [0.5, -0.25f64];
    let params: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let within = |name: &str| Output { name: name.into(), lo: -1.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 };
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: "SELECT spend, visits FROM dataset".into(),
        params_base64: base64::Engine::encode(&base64::prelude::BASE64_STANDARD, params),
        data: None,
        split: Split::Unit,
        outputs: vec![within("spend"), within("intercept")],
    });
    let admitted = admit(&job, &policy(), &t.schema, Some(bytes.into())).unwrap();
    let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help::default()).unwrap();
    let error = |x: f64, y: f64| 1.0 / (1.0 + (-(weights[0] * x + weights[1])).exp()) - y;
    let (a, b, c) = (error(1.0, 1.0), error(3.0, 0.0), error(2.0, 1.0));
    for (lane, expected) in sums.groups[0]
        .lanes
        .iter()
        .zip([((a + 3.0 * b) / 2.0).clamp(-1.0, 1.0) + (2.0 * c).clamp(-1.0, 1.0), ((a + b) / 2.0) + c])
    {
        let got = *lane as f64 / f64::from(1 << 20);
        assert!((got - expected).abs() < 1e-5, "{got} is not {expected}");
    }
}

/// A person with more rows than a worker could hold is cut short, by public numbers, before anything can break: the others' results are the same.
#[test]
fn a_unit_of_any_number_of_rows_is_handed_over_in_bounded_memory() {
    let people: Vec<_> = (0..40_000).map(|i| (Some(2), Some(f64::from(i)), 1, "x")).collect();
    let rows = [&[(Some(1), Some(1.0), 1, "x")][..], &people, &[(Some(3), Some(3.0), 1, "x")]].concat();
    let t = table(&rows);
    let wide = (0..100).map(|i| format!("city || '{i}'")).collect::<Vec<_>>().join(", ");
    let bytes = guest("heavy");
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: format!("SELECT visits, {wide} FROM dataset"),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs: vec![output("mean", 4096.0), output("heavy", 1.0)],
    });
    // So wide a row takes long: this machine is a fast one.
    let mut fast = policy();
    fast.sql.work_per_ms *= 1000;
    let admitted = admit(&job, &fast, &t.schema, Some(bytes.into())).unwrap();
    let most = tidegate_protocol::limits::UNIT_BYTES / (8 + 100 * 4 * tidegate_protocol::limits::TEXT_CHARS);
    assert!(most < 100, "the case is one");
    let mut seen = Vec::new();
    let select = tidegate_sandbox::sql::admit_select(
        &format!("SELECT visits, {wide} FROM dataset"),
        tidegate_protocol::job::Split::Unit,
        &t.schema,
        &fast,
    )
    .unwrap();
    let file = [t.file.try_clone().unwrap()];
    tidegate_sandbox::units::each_unit(&file, &select, |_, batch| {
        seen.push(batch.num_rows());
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, [1, most, 1]);
    let sums = run(&admitted, &file, &[7; 32], Help::default()).unwrap();
    assert_eq!(sums.groups[0].units, 3);
}

/// Each hostile guest moves the sums by no more than one unit's clip range, stops for the reason it must, and that where nobody sees it.
#[test]
fn hostile_guests_are_clipped_or_replaced_by_the_default() {
    let from_c = [
        ("leak", "", [4096.0, 1.0]),
        ("shout", "returned 4096 numbers", [0.0; 2]),
        ("trap", "unreachable", [0.0; 2]),
        ("spin", "fuel", [0.0; 2]),
        ("hoard", "memory", [0.0; 2]),
    ];
    let from_c = from_c.map(|(name, why, gives)| (name.to_owned(), guest(name), why.to_owned(), gives));
    let from_text = tidegate_fixtures::hostile().unwrap();
    assert!(from_text.len() >= 25);
    let from_text = from_text.into_iter().map(|h| {
        // What it gives each of the three people, within the outputs' bounds.
        let sum = |given: f64, hi: f64| (3.0 * given).min(3.0 * hi);
        (h.name, h.component, h.stops_for, [sum(h.gives[0], 4096.0), sum(h.gives[1], 1.0)])
    });
    for (name, component, why, gives) in from_c.into_iter().chain(from_text) {
        let quiet = run_bytes(component.clone(), Split::Unit, None).unwrap();
        let expected = [steps(gives[0], 4096.0), steps(gives[1], 1.0)];
        assert_eq!((quiet.groups[0].units, quiet.groups[0].lanes.as_slice()), (3, &expected[..]), "{name}");
        let mut shown = Rehearsal::default();
        run_bytes(component, Split::Unit, Some(&mut shown)).unwrap();
        if why.is_empty() {
            assert!(shown.lines.is_empty(), "{name}: {:?}", shown.lines);
        } else {
            assert!(shown.lines.iter().any(|l| l.contains(&why)), "{name} must stop for {why:?}: {:?}", shown.lines);
        }
    }
}

/// Whatever a program does, one person's coming or going moves the exact sums by no more than the noise is made for: their own contribution, or that
/// of the blocks that they are in. What has the target in view spins, traps, hoards or counts.
#[test]
fn no_hostile_guest_is_moved_further_by_one_person_than_the_noise_is_for() {
    let mut rows: Vec<(Option<i64>, Option<f64>, i64, &str)> =
        (0..30).map(|p| (Some(p), Some(f64::from(p as i32) * 300.0), p % 5, "x")).collect();
    rows.push((Some(17), Some(25_000.0), 1, "the target"));
    rows.sort_by_key(|row| row.0);
    let outputs = vec![output("mean", 4096.0), output("heavy", 1.0)];
    let splits = [Split::Unit, Split::Blocks(Blocks::of(6)), Split::Blocks(Blocks { number: 12, resample: 3 })];
    let from_c = ["hoard", "leak", "shout", "spin", "trap"].map(|name| (name.to_owned(), guest(name)));
    let from_text = tidegate_fixtures::hostile().unwrap().into_iter().map(|one| (one.name, one.component));
    for (name, component) in from_c.into_iter().chain(from_text) {
        for split in splits {
            let sums = |rows: &[(Option<i64>, Option<f64>, i64, &str)]| {
                let t = table(rows);
                let job = job(Program::Wasm {
                    infer: None,
                    on: None,
                    module: ContentHash::of(&component),
                    select: "SELECT spend FROM dataset".into(),
                    params_base64: String::new(),
                    data: None,
                    split,
                    outputs: outputs.clone(),
                });
                let admitted = admit(&job, &policy(), &t.schema, Some(component.clone().into())).unwrap();
                let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help::default()).unwrap();
                (admitted.plan().parts().iter().map(|part| i128::from(part.sensitivity)).collect::<Vec<_>>(), sums)
            };
            let (sensitivity, all) = sums(&rows);
            for without in [3, 17] {
                let rest: Vec<_> = rows.iter().filter(|row| row.0 != Some(without)).copied().collect();
                let (_, fewer) = sums(&rest);
                let fallen = all.groups[0].units - fewer.groups[0].units;
                assert_eq!(fallen, i64::from(split == Split::Unit), "{name} {split:?}");
                for ((a, b), most) in all.groups[0].lanes.iter().zip(&fewer.groups[0].lanes).zip(&sensitivity) {
                    assert!((a - b).abs() <= *most, "{name} {split:?} without {without}: {a} {b}, more than {most} apart");
                }
            }
        }
    }
}

#[test]
fn every_block_contributes_once_even_when_empty() {
    let sums = run_bytes(guest("heavy"), Split::Blocks(Blocks::of(50)), None).unwrap();
    assert_eq!(sums.groups[0].units, 50);
}

#[test]
fn what_is_not_a_component_of_the_world_is_refused() {
    let wat = |text: &str| wat::parse_str(text).unwrap();
    for (bytes, word) in [
        (wat(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#), "wasi:sockets"),
        (wat(r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#), "wasi:http"),
        (wat(r#"(component (import "wasi:random/random@0.3.0" (instance)))"#), "wasi:random/random@0.3.0"),
        (wat(r#"(component (import "wasi:random/random@0.2.0-draft" (instance)))"#), "wasi:random/random@0.2.0-draft"),
        (wat(r#"(component (import "wasi:random/random" (instance)))"#), "wasi:random/random"),
        (wat(r#"(component (import "env" (func)))"#), "imports env"),
        (wat("(component)"), "world tidegate:job"),
        (wat("(module)"), "not a row function"),
        (b"(component)".to_vec(), "not a WebAssembly component"),
        (guest("heavy")[..200].to_vec(), "does not compile"),
        (vec![], "not a WebAssembly component"),
    ] {
        let refusal = run_bytes(bytes, Split::Unit, None).unwrap_err().to_string();
        assert!(refusal.contains(word), "{refusal}");
    }
}

#[test]
fn bytes_other_than_the_signed_hash_are_refused() {
    let t = people();
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(b"other"),
        select: "SELECT spend FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs: vec![output("mean", 1.0)],
    });
    let refusal = admit(&job, &policy(), &t.schema, Some(guest("heavy").into())).unwrap_err();
    assert!(refusal.to_string().contains("hash"), "{refusal}");
}

/// Were the clock to end a job, one person's spin could turn everybody's contribution into the default. Fuel is shared out from public
/// numbers, so that the whole job always fits its slot.
#[test]
fn all_calls_of_a_job_fit_the_slot() {
    let policy = policy();
    for calls in [1, policy.unit.max_units, 1 << 20] {
        let total = policy.fuel_per_call(calls).saturating_mul(calls);
        assert!(total <= policy.limits.slot_ms * tidegate_protocol::limits::FUEL_PER_MS || policy.fuel_per_call(calls) == 1);
    }
}
