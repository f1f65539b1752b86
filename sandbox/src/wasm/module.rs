//! Facts read from a program's bytes before anything is compiled.

use tidegate_protocol::{Code, Refusal, limits};
use wasmparser::{Encoding, Parser, Payload};

/// Builds a [`Refusal`] of a program's bytes.
pub(super) fn refuse(message: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Program, message.to_string()).at("program.module")
}

/// Returns whether the bytes are a core module.
pub(super) fn is_core(bytes: &[u8]) -> bool {
    bytes.get(..8) == Some(&[0, b'a', b's', b'm', 1, 0, 0, 0])
}

/// Counts the functions of a component, before anything is compiled: a compiler's work on a function is bounded by the function's
/// size.
///
/// # Errors
/// Returns a [`Refusal`] if there is more than an owner compiles, or if the bytes are not WebAssembly.
pub(super) fn functions(component: &[u8]) -> Result<usize, Refusal> {
    let mut functions = 0usize;
    let mut open = vec![];
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|e| refuse(format!("the component does not compile: {e}")))? {
            Payload::Version { encoding, .. } => {
                open.push(encoding);
                // Texts passed between nested components are copied by code that wasmtime generates, at next to no fuel.
                if encoding == Encoding::Module && open.len() > 2 {
                    return Err(refuse("contains components with code")
                        .fix("Link its parts into one module before making it a component"));
                }
            }
            Payload::InstanceSection(_) | Payload::ComponentCanonicalSection(_) if open.len() > 1 => {
                return Err(
                    refuse("contains components with code").fix("Link its parts into one module before making it a component")
                );
            }
            Payload::End(_) => drop(open.pop()),
            Payload::CodeSectionStart { count, .. } => functions = functions.saturating_add(count as usize),
            Payload::CodeSectionEntry(body) if body.range().len() > limits::FUNCTION_BYTES => {
                let message =
                    format!("a function has {} bytes of code, more than {}", body.range().len(), limits::FUNCTION_BYTES);
                return Err(refuse(message).fix("Compile it with less inlining, or split it"));
            }
            _ => {}
        }
    }
    if functions > limits::FUNCTIONS {
        return Err(refuse(format!("has {functions} functions, more than {}", limits::FUNCTIONS)).fix("Remove unused functions"));
    }
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What components within a component hand to each other would be copied at next to no fuel. Those without code, which name types, are fine.
    #[test]
    fn components_with_code_within_a_component_are_refused() {
        let component = |text: &str| functions(&wat::parse_str(text).unwrap());
        assert!(component("(component (core module (func)) (component) (core module (func)))").is_ok());
        // Also where the code is another's: a module from without, or one that is handed in.
        let outer = "(component $root (core module $m (func (export \"f\"))) (component (alias outer $root $m (core module $n)) (core instance (instantiate $n))))";
        let handed = "(component (component (import \"m\" (core module $t)) (core instance (instantiate $t))))";
        for text in ["(component (component (core module (func))))", outer, handed] {
            let refusal = component(text).unwrap_err().to_string();
            assert!(refusal.contains("contains components with code"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_component_with_too_many_functions_is_not_compiled() {
        let module = |functions: usize| {
            let text = format!("(module {})", "(func)".repeat(functions));
            wat::parse_str(text).unwrap()
        };
        assert_eq!(functions(&module(1000)).unwrap(), 1000);
        let refusal = functions(&module(limits::FUNCTIONS + 1)).unwrap_err().to_string();
        assert!(refusal.contains("functions"), "{refusal}");
        let long =
            format!("(module (func (param f64) {}))", "(drop (f64.sqrt (local.get 0)))".repeat(limits::FUNCTION_BYTES / 4 + 1));
        let refusal = functions(&wat::parse_str(long).unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("bytes of code"), "{refusal}");
    }
}
