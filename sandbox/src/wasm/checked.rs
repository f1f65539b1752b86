//! Additional fuel checks in a program.
//!
//! wasmtime checks where a function begins and at each turn of a loop. A long body without a loop runs to its end, and so do any
//! number of callers: a tank of any size is overrun. So an empty loop, which costs a comparison, is inserted after each call, and
//! into code that would otherwise take more than a little between checks.

use std::convert::Infallible;

use tidegate_protocol::Refusal;
use wasm_encoder::{
    BlockType, CodeSection, Component, Instruction, Module,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{FunctionBody, Operator, Parser};

use super::{
    module::{is_core, refuse},
    prices::{Layout, price_of},
};

/// Maximum fuel taken by code between checks, not counting a single instruction.
const UNSEEN: u64 = 1000;

struct Checks {
    layout: Layout,
}

impl Reencode for Checks {
    type Error = Infallible;

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        let mut unseen = 0;
        while !reader.eof() {
            let op = reader.read()?;
            let called = matches!(op, Operator::Call { .. } | Operator::CallIndirect { .. });
            unseen += price_of(&op, self.layout);
            function.instruction(&self.instruction(op)?);
            if (called || unseen >= UNSEEN) && !reader.eof() {
                function.instruction(&Instruction::Loop(BlockType::Empty)).instruction(&Instruction::End);
                unseen = 0;
            }
        }
        code.function(&function);
        Ok(())
    }
}

impl ReencodeComponent for Checks {}

/// Rewrites a program such that little of the code executes after all fuel is used up.
///
/// # Errors
/// Returns a [`Refusal`] if the program is not WebAssembly.
pub(super) fn checked(program: &[u8], layout: Layout) -> Result<Vec<u8>, Refusal> {
    let mut checks = Checks { layout };
    let done = if is_core(program) {
        let mut module = Module::new();
        checks.parse_core_module(&mut module, Parser::new(0), program).map(|()| module.finish())
    } else {
        let mut component = Component::new();
        checks.parse_component(&mut component, Parser::new(0), program).map(|()| component.finish())
    };
    done.map_err(|e| refuse(format!("the component does not compile: {e}")))
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;
    use crate::wasm::engine;

    /// How often the counter was moved before the fuel was seen to be used up.
    fn moved(text: &str, fuel: u64) -> u64 {
        let program = checked(&wat::parse_str(text).unwrap(), Layout::NEAR).unwrap();
        let engine = engine(1 << 20, Layout::NEAR).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(fuel).unwrap();
        let instance = Instance::new(&mut store, &Module::new(&engine, program).unwrap(), &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        assert!(run.call(&mut store, ()).is_err(), "its fuel is not enough");
        instance.get_global(&mut store, "moved").unwrap().get(&mut store).i64().unwrap() as u64
    }

    /// Neither a long body nor callers that wait to go on execute much of what is not paid for.
    #[test]
    fn code_without_loops_ends_with_its_fuel() {
        const FUEL: u64 = 20_000;
        let move_on = "(global.set $n (i64.add (global.get $n) (i64.const 1)))";
        let module = |body: &str| {
            format!(r#"(module (global $n (export "moved") (mut i64) (i64.const 0)) (func $run (export "run") {body}))"#)
        };
        let long = moved(&module(&move_on.repeat(50_000)), FUEL);
        assert!(long <= (FUEL + 2 * UNSEEN) / 4, "{long} of what {FUEL} pays for");
        // Each call is of itself first; all go on when the last one has come back.
        let deep =
            format!("(if (i64.lt_s (global.get $n) (i64.const 400)) (then {move_on} (call $run))) {}", move_on.repeat(100));
        let deep = moved(&module(&deep), FUEL);
        assert!(deep <= (FUEL + 2 * UNSEEN) / 4, "{deep} of what {FUEL} pays for");
    }
}
