//! Fuel to create instances, before any code runs: elements looked up singly by wasmtime, bytes copied, globals.

use tidegate_protocol::Refusal;
use wasmparser::{DataKind, ElementItems, ElementKind, Encoding, Instance, Operator, Parser, Payload, TypeRef};

use super::module::refuse;

/// Fuel to look up an element.
const ELEMENT: u64 = 16;

/// Computes the fuel to create all instances of a program: all made by a component from its modules, or a core module's only
/// instance.
///
/// # Errors
/// Returns a [`Refusal`] if the bytes are not WebAssembly.
pub(super) fn startup(program: &[u8]) -> Result<u64, Refusal> {
    let wrong = |e: wasmparser::BinaryReaderError| refuse(format!("the component does not compile: {e}"));
    let (mut of_modules, mut instances, mut tables) = (vec![], vec![], 0u32);
    let add = |of_modules: &mut Vec<u64>, fuel: u64| {
        if let Some(module) = of_modules.last_mut() {
            *module = module.saturating_add(fuel);
        }
    };
    for payload in Parser::new(0).parse_all(program) {
        match payload.map_err(wrong)? {
            Payload::Version { encoding: Encoding::Module, .. } => {
                of_modules.push(0u64);
                tables = 0;
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    tables += u32::from(matches!(import.map_err(wrong)?.ty, TypeRef::Table(_)));
                }
            }
            Payload::GlobalSection(section) => add(&mut of_modules, section.count().into()),
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element.map_err(wrong)?;
                    let count = match element.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    // Elements for the module's own table at a known offset are laid out in advance.
                    let known = match &element.kind {
                        ElementKind::Active { table_index, offset_expr } => {
                            table_index.unwrap_or(0) >= tables && is_known(offset_expr).map_err(wrong)?
                        }
                        ElementKind::Declared => true,
                        ElementKind::Passive => false,
                    };
                    add(&mut of_modules, if known { count.into() } else { ELEMENT * u64::from(count) });
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data.map_err(wrong)?;
                    if let DataKind::Active { offset_expr, .. } = &data.kind
                        && !is_known(offset_expr).map_err(wrong)?
                    {
                        add(&mut of_modules, data.data.len() as u64);
                    }
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance.map_err(wrong)? {
                        instances.push(module_index as usize);
                    }
                }
            }
            _ => {}
        }
    }
    if instances.is_empty() {
        return Ok(of_modules.iter().fold(0, |sum, module| sum.saturating_add(*module)));
    }
    // A module that is not the program's own is counted as the dearest of its own.
    let dearest = of_modules.iter().copied().max().unwrap_or(0);
    let of = |module: &usize| of_modules.get(*module).copied().unwrap_or(dearest);
    Ok(instances.iter().fold(0u64, |sum, module| sum.saturating_add(of(module))))
}

/// Returns whether an offset is constant.
fn is_known(place: &wasmparser::ConstExpr<'_>) -> Result<bool, wasmparser::BinaryReaderError> {
    Ok(matches!(place.get_operators_reader().read()?, Operator::I32Const { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> u64 {
        startup(&wat::parse_str(text).unwrap()).unwrap()
    }

    /// What is laid out beforehand costs next to nothing, what is looked up at each instance does, as often as there are instances.
    #[test]
    fn what_instances_take_to_be_made_is_counted() {
        let items = "$f ".repeat(1000);
        let module = |fields: &str| format!("module $m (func $f) {fields}");
        assert_eq!(of(&format!("({})", module(&format!("(table 1000 funcref) (elem (i32.const 0) {items})")))), 1000);
        let passive = module(&format!("(elem func {items})"));
        assert_eq!(of(&format!("({passive})")), 16_000);
        let imported = module(&format!("(elem (i32.const 0) {items})"))
            .replace("(func $f)", "(import \"a\" \"b\" (table 1000 funcref)) (func $f)");
        assert_eq!(of(&format!("({imported})")), 16_000);
        let twice = format!("(component (core {passive}) (core instance (instantiate $m)) (core instance (instantiate $m)))");
        assert_eq!(of(&twice), 32_000);
        assert_eq!(of("(module (global i32 (i32.const 1)) (global i32 (i32.const 1)))"), 2);
    }
}
