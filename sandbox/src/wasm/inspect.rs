//! Static inspection of a module.

use serde::Serialize;
use tidegate_protocol::{Code, ContentHash, Refusal};
use wasmtime::component::types::ComponentItem;

use super::{
    code::{compile_rows, engine_for, row_function},
    component::{compile, link},
    engine::engine,
    module::{functions, is_core},
    prices::Layout,
    stateless::RowFunction,
};

/// Result of a module's inspection, without running the module.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// BLAKE3 hash, by which jobs name the module.
    pub hash: ContentHash,
    /// Size in bytes.
    pub size: usize,
    /// Number of functions, if the module can be read.
    pub functions: Option<usize>,
    /// Imports, if the module compiles.
    pub imports: Vec<String>,
    /// Exported functions, if the module compiles.
    pub exports: Vec<String>,
    /// Proven properties of a row function. Nothing is proven of a component, as each call has a fresh instance.
    pub row: Option<RowFunction>,
    /// Reason why no owner would admit the module, whatever the policy; `None` if admission is possible.
    pub refused: Option<Refusal>,
}

/// Inspects a module by the owner's own code, with `memory` bytes for an instance.
pub fn inspect(bytes: &[u8], memory: usize) -> Inspection {
    let mut seen = Inspection {
        hash: ContentHash::of(bytes),
        size: bytes.len(),
        functions: functions(bytes).ok(),
        imports: vec![],
        exports: vec![],
        row: None,
        refused: None,
    };
    seen.refused = look(bytes, memory, &mut seen).err();
    seen
}

fn look(bytes: &[u8], limit: usize, seen: &mut Inspection) -> Result<(), Refusal> {
    let layout = Layout::of(bytes, limit);
    if is_core(bytes) {
        let function = row_function(bytes, layout)?;
        let module = compile_rows(&engine_for(&function, limit, layout)?, bytes, Some(layout).filter(|_| function.is_counted()))?;
        seen.exports = module.exports().map(|export| export.name().to_owned()).collect();
        seen.row = Some(function);
        return Ok(());
    }
    let engine = engine(limit, layout).map_err(|e| Refusal::new(Code::Unavailable, e.to_string()))?;
    let component = compile(&engine, bytes, layout)?;
    let kind = component.component_type();
    seen.imports = kind.imports(&engine).map(|(name, _)| name.to_owned()).collect();
    // Runtimes export modules of their own, which nobody calls.
    let called = kind.exports(&engine).filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)));
    seen.exports = called.map(|(name, _)| name.to_owned()).collect();
    link(&engine, &component).map(|_| ())
}
