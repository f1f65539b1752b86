//! Adapter from WASI's first preview to the second.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Name of the module whose imports are adapted.
pub(crate) const NAME: &str = "wasi_snapshot_preview1";

/// Imports of the adapter from WASI 0.2.
const IMPORTS: [&str; 4] = [
    "package wasi:io@0.2.0;
     interface error { resource error; }
     interface streams {
       use error.{error};
       variant stream-error { last-operation-failed(error), closed }
       resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
     }",
    "package wasi:cli@0.2.0;
     interface exit { exit: func(status: result); }
     interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }",
    "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; }",
    "package tidegate:preview1;
     world adapter { import wasi:cli/exit@0.2.0; import wasi:cli/stdout@0.2.0; import wasi:io/streams@0.2.0; import wasi:random/random@0.2.0; }",
];

/// Builds the adapter: `preview1.wat` with its imports declared. Functions that a module does not call are left out of its
/// component.
pub(crate) fn adapter() -> Result<Vec<u8>, String> {
    let mut module = wat::parse_str(include_str!("preview1.wat")).map_err(|e| e.to_string())?;
    let mut embed = || {
        let (mut resolve, mut package) = (Resolve::default(), None);
        for text in IMPORTS {
            package = Some(resolve.push_str("preview1.wit", text)?);
        }
        let world = resolve.select_world(package.as_slice(), Some("adapter"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
    };
    embed().map_err(|e| format!("{e:#}"))?;
    Ok(module)
}
