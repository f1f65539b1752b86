//! Worst-case price of each instruction in fuel.
//!
//! A unit of fuel is five nanoseconds of a serving machine, by [`FUEL_PER_MS`](tidegate_protocol::limits::FUEL_PER_MS).
//!
//! Most instructions take a tenth of a unit's time. Dearer are those whose time depends on their input: a load waits for memory
//! if no cache holds the address, a jump for code that no cache holds, and processors leave floats next to zero to microcode. If
//! these were cheaper, one person's rows could make a call take many times what its fuel is worth, and a job made to just fit its
//! time budget would reveal whether they are there. `tidegate-bench fuel` times programs that do nothing else.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance, Operator, Parser,
    Payload,
};
use wasmtime::{OperatorCost, VariableOperatorCost};

/// Location of a guest's data, by its maximum size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// In a processor's caches.
    Near,
    /// In memory, with most addresses known to the processor.
    Far,
    /// Anywhere in memory: each address has to be looked up too.
    Farther,
}

/// Location of a program's memory and code, which determines the price of loads and jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// Location of its memories, all together.
    pub data: Memory,
    /// Whether its code, all together, is more than caches surely hold.
    pub long_code: bool,
}

/// Maximum bytes of near memory.
const NEAR_BYTES: u64 = 4 << 20;
/// Maximum bytes of far memory.
const FAR_BYTES: u64 = 64 << 20;
/// Maximum bytes of a program's code surely held by caches; compiled code is some three times as long.
const CODE_BYTES: u64 = 1 << 20;
const PAGE: u64 = 64 << 10;

impl Layout {
    /// Layout of a program with short code and near memory.
    pub const NEAR: Self = Self { data: Memory::Near, long_code: false };
    /// Layout of a program with short code and far memory.
    pub const FAR: Self = Self { data: Memory::Far, long_code: false };
    /// Layout of a program with short code and farther memory.
    pub const FARTHER: Self = Self { data: Memory::Farther, long_code: false };

    /// Returns all layouts.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::NEAR, Self::FAR, Self::FARTHER].into_iter().flat_map(|short| [short, Self { long_code: true, ..short }])
    }

    /// Determines the layout of a program whose memories have at most `limit` bytes each, or less if they declare so.
    ///
    /// Unreadable programs are reported when compiled.
    pub(super) fn of(program: &[u8], limit: usize) -> Self {
        let held = held(program, limit as u64).unwrap_or(u64::MAX);
        let data = if held <= NEAR_BYTES {
            Memory::Near
        } else if held <= FAR_BYTES {
            Memory::Far
        } else {
            Memory::Farther
        };
        Self { data, long_code: code(program).is_none_or(|bytes| bytes > CODE_BYTES) }
    }
}

/// Returns the bytes of code in a program.
fn code(program: &[u8]) -> Option<u64> {
    Parser::new(0).parse_all(program).try_fold(0u64, |sum, payload| match payload.ok()? {
        Payload::CodeSectionStart { size, .. } => Some(sum.saturating_add(size.into())),
        _ => Some(sum),
    })
}

/// Returns the maximum bytes of a program's memories, over all instances of its modules.
fn held(program: &[u8], limit: u64) -> Option<u64> {
    let (mut of_modules, mut instances) = (vec![], vec![]);
    for payload in Parser::new(0).parse_all(program) {
        match payload.ok()? {
            Payload::Version { encoding: Encoding::Module, .. } => of_modules.push(0u64),
            Payload::MemorySection(section) => {
                for memory in section {
                    let most = memory.ok()?.maximum.and_then(|pages| pages.checked_mul(PAGE)).unwrap_or(u64::MAX).min(limit);
                    let sum = of_modules.last_mut()?;
                    *sum = sum.saturating_add(most);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance.ok()? {
                        instances.push(module_index as usize);
                    }
                }
            }
            // Modules obtained in other ways are not among those read here.
            Payload::ComponentImportSection(section) => {
                for import in section {
                    if let ComponentTypeRef::Module(_) = import.ok()?.ty {
                        return None;
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    let kind = match alias.ok()? {
                        ComponentAlias::InstanceExport { kind, .. } => kind,
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => return None,
                        _ => continue,
                    };
                    if kind == ComponentExternalKind::Module {
                        return None;
                    }
                }
            }
            _ => {}
        }
    }
    if of_modules.len() == 1 && instances.is_empty() {
        // A core module, or a component without instances of its own.
        return of_modules.first().copied();
    }
    instances.into_iter().try_fold(0u64, |sum, module| Some(sum.saturating_add(*of_modules.get(module)?)))
}

/// Returns the price of an instruction, by name.
fn price(name: &str, layout: Layout) -> u8 {
    let float = ["F32", "F64"].iter().any(|kind| name.starts_with(kind));
    let ends = |with: &[&str]| with.iter().any(|end| name.ends_with(end));
    match name {
        // They make no code, or are part of the construct that they end.
        "Nop" | "Drop" | "Block" | "Loop" | "Unreachable" | "Return" | "Else" | "End" => 0,
        "Call" | "CallIndirect" | "ReturnCall" | "ReturnCallIndirect" | "BrTable" => 16,
        // They call into the engine, whatever their operands.
        "RefFunc" | "ElemDrop" | "DataDrop" => 16,
        _ if (name.starts_with("Memory") || name.starts_with("Table")) && !name.ends_with("Size") => 16,
        "Br" | "BrIf" | "If" | "BrOnNull" | "BrOnNonNull" => match layout.long_code {
            false => 2,
            // The target's code may have to come from memory, and its address to be looked up.
            true => 16,
        },
        _ if name.contains("Load") => match layout.data {
            Memory::Near => 4,
            Memory::Far => 32,
            Memory::Farther => 64,
        },
        _ if name.contains("Store") => match layout.data {
            Memory::Near => 2,
            Memory::Far | Memory::Farther => 4,
        },
        _ if float && ends(&["Div", "Sqrt"]) => 12,
        _ if float && (ends(&["Add", "Sub", "Mul"]) || name.contains("Demote") || name.contains("Promote")) => 8,
        _ if ends(&["DivS", "DivU", "RemS", "RemU"]) => 4,
        _ => 1,
    }
}

macro_rules! prices {
    ($(@$family:ident $op:ident $({ $($arg:ident: $kind:ty),* })? => $visit:ident ($($about:tt)*))*) => {
        /// Returns the prices of all instructions.
        pub(super) fn prices(layout: Layout) -> OperatorCost {
            OperatorCost {
                $($op: price(stringify!($op), layout),)*
                variable: VariableOperatorCost { memory_grow_per_page: u8::MAX, ..VariableOperatorCost::new() },
            }
        }

        /// Returns the price of an instruction.
        pub(super) fn price_of(op: &Operator<'_>, layout: Layout) -> u64 {
            match op {
                $(Operator::$op { .. } => price(stringify!($op), layout).into(),)*
                _ => u8::MAX.into(),
            }
        }
    };
}
wasmparser::for_each_operator!(prices);

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(text: &str, limit: usize) -> Memory {
        Layout::of(&wat::parse_str(text).unwrap(), limit).data
    }

    /// All memories of a component's instances count together; without a maximum they may be as large as the policy lets them.
    #[test]
    fn what_a_program_may_hold_is_what_it_declares_or_what_the_policy_lets_it() {
        const MIB: usize = 1 << 20;
        assert_eq!(memory("(module (memory 1 64))", 64 * MIB), Memory::Near);
        assert_eq!(memory("(module (memory 1 65))", 64 * MIB), Memory::Far);
        assert_eq!(memory("(module (memory 1))", 64 * MIB), Memory::Far);
        assert_eq!(memory("(module (memory 1))", 65 * MIB), Memory::Farther);
        assert_eq!(memory("(module (memory 1))", 4 * MIB), Memory::Near);
        assert_eq!(memory("(module)", 64 * MIB), Memory::Near);
        let two = "(component (core module $a (memory 1 40)) (core module $b (memory 1 40)) (core instance (instantiate $a)) (core instance (instantiate $b)))";
        assert_eq!(memory(two, 64 * MIB), Memory::Far);
        let twice =
            "(component (core module $a (memory 1 40)) (core instance (instantiate $a)) (core instance (instantiate $a)))";
        assert_eq!(memory(twice, 64 * MIB), Memory::Far);
        assert_eq!(memory(&twice.replace("40", "30"), 64 * MIB), Memory::Near);
        let unlimited =
            "(component (core module $a (memory 1)) (core instance (instantiate $a)) (core instance (instantiate $a)))";
        assert_eq!(memory(unlimited, 40 * MIB), Memory::Farther, "each may have as much as the policy lets it");
        assert_eq!(
            Layout::of(b"\0asm nothing", 64 * MIB),
            Layout { data: Memory::Farther, long_code: true },
            "what cannot be read may be anything"
        );
    }

    /// What waits for memory, for code or for microcode costs more than what does not: of each family, in all widths.
    #[test]
    fn instructions_that_may_wait_cost_more() {
        let far = prices(Layout::FAR);
        for cost in [far.I32Load, far.I64Load8U, far.F64Load, far.V128Load, far.V128Load32Zero, far.V128Load8Lane] {
            assert!(cost >= 32, "{cost}");
        }
        for cost in [far.F32Add, far.F64Mul, far.F64Sub, far.F32x4Mul, far.F64x2Add, far.F32DemoteF64, far.F64x2PromoteLowF32x4] {
            assert!(cost >= 8, "{cost}");
        }
        for cost in [far.F64Div, far.F32Sqrt, far.F64x2Div, far.F32x4Sqrt, far.CallIndirect, far.BrTable, far.Call] {
            assert!(cost >= 12, "{cost}");
        }
        assert!(far.I64RemS >= 4 && far.I32DivU >= 4 && far.BrIf >= 2);
        for cost in [
            far.RefFunc,
            far.MemoryGrow,
            far.MemoryFill,
            far.MemoryCopy,
            far.MemoryInit,
            far.TableGet,
            far.TableGrow,
            far.ElemDrop,
        ] {
            assert!(cost >= 16, "{cost}");
        }
        assert_eq!([far.I32Add, far.LocalGet, far.I64Mul, far.F64Abs, far.End], [1, 1, 1, 1, 0]);
        let long = prices(Layout { long_code: true, ..Layout::NEAR });
        for cost in [long.Br, long.BrIf, long.If, long.BrTable, long.Call] {
            assert!(cost >= 16, "{cost}");
        }
        let near = prices(Layout::NEAR);
        assert!(near.I32Load >= 4 && far.I32Load < prices(Layout::FARTHER).I32Load);
    }

    /// Code counts whatever it is in, and all of it together.
    #[test]
    fn how_much_code_a_program_has_is_all_of_it() {
        let body = "(drop (i32.const 1000000))".repeat(60_000);
        let long = |text: &str| Layout::of(&wat::parse_str(text).unwrap(), 1 << 20).long_code;
        assert!(!long(&format!("(module (func {body}))")));
        assert!(long(&format!("(module (func {body}) (func {body}) (func {body}) (func {body}))")));
        let module = format!("(core module (func {body}) (func {body}))");
        assert!(!long(&format!("(component {module})")));
        assert!(long(&format!("(component {module} {module})")));
    }
}
