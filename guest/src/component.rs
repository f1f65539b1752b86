//! Conversion of core modules to components, for compilers without support for components.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{
    INFER_WIT, NN_WIT, WIT,
    preview1::{self, adapter},
};

/// Returns whether the bytes are a core module and not yet a component.
pub fn is_core(bytes: &[u8]) -> bool {
    bytes.get(..8) == Some(b"\0asm\x01\0\0\0")
}

/// Turns a core module with the world's exports into a component. Component metadata written by its compiler is kept.
///
/// Imports of WASI's first preview (TinyGo, Go, Rust's `wasm32-wasip1`, WASI SDK) are adapted to the second, which is served
/// where the component runs.
///
/// # Errors
/// Returns a description of what the module lacks.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, String> {
    let name = preview1::NAME.as_bytes();
    let adapter = core.windows(name.len()).any(|part| part == name).then(adapter).transpose()?;
    let encode = |core: &[u8]| {
        let mut encoder = ComponentEncoder::default().module(core)?;
        if let Some(adapter) = &adapter {
            encoder = encoder.adapter(preview1::NAME, adapter)?;
        }
        encoder.validate(true).encode()
    };
    // Rust's bindings write component metadata into the module.
    let known = encode(core).ok().filter(|component| wit_component::decode(component).is_ok_and(|decoded| has_exports(&decoded)));
    if let Some(component) = known {
        return Ok(component);
    }
    let embed = || {
        let mut core = core.to_vec();
        let mut resolve = Resolve::default();
        resolve.push_str("nn.wit", NN_WIT)?;
        let package = resolve.push_str("job.wit", &format!("{WIT}\n{INFER_WIT}"))?;
        // The larger world also has the imports that only some modules use.
        let world = resolve.select_world(&[package], Some("infer"))?;
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
        encode(&core)
    };
    embed().map_err(|e| format!("{e:#}"))
}

fn has_exports(decoded: &wit_component::DecodedWasm) -> bool {
    match decoded {
        wit_component::DecodedWasm::Component(resolve, world) => !resolve.worlds[*world].exports.is_empty(),
        wit_component::DecodedWasm::WitPackage(..) => false,
    }
}
