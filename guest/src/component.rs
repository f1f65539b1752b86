//! Core modules made components: for compilers that know nothing of them.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::WIT;

/// Whether these are the bytes of a core module with the world's exports, and not yet a component.
pub fn is_core(bytes: &[u8]) -> bool {
    bytes.get(..8) == Some(b"\0asm\x01\0\0\0")
}

/// Makes a core module that has the world's exports a component of it. What its compiler knew of components is kept.
///
/// # Errors
/// What it lacks.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, String> {
    let encode = |core: &[u8]| ComponentEncoder::default().module(core)?.validate(true).encode();
    // Rust's bindings write into the module what it is.
    let known = encode(core).ok().filter(|component| wit_component::decode(component).is_ok_and(|decoded| has_exports(&decoded)));
    if let Some(component) = known {
        return Ok(component);
    }
    let embed = || {
        let mut core = core.to_vec();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("job.wit", WIT)?;
        let world = resolve.select_world(&[package], Some("job"))?;
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
