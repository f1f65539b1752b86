use super::*;

fn proof(text: &str) -> Proof {
    prove(&wat::parse_str(text).unwrap(), Layout::NEAR).unwrap().proof
}

fn row(fields: &str, body: &str) -> Proof {
    proof(&format!(r#"(module {fields} (func $row (export "row") (param f64) (result f64) {body}))"#))
}

/// What keeps nothing is proven, and how much fuel it may take.
#[test]
fn pure_functions_are_proven() {
    assert_eq!(row("", "(f64.sqrt (local.get 0))"), Proof::Bounded(12 + 1));
    let twice = "(func $f (param f64) (result f64) (f64.mul (local.get 0) (local.get 0)))";
    assert_eq!(
        row(twice, "(f64.add (call $f (local.get 0)) (call $f (local.get 0)))"),
        Proof::Bounded(8 + 2 * (16 + 1) + 2 * (8 + 2))
    );
    let table = "(memory 1) (data (i32.const 0) \"\\00\\00\\00\\00\\00\\00\\f0\\3f\")";
    assert_eq!(row(table, "(f64.add (local.get 0) (f64.load (i32.const 0)))"), Proof::Bounded(8 + 1 + 4 + 1));
    assert_eq!(row("(global f64 (f64.const 2)) (global (mut i32) (i32.const 0))", "(global.get 0)"), Proof::Bounded(1));
    let sum = "(local i32) (loop (local.set 1 (i32.add (local.get 1) (i32.const 1))) (br_if 0 (i32.lt_s (local.get 1) (i32.const 9)))) (local.get 0)";
    assert_eq!(row("", sum), Proof::Stateless);
    let lanes = "(f64x2.extract_lane 0 (f64x2.add (f64x2.splat (local.get 0)) (v128.const f64x2 1 2)))";
    assert_eq!(row("", lanes), Proof::Bounded(1 + 8 + 2 + 1));
}

/// Functions that call themselves, or through a table, have no bound; a bound that cannot be counted is none.
#[test]
fn what_may_go_on_for_ever_has_no_bound() {
    assert_eq!(
        row(
            "",
            "(if (result f64) (f64.lt (local.get 0) (f64.const 0)) (then (local.get 0)) (else (call $row (f64.sub (local.get 0) (f64.const 1)))))"
        ),
        Proof::Stateless
    );
    let mutual = "(func $f (param f64) (result f64) (call $row (local.get 0)))";
    assert_eq!(row(mutual, "(call $f (local.get 0))"), Proof::Stateless);
    let table = "(type $t (func (param f64) (result f64))) (table 1 funcref) (elem (i32.const 0) $row)";
    assert_eq!(row(table, "(call_indirect (type $t) (local.get 0) (i32.const 0))"), Proof::Stateless);
    let mut doubling = String::from("(func $f0 (param f64) (result f64) (local.get 0))");
    for i in 1..70 {
        doubling += &format!("(func $f{i} (param f64) (result f64) (call $f{} (call $f{} (local.get 0))))", i - 1, i - 1);
    }
    assert_eq!(row(&doubling, "(call $f69 (local.get 0))"), Proof::Stateless, "2^69 calls");
}

/// Near misses: one instruction away from keeping nothing, wherever in the module it stands.
#[test]
fn near_misses_are_not_proven() {
    for (fields, body, why) in [
        ("(memory 1)", "(f64.store (i32.const 0) (local.get 0)) (local.get 0)", "F64Store"),
        ("(memory 1)", "(i32.store8 (i32.const 0) (i32.const 1)) (local.get 0)", "I32Store8"),
        ("(memory 1)", "(v128.store (i32.const 0) (f64x2.splat (local.get 0))) (local.get 0)", "V128Store"),
        ("(memory 1)", "(v128.store8_lane 0 (i32.const 0) (f64x2.splat (local.get 0))) (local.get 0)", "V128Store8Lane"),
        ("(memory 1)", "(drop (memory.grow (i32.const 1))) (local.get 0)", "MemoryGrow"),
        ("(memory 1)", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) (local.get 0)", "MemoryFill"),
        ("(memory 1)", "(memory.copy (i32.const 0) (i32.const 1) (i32.const 9)) (local.get 0)", "MemoryCopy"),
        ("(memory 1) (data $d \"x\")", "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (local.get 0)", "MemoryInit"),
        ("(memory 1) (data $d \"x\")", "(data.drop $d) (local.get 0)", "DataDrop"),
        ("(table 1 funcref) (elem $e func $row)", "(elem.drop $e) (local.get 0)", "ElemDrop"),
        ("(table 1 funcref)", "(table.set (i32.const 0) (ref.null func)) (local.get 0)", "TableSet"),
        ("(table 1 funcref)", "(drop (table.grow (ref.null func) (i32.const 1))) (local.get 0)", "TableGrow"),
        ("(table 1 funcref)", "(table.fill (i32.const 0) (ref.null func) (i32.const 1)) (local.get 0)", "TableFill"),
        ("(table 2 funcref)", "(table.copy (i32.const 0) (i32.const 1) (i32.const 1)) (local.get 0)", "TableCopy"),
        ("(global (mut f64) (f64.const 0))", "(global.set 0 (local.get 0)) (local.get 0)", "GlobalSet"),
        // Where it is never reached, and in a function that is called by none, by a table, or under another name.
        ("(global (mut f64) (f64.const 0))", "(return (local.get 0)) (global.set 0 (local.get 0)) (local.get 0)", "GlobalSet"),
        ("(global (mut f64) (f64.const 0)) (func (global.set 0 (f64.const 1)))", "(local.get 0)", "GlobalSet"),
        ("(global (mut f64) (f64.const 0)) (func (export \"other\") (global.set 0 (f64.const 1)))", "(local.get 0)", "GlobalSet"),
        ("(func $s) (start $s)", "(local.get 0)", "it has a start function"),
    ] {
        assert_eq!(row(fields, body), Proof::Unproven(why.into()), "{body}");
    }
}

/// All instructions of the families that are allowed one by one: which of them write must be known.
#[test]
fn every_instruction_that_writes_is_known() {
    macro_rules! all {
        ($(@$family:ident $op:ident $({ $($arg:ident: $kind:ty),* })? => $visit:ident ($($about:tt)*))*) => {
            [$((stringify!($family), stringify!($op))),*]
        };
    }
    let all = wasmparser::for_each_operator!(all);
    let allowed: Vec<_> = all.iter().filter(|(family, _)| FAMILIES.contains(family)).map(|(_, op)| *op).collect();
    assert!(allowed.len() > 400 && WRITE.iter().all(|op| allowed.contains(op)));
    let writes = |op: &str| {
        op.contains("Store")
            || op.contains("Grow")
            || op.contains("Fill")
            || op.contains("Copy") && !op.contains("Copysign")
            || op.contains("Init")
            || op.contains("Drop") && op != "Drop"
            || op == "GlobalSet"
            || op == "TableSet"
            || op.contains("Atomic")
    };
    let unknown: Vec<_> = allowed.iter().filter(|op| writes(op) && !WRITE.contains(op)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Setters are these: a local is the call's own.
    let sets: Vec<_> = allowed.iter().filter(|op| op.contains("Set")).collect();
    assert_eq!(sets, [&"LocalSet", &"GlobalSet", &"TableSet"]);
}

#[test]
fn what_is_no_row_function_is_refused() {
    for (text, why) in [
        ("(module)", "no function row"),
        (r#"(module (func (export "row") (param i64) (result f64) (f64.const 0)))"#, "f64 alone"),
        (r#"(module (func (export "row") (result f64) (f64.const 0)))"#, "f64 alone"),
        (r#"(module (func (export "row") (param f64)))"#, "f64 alone"),
        (r#"(module (import "env" "f" (func)) (func (export "row") (param f64) (result f64) (f64.const 0)))"#, "env.f"),
        (r#"(module (import "env" "m" (memory 1)) (func (export "row") (param f64) (result f64) (f64.const 0)))"#, "env.m"),
        (r#"(module (global (export "row") i32 (i32.const 0)))"#, "no function row"),
        (r#"(module (memory 1 1 shared) (func (export "row") (param f64) (result f64) (f64.const 0)))"#, "shared"),
    ] {
        let said = prove(&wat::parse_str(text).unwrap(), Layout::NEAR).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
    }
    assert!(prove(b"\0asm\x01\0\0\0\xff", Layout::NEAR).is_err());
}
