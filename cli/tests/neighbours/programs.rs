//! Programs that fail, stall or shout for the one person alone, over units and over blocks.
//!
//! A guest says 1 twice. The defaults of what it says are 0 and 100: where everybody has them, both numbers show it.

use super::jobs::Case;

/// Of whoever's largest number is above 20 000 ACTION is done.
const GUEST: &str = r#"(module
  (import "tidegate:job/host@0.1.0" "params" (func $params (param i32)))
  (import "tidegate:job/host@0.1.0" "log" (func $log (param i32 i32)))
  (memory (export "memory") 2)
  (table $table 1 funcref)
  (data (i32.const 0) "\08\00\00\00\02\00\00\00")
  (data $text "abcd")
  (global $top (mut i32) (i32.const 4096))
  (type $number (func (result i32)))
  (func $deep (param i64) (result i64) (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.get $top)
    (global.set $top (i32.add (global.get $top) (local.get 3))))
  (func (export "contribute") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
    (local $value f64) (local $row i32) (local $list i32) (local $x f64) (local $i i32)
    (local.set $list (i32.load (i32.add (local.get $columns) (i32.const 12))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
      (local.set $value (f64.max (local.get $value)
        (f64.load (i32.add (local.get $list) (i32.shl (local.get $row) (i32.const 3))))))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next)))
    (f64.store (i32.const 8) (f64.const 1))
    (f64.store (i32.const 16) (f64.const 1))
    (if (f64.gt (local.get $value) (f64.const 20000)) (then ACTION))
    (i32.const 0)))"#;

/// A row function, of which ACTION is done the same way.
const ROW: &str = r#"(module
  (func $deep (param i64) (result i64) (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  (func (export "row") (param f64) (result f64 f64)
    (if (f64.gt (local.get 0) (f64.const 20000)) (then ACTION))
    (f64.const 1) (f64.const 1)))"#;

/// What is done for the one alone.
const ACTIONS: [(&str, &str); 24] = [
    ("traps", "(unreachable)"),
    ("spins", "(loop (br 0))"),
    ("grows", "(loop (drop (memory.grow (i32.const 4))) (br 0))"),
    ("grows-and-goes-on", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"),
    ("grows-and-touches", "(loop (i32.store (i32.shl (memory.grow (i32.const 1)) (i32.const 16)) (i32.const 1)) (br 0))"),
    ("says-nan", "(i64.store (i32.const 8) (i64.const 0x7ff8dead0000beef)) (f64.store (i32.const 16) (f64.const nan))"),
    ("says-infinity", "(f64.store (i32.const 8) (f64.const inf)) (f64.store (i32.const 16) (f64.const -inf))"),
    ("says-huge", "(f64.store (i32.const 8) (f64.const 1e308)) (f64.store (i32.const 16) (f64.const -1.7e308))"),
    ("says-subnormal", "(f64.store (i32.const 8) (f64.const 5e-324)) (f64.store (i32.const 16) (f64.const -0.0))"),
    ("says-too-much", "(i32.store (i32.const 4) (i32.const 3))"),
    ("says-all-its-memory", "(i32.store (i32.const 4) (i32.const 16000))"),
    ("says-beyond-its-memory", "(i32.store (i32.const 0) (i32.const 0x7ffffff8))"),
    ("says-unaligned", "(i32.store (i32.const 0) (i32.const 9))"),
    ("says-too-little", "(i32.store (i32.const 4) (i32.const 1))"),
    ("says-nothing", "(i32.store (i32.const 4) (i32.const 0))"),
    ("reads-beyond-its-memory", "(drop (i32.load (i32.const 0x7ffffffc)))"),
    ("divides-by-zero", "(drop (i32.div_s (local.get $rows) (i32.const 0)))"),
    ("calls-nothing", "(drop (call_indirect (type $number) (i32.const 0)))"),
    ("recurses", "(drop (call $deep (i64.const 0)))"),
    ("grows-a-table", "(loop (drop (table.grow $table (ref.null func) (i32.const 100))) (br 0))"),
    ("talks", "(loop (call $log (i32.const 65536) (i32.const 60000)) (br 0))"),
    ("fills", "(loop (memory.fill (i32.const 4096) (i32.const 1) (i32.const 100000)) (br 0))"),
    ("asks-for-params", "(loop (call $params (i32.const 32)) (br 0))"),
    // Subnormal sums and quotients take many times as long as others on some processors, for the same fuel.
    (
        "counts-in-subnormals",
        "(local.set $x (f64.const 1e-310)) (loop (local.set $x (f64.div (f64.add (local.get $x) (f64.const 3e-320)) (f64.const 1.0000001))) (br 0))",
    ),
];

/// Reads a line of memory after the other in an order that no cache foresees, to the end of its fuel.
const MISSES: &str = "(drop (memory.grow (i32.const 250))) (local.set $i (i32.const 1)) \
    (loop (local.set $i (i32.add (i32.mul (local.get $i) (i32.const 1664525)) (i32.const 1013904223))) \
    (local.set $row (i32.add (local.get $row) (i32.load (i32.and (local.get $i) (i32.const 0xfbffc0))))) (br 0))";

/// Which of them are for a block too, that has more fuel.
const OVER_BLOCKS: [&str; 9] =
    ["traps", "spins", "grows-and-touches", "says-nan", "says-too-much", "recurses", "talks", "fills", "counts-in-subnormals"];

const UNITS: &str = "";
const BLOCKS: &str = "split = { blocks = 60 }";

fn program(name: String, text: &str, rho: &str, split: &str) -> Case {
    let bytes = wat::parse_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
    sent(name, bytes, rho, split)
}

fn sent(name: String, program: Vec<u8>, rho: &str, split: &str) -> Case {
    let job = format!(
        "rho = {rho}\n[wasm]\nmodule = \"PROGRAM\"\n{split}\n\
         select = \"SELECT CASE WHEN diag = 'rare' AND age = 42 THEN 30000.0 ELSE 1.0 END AS x FROM dataset\"\noutputs = [\n\
         {{ name = \"n\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }},\n\
         {{ name = \"far\", lo = 0, hi = 100, reducer = \"sum\", default = 100 }},\n]\n"
    );
    Case { name, job, program: Some(program), answers: Some(true) }
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![];
    for (name, action) in ACTIONS {
        let text = GUEST.replace("ACTION", action);
        cases.push(program(format!("{name}-for-one"), &text, "0.01", UNITS));
        if OVER_BLOCKS.contains(&name) {
            // At this price sixty blocks are far from none.
            cases.push(program(format!("{name}-for-a-block"), &text, "0.1", BLOCKS));
        }
    }
    let misses = GUEST.replace("ACTION", MISSES);
    cases.push(program("misses-caches-for-one".into(), &misses, "0.01", UNITS));
    cases.push(program("misses-caches-for-a-block".into(), &misses, "0.1", BLOCKS));
    cases.push(program("misses-caches-for-one-of-few-blocks".into(), &misses, "0.9", "split = { blocks = 16 }"));
    for (name, action) in &ACTIONS[..2] {
        let text = GUEST.replace("ACTION", action);
        cases.push(program(format!("{name}-for-blocks-with-one"), &text, "0.2", "split = { blocks = 60, resample = 2 }"));
    }
    for (name, action) in [
        ("traps", "(unreachable)"),
        ("spins", "(loop (br 0))"),
        ("recurses", "(drop (call $deep (i64.const 0)))"),
        ("says-nan", "(return (f64.const nan) (f64.const nan))"),
        ("says-huge", "(return (f64.const 1e308) (f64.const -1e308))"),
    ] {
        cases.push(program(format!("row-{name}-for-one"), &ROW.replace("ACTION", action), "0.01", UNITS));
    }
    // All others' rows are long, and were executed again where one trapped.
    let long = ROW.replace(
        "(f64.const 1) (f64.const 1)))",
        &format!("{} (f64.const 1) (f64.const 1)))", "(drop (f64.sqrt (local.get 0)))".repeat(2000)),
    );
    cases.push(program("row-traps-among-long-ones".into(), &long.replace("ACTION", "(unreachable)"), "0.01", UNITS));
    for name in ["leak", "shout", "trap"] {
        cases.push(sent(format!("guest-{name}"), tidegate_fixtures::guest(name).unwrap(), "0.01", UNITS));
    }
    for name in ["spin", "hoard"] {
        cases.push(sent(format!("guest-{name}"), tidegate_fixtures::guest(name).unwrap(), "0.1", BLOCKS));
    }
    cases
}
