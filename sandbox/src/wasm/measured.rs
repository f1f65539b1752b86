//! Worst-case time of a unit of fuel, in nanoseconds, beside the nominal time.
//!
//! It is measured with programs that do nothing but what processors are slow at.

use std::{fmt::Write as _, time::Instant};

use tidegate_protocol::limits::FUEL_PER_MS;
use wasmtime::{Instance, Module, Store};

use super::{
    engine::engine,
    prices::{Layout, Memory},
};

/// Measured time per unit of fuel for a program with a single task.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Task of the program.
    pub what: String,
    /// Layout of its memory and code.
    pub layout: Layout,
    /// Nanoseconds per unit of fuel, the minimum of some runs.
    pub nanoseconds: f64,
}

/// Nominal nanoseconds per unit of fuel.
pub const UNIT: f64 = 1e6 / FUEL_PER_MS as f64;

/// Measures the time per unit of fuel on this machine: in a second or two for the slowest cases in general, or, in minutes, for
/// `all` known cases.
///
/// # Errors
/// Returns a description if this machine has no engine.
pub fn measure(all: bool) -> Result<Vec<Measured>, String> {
    let wanted = |case: &Case| all || FEW.contains(&case.name.as_str()) && case.layout != Layout::FARTHER;
    let one = |case: Case| {
        let nanoseconds = nanoseconds(&case).map_err(|e| format!("{}: {e:#}", case.name))?;
        Ok(Measured { what: case.name, layout: case.layout, nanoseconds })
    };
    cases().into_iter().filter(wanted).map(one).collect()
}

/// Cases most informative about a machine in little time.
const FEW: [&str; 3] = ["loads that follow one another", "branches that cannot be foreseen", "f64.div next to zero"];

const NEAR: usize = 4 << 20;
const FAR: usize = 64 << 20;
const FARTHER: usize = 256 << 20;

/// Minimum seconds of a run.
const SECONDS: f64 = 0.05;

/// Loop body of a program, with the fields its module needs.
struct Case {
    name: String,
    layout: Layout,
    fields: String,
    body: String,
    /// Whether its memory holds a walk through all lines in random order, from address 0 on.
    walk: bool,
}

fn case(name: &str, layout: Layout, body: &str) -> Case {
    Case { name: name.into(), layout, fields: String::new(), body: body.into(), walk: false }
}

/// Code to put the next random number in $x.
const NEXT: &str = "(local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13)))) (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17)))) (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))";

fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for layout in [Layout::NEAR, Layout::FAR, Layout::FARTHER] {
        let bytes = bytes(layout.data);
        let place = format!("(i32.and (local.get $x) (i32.const {}))", (bytes - 1) & !63);
        let chain = "(local.set $p (i32.load (local.get $p)))".repeat(64);
        cases.push(Case { walk: true, ..case("loads that follow one another", layout, &chain) });
        cases.push(case("loads anywhere", layout, &format!("{NEXT} (drop (i32.load {place}))").repeat(16)));
        cases.push(case("stores anywhere", layout, &format!("{NEXT} (i32.store {place} (local.get $x))").repeat(16)));
        let bulk = "(memory.copy (i32.const 0) (i32.const 2097152) (i32.const 2097152))";
        cases.push(case("copies of 2 MiB", layout, bulk));
        cases.push(case(
            "copies of 64 bytes from anywhere",
            layout,
            &format!("{NEXT} (memory.copy (i32.const 64) {place} (i32.const 64))").repeat(8),
        ));
    }
    // Next to zero, and far from it: a different number each time, or a compiler would compute it once.
    for (kind, suffix, tiny) in [("f64", "f64x2", 3e-308), ("f32", "f32x4", 1.5e-38)] {
        let bits = if kind == "f64" { "i64.reinterpret_f64" } else { "i64.extend_i32_u (i32.reinterpret_f32" };
        let close = if kind == "f64" { "" } else { ")" };
        let own = if kind == "f64" { "$a" } else { "$e" };
        let each = |op: &str, number: &dyn Fn(usize) -> String| {
            let one = |i| format!("(local.set $n (i64.xor (local.get $n) ({bits} ({op} {})){close}))", number(i));
            (0..32).map(one).collect::<String>()
        };
        for op in ["mul", "add", "sub", "div", "min", "lt"] {
            let number = |i: usize| {
                let with = if op == "mul" || op == "div" { 0.3 + i as f64 / 64.0 } else { -tiny * (0.3 + i as f64 / 64.0) };
                format!("(local.get {own}) ({kind}.const {})", if op == "div" { 1.0 / with } else { with })
            };
            if op == "lt" {
                let one = |i| format!("(local.set $p (i32.xor (local.get $p) ({kind}.lt {})))", number(i));
                cases.push(case(&format!("{kind}.lt next to zero"), Layout::NEAR, &(0..32).map(one).collect::<String>()));
                continue;
            }
            cases.push(case(&format!("{kind}.{op} next to zero"), Layout::NEAR, &each(&format!("{kind}.{op}"), &number)));
            if op != "min" {
                let lanes = if kind == "f64" { 2 } else { 4 };
                let one = |i: usize| {
                    let with = if op == "mul" || op == "div" { 0.3 + i as f64 / 64.0 } else { -tiny * (0.3 + i as f64 / 64.0) };
                    let with = if op == "div" { 1.0 / with } else { with };
                    let with = vec![with.to_string(); lanes].join(" ");
                    format!(
                        "(local.set $v (v128.xor (local.get $v) ({suffix}.{op} ({suffix}.splat (local.get {own})) (v128.const {suffix} {with}))))"
                    )
                };
                cases.push(case(&format!("{suffix}.{op} next to zero"), Layout::NEAR, &(0..32).map(one).collect::<String>()));
            }
        }
        let next = format!("({kind}.add (local.get {own}) ({kind}.const {tiny}))");
        for op in ["sqrt", "nearest", "floor"] {
            let number = |i: usize| format!("({kind}.mul {next} ({kind}.const {}))", 0.3 + i as f64 / 64.0);
            cases.push(case(
                &format!("{kind}.{op} and a product next to zero"),
                Layout::NEAR,
                &each(&format!("{kind}.{op}"), &number),
            ));
        }
    }
    let one = |i| {
        format!(
            "(local.set $f (f32.min (local.get $f) (f32.demote_f64 (f64.mul (local.get $c) (f64.const {})))))",
            1.0 + f64::from(i) / 64.0
        )
    };
    cases.push(case("f32.demote_f64 next to zero", Layout::NEAR, &(0..32).map(one).collect::<String>()));
    let one = |i| {
        format!(
            "(local.set $b (f64.min (local.get $b) (f64.promote_f32 (f32.mul (local.get $e) (f32.const {})))))",
            0.3 + f64::from(i) / 64.0
        )
    };
    cases.push(case("f64.promote_f32 next to zero", Layout::NEAR, &(0..32).map(one).collect::<String>()));
    let one = |i| {
        format!(
            "(local.set $n (i64.xor (local.get $n) (i64.trunc_sat_f64_u (f64.convert_i64_u (i64.add (local.get $n) (i64.const {i}))))))"
        )
    };
    cases.push(case("integers to floats and back", Layout::NEAR, &(0..32).map(one).collect::<String>()));
    for op in ["i64.popcnt", "i64.clz"] {
        cases.push(case(op, Layout::NEAR, &format!("(local.set $n ({op} (local.get $n)))").repeat(32)));
    }
    for op in ["i64.div_s", "i64.rem_u", "i64.mul", "i64.rotl"] {
        let each = format!("(local.set $n ({op} (i64.const 9223372036854775807) (i64.or (local.get $n) (i64.const 3))))");
        cases.push(case(op, Layout::NEAR, &each.repeat(32)));
    }
    for op in ["i64x2.mul", "i8x16.swizzle", "i8x16.popcnt", "i16x8.q15mulr_sat_s", "i8x16.avgr_u", "i8x16.narrow_i16x8_s"] {
        let two = if op.contains("popcnt") { "(local.get $v)" } else { "(local.get $v) (local.get $v)" };
        cases.push(case(op, Layout::NEAR, &format!("(local.set $v ({op} {two}))").repeat(32)));
    }
    for op in [
        "i32x4.trunc_sat_f64x2_u_zero",
        "f64x2.convert_low_i32x4_u",
        "f32x4.convert_i32x4_u",
        "f64x2.promote_low_f32x4",
        "f32x4.demote_f64x2_zero",
        "f64x2.nearest",
        "f64x2.sqrt",
    ] {
        cases.push(case(op, Layout::NEAR, &format!("(local.set $v ({op} (local.get $v)))").repeat(32)));
    }
    cases.push(case(
        "branches that cannot be foreseen",
        Layout::NEAR,
        &format!("{NEXT} (if (i32.and (local.get $x) (i32.const 1)) (then (local.set $p (i32.const 1))))").repeat(16),
    ));
    cases.push(case(
        "branches by a number that waits",
        Layout::NEAR,
        &format!("{NEXT} (block (br_if 0 (i32.and (local.get $x) (i32.const 1))) (local.set $p (i32.const 1)))").repeat(16),
    ));
    // Code that no cache holds: functions of a KiB or two, called in random order.
    const FUNCTIONS: usize = 8192;
    let filling = "(drop (i64.rem_u (i64.const 9) (local.get 0)))".repeat(40);
    let mut table = format!("(type $t (func (param i64) (result i64))) (table {FUNCTIONS} funcref) (elem (i32.const 0)");
    (0..FUNCTIONS).for_each(|i| write!(table, " $f{i}").unwrap_or(()));
    table += ")";
    (0..FUNCTIONS).for_each(|i| {
        write!(table, "(func $f{i} (type $t) (if (i64.eqz (local.get 0)) (then {filling})) (i64.const {i}))").unwrap_or(());
    });
    let call =
        format!("{NEXT} (drop (call_indirect (type $t) (i64.const 1) (i32.and (local.get $x) (i32.const {}))))", FUNCTIONS - 1);
    cases.push(Case { fields: table, ..case("calls of code that no cache holds", Layout::NEAR, &call.repeat(8)) });
    // The same within one function.
    const BLOCKS: usize = 2048;
    let filling = "(drop (i64.rem_u (i64.const 9) (local.get $n)))".repeat(24);
    let mut jump = "(block $out ".to_owned() + &"(block ".repeat(BLOCKS);
    write!(
        jump,
        "(br_table {} (i32.and (local.get $x) (i32.const {})))",
        (0..BLOCKS).map(|i| i.to_string()).collect::<Vec<_>>().join(" "),
        BLOCKS - 1
    )
    .unwrap_or(());
    (0..BLOCKS).for_each(|_| write!(jump, ") (if (i64.eqz (local.get $n)) (then {filling})) (br $out)").unwrap_or(()));
    // The last `br` is to its own end.
    jump = jump.replace("(br $out)", "(br $out) ") + ")";
    // And by comparisons alone: a walk through some MiB of code, most of which is jumped over.
    const WALKED: usize = 64;
    let filling = "(drop (i64.rem_u (i64.const 9) (local.get 0)))".repeat(40);
    let mut steps = String::new();
    (0..WALKED).for_each(|i| {
        let step = format!("(if (i64.eqz (local.get 0)) (then {filling}))").repeat(128);
        write!(steps, "(func $w{i} (param i64) {step})").unwrap_or(());
    });
    let walk: String = (0..WALKED).map(|i| format!("(call $w{i} (i64.const 1))")).collect();
    let long = Layout { long_code: true, ..Layout::NEAR };
    cases.push(Case { fields: steps, ..case("comparisons that jump over code that no cache holds", long, &walk) });
    cases.push(case("jumps to code that no cache holds", Layout::NEAR, &format!("{NEXT} {jump}")));
    cases
}

fn bytes(memory: Memory) -> usize {
    match memory {
        Memory::Near => NEAR,
        Memory::Far => FAR,
        Memory::Farther => FARTHER,
    }
}

fn text(case: &Case) -> String {
    let pages = bytes(case.layout.data) >> 16;
    format!(
        r#"(module (memory (export "memory") {pages} {pages}) {}
        (func (export "run") (param $times i32) (result i32) (local $p i32) (local $c f64) (local $x i32) (local $a f64) (local $b f64) (local $e f32) (local $f f32) (local $n i64) (local $v v128)
            (local.set $x (i32.const 2463534242)) (local.set $n (i64.const 7))
            (loop $again
                (local.set $a (f64.reinterpret_i64 (i64.or (i64.extend_i32_u (local.get $times)) (i64.const {}))))
                (local.set $c (f64.reinterpret_i64 (i64.or (i64.extend_i32_u (local.get $times)) (i64.const {}))))
                (local.set $e (f32.reinterpret_i32 (i32.or (i32.and (local.get $times) (i32.const 255)) (i32.const {}))))
                {} (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
            (i32.add (i32.add (local.get $p) (local.get $x)) (i32.add (i32.trunc_sat_f64_s (local.get $b)) (i32.add (i32.trunc_sat_f32_s (local.get $f)) (i32.add (i32.wrap_i64 (local.get $n)) (i32x4.extract_lane 0 (local.get $v))))))))"#,
        case.fields,
        3e-308f64.to_bits(),
        1e-40f64.to_bits(),
        1.5e-38f32.to_bits(),
        case.body
    )
}

/// Writes a circular walk through all lines of 64 bytes, in random order.
fn walk(memory: &mut [u8]) {
    let lines = memory.len() / 64;
    let mut order: Vec<usize> = (0..lines).collect();
    let mut random = 88172645463325252u64;
    for i in (1..lines).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(i, (random % (i as u64 + 1)) as usize);
    }
    let start = order.iter().position(|line| *line == 0).unwrap_or(0);
    order.rotate_left(start);
    for (i, line) in order.iter().enumerate() {
        let next = (order[(i + 1) % lines] * 64) as u32;
        memory[line * 64..line * 64 + 4].copy_from_slice(&next.to_le_bytes());
    }
}

/// Measures a case, in nanoseconds per unit of fuel, as the minimum of several runs.
fn nanoseconds(case: &Case) -> wasmtime::Result<f64> {
    let engine = engine(FARTHER, case.layout)?;
    let module = Module::new(&engine, wat::parse_str(text(case))?)?;
    let mut store = Store::new(&engine, ());
    store.set_fuel(u64::MAX >> 1)?;
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    if let Some(memory) = instance.get_memory(&mut store, "memory") {
        if case.walk {
            walk(memory.data_mut(&mut store));
        } else {
            memory.data_mut(&mut store).chunks_mut(4096).for_each(|page| page[0] = 1);
        }
    }
    let (mut times, mut least) = (16, f64::INFINITY);
    let mut good = 0;
    while good < 3 {
        let before = store.get_fuel()?;
        let start = Instant::now();
        std::hint::black_box(run.call(&mut store, times)?);
        let seconds = start.elapsed().as_secs_f64();
        let fuel = before - store.get_fuel()?;
        if seconds < SECONDS {
            times *= 2;
            continue;
        }
        least = least.min(seconds * 1e9 / fuel as f64);
        good += 1;
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is measured in little time is among what is measured at all, and is of some length.
    #[test]
    fn little_is_measured_in_little_time() {
        let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
        assert!(FEW.iter().all(|few| names.iter().any(|name| name == few)));
        let measured = measure(false).unwrap();
        assert!(measured.len() >= FEW.len() && measured.len() < names.len() / 4);
        assert!(measured.iter().all(|one| one.nanoseconds > 0.01), "{measured:?}");
    }
}
