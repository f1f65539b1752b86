//! Core modules made components: for compilers that know nothing of them.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{
    INFER_WIT, NN_WIT, WIT,
    preview1::{self, adapter},
};

/// Whether these are the bytes of a core module with the world's exports, and not yet a component.
pub fn is_core(bytes: &[u8]) -> bool {
    bytes.get(..8) == Some(b"\0asm\x01\0\0\0")
}

/// Makes a core module that has the world's exports a component of it. What its compiler knew of components is kept.
///
/// What it imports of WASI's first preview (TinyGo, Go, Rust's `wasm32-wasip1`, WASI SDK) is adapted to the second, which has answers where it runs.
///
/// # Errors
/// What it lacks.
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
    // Rust's bindings write into the module what it is.
    let known = encode(core).ok().filter(|component| wit_component::decode(component).is_ok_and(|decoded| has_exports(&decoded)));
    if let Some(component) = known {
        return Ok(component);
    }
    let embed = || {
        let mut core = core.to_vec();
        let mut resolve = Resolve::default();
        resolve.push_str("nn.wit", NN_WIT)?;
        let package = resolve.push_str("job.wit", &format!("{WIT}\n{INFER_WIT}"))?;
        // The larger world's imports are there for those modules that use them.
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
