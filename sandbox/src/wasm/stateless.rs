//! Proof of statelessness: an instance of a core module that keeps nothing between calls may serve many people.
//!
//! See `docs/technical/stateless.md`.
//!
//! The proof reads every function of the module and allows instructions by name. Unknown instructions are not allowed: the module
//! then runs all the same, in an instance of its own for each person.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wasmparser::{ExternalKind, FuncType, Operator, Parser, Payload, ValType, Validator, WasmFeatures};

use super::prices::{Layout, price_of};

/// Name of the exported function.
pub(super) const ROW: &str = "row";
/// Maximum count of numbers taken, and given, by a row function; columns of both fit the smallest memory allowed in a policy.
pub(super) const NUMBERS: usize = 64;

/// Proven properties of a row function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// No state is kept, and a call takes at most this much fuel: there is no loop, no recursion and no call through a table.
    Bounded(u64),
    /// No state is kept.
    Stateless,
    /// State may be kept, by an instruction of this name or otherwise.
    Unproven(String),
}

/// Module with a row function from `takes` numbers to `gives` numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFunction {
    /// Count of numbers taken, from columns.
    pub takes: usize,
    /// Count of numbers given.
    pub gives: usize,
    /// Proven properties.
    pub proof: Proof,
}

impl RowFunction {
    /// Returns whether its fuel is counted at run time.
    pub(super) fn is_counted(&self) -> bool {
        !matches!(self.proof, Proof::Bounded(_))
    }
}

macro_rules! families {
    ($(@$family:ident $op:ident $({ $($arg:ident: $kind:ty),* })? => $visit:ident ($($about:tt)*))*) => {
        /// Returns an instruction's proposal and its name.
        fn named(op: &Operator<'_>) -> (&'static str, &'static str) {
            match op {
                $(Operator::$op { .. } => (stringify!($family), stringify!($op)),)*
                _ => ("unknown", "unknown"),
            }
        }
    };
}
wasmparser::for_each_operator!(families);

/// Proposals with instructions examined by name; instructions of others are not allowed.
const FAMILIES: [&str; 5] = ["mvp", "sign_extension", "saturating_float_to_int", "reference_types", "simd"];
/// Instructions of these proposals that write anything outliving the call.
const WRITE: [&str; 19] = [
    "GlobalSet",
    "I32Store",
    "I64Store",
    "F32Store",
    "F64Store",
    "I32Store8",
    "I32Store16",
    "I64Store8",
    "I64Store16",
    "I64Store32",
    "MemoryGrow",
    "TableSet",
    "TableGrow",
    "TableFill",
    "V128Store",
    "V128Store8Lane",
    "V128Store16Lane",
    "V128Store32Lane",
    "V128Store64Lane",
];

/// Facts about a function for the proof.
#[derive(Default)]
struct Body {
    /// Fuel of all its instructions together.
    fuel: u64,
    calls: Vec<u32>,
    /// Whether the function may execute instructions more than once, or call unknown functions.
    loops: bool,
}

/// Examines a core module. `Err` says why there is no row function.
pub(super) fn prove(module: &[u8], layout: Layout) -> Result<RowFunction, String> {
    let features = WasmFeatures::WASM3
        - WasmFeatures::RELAXED_SIMD
        - WasmFeatures::THREADS
        - WasmFeatures::MEMORY64
        - WasmFeatures::MULTI_MEMORY
        - WasmFeatures::GC
        - WasmFeatures::EXCEPTIONS
        - WasmFeatures::FUNCTION_REFERENCES
        - WasmFeatures::TAIL_CALL;
    Validator::new_with_features(features).validate_all(module).map_err(|e| e.to_string())?;
    let (mut types, mut functions, mut bodies) = (vec![], vec![], vec![]);
    let (mut row, mut why) = (None, None);
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|e| e.to_string())? {
            Payload::TypeSection(section) => {
                for kind in section.into_iter_err_on_gc_types() {
                    types.push(kind.map_err(|e| e.to_string())?);
                }
            }
            Payload::ImportSection(section) => {
                if let Some(import) = section.into_imports().next() {
                    let import = import.map_err(|e| e.to_string())?;
                    return Err(format!("imports {}.{}: a row function has no imports", import.module, import.name));
                }
            }
            Payload::FunctionSection(section) => {
                for kind in section {
                    functions.push(kind.map_err(|e| e.to_string())?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(|e| e.to_string())?;
                    if export.name == ROW && export.kind == ExternalKind::Func {
                        row = Some(export.index);
                    }
                }
            }
            Payload::StartSection { .. } => why = Some("it has a start function"),
            Payload::CodeSectionEntry(body) => {
                let mut seen = Body::default();
                for op in body.get_operators_reader().map_err(|e| e.to_string())? {
                    let op = op.map_err(|e| e.to_string())?;
                    seen.fuel = seen.fuel.saturating_add(price_of(&op, layout));
                    why = why.or(look(&op, &mut seen));
                }
                bodies.push(seen);
            }
            _ => {}
        }
    }
    let row = row.ok_or_else(|| format!("no function {ROW} is exported"))?;
    let kind: &FuncType = functions.get(row as usize).and_then(|kind| types.get(*kind as usize)).ok_or("no type")?;
    let numbers = |kinds: &[ValType]| kinds.iter().all(|kind| *kind == ValType::F64) && (1..=NUMBERS).contains(&kinds.len());
    if !numbers(kind.params()) || !numbers(kind.results()) {
        return Err(format!("{ROW} must take and give f64 alone, 1 to {NUMBERS} of them"));
    }
    let proof = match (why, bound(&bodies, row)) {
        (Some(why), _) => Proof::Unproven(why.to_owned()),
        (None, Some(most)) => Proof::Bounded(most),
        (None, None) => Proof::Stateless,
    };
    Ok(RowFunction { takes: kind.params().len(), gives: kind.results().len(), proof })
}

/// Returns whether a core module exports something by a row function's name.
pub fn has_row(module: &[u8]) -> bool {
    let exports = Parser::new(0).parse_all(module).filter_map(|payload| match payload {
        Ok(Payload::ExportSection(section)) => Some(section),
        _ => None,
    });
    exports.flatten().any(|export| export.is_ok_and(|export| export.name == ROW))
}

/// Returns the instruction's name if the instruction may keep state, or else nothing.
fn look(op: &Operator<'_>, seen: &mut Body) -> Option<&'static str> {
    match op {
        Operator::Call { function_index } => seen.calls.push(*function_index),
        Operator::CallIndirect { .. } | Operator::Loop { .. } => seen.loops = true,
        _ => {}
    }
    let (family, name) = named(op);
    if !FAMILIES.contains(&family) || WRITE.contains(&name) { Some(name) } else { None }
}

/// Returns the maximum fuel of a call of `function`, or nothing if there may be no maximum.
fn bound(bodies: &[Body], function: u32) -> Option<u64> {
    let mut known = vec![None; bodies.len()];
    let (mut open, mut stack) = (BTreeSet::new(), vec![(function, false)]);
    // Callees first. A function that is met again while it is open calls itself.
    while let Some((f, done)) = stack.pop() {
        let body = bodies.get(f as usize)?;
        if done {
            open.remove(&f);
            let cost = |callee: &u32| known.get(*callee as usize).copied().flatten();
            known[f as usize] = Some(body.calls.iter().try_fold(body.fuel, |sum, callee| sum.checked_add(cost(callee)?))?);
        } else if known[f as usize].is_none() {
            if body.loops || !open.insert(f) {
                return None;
            }
            stack.push((f, true));
            let fresh = body.calls.iter().filter(|callee| known.get(**callee as usize).copied().flatten().is_none());
            stack.extend(fresh.map(|callee| (*callee, false)));
        }
    }
    known.get(function as usize).copied().flatten()
}

#[cfg(test)]
mod tests;
