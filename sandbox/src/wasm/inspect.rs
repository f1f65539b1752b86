//! What can be said of a module without running it.

use serde::Serialize;
use tidegate_protocol::{Code, ContentHash, Refusal};
use wasmtime::component::types::ComponentItem;

use super::{
    code::{compile_rows, engine_for, functions, is_core, row_function},
    component::{compile, link},
    engine::engine,
    prices::Layout,
    stateless::RowFunction,
};

/// What can be said of a module without running it.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// BLAKE3: what a job names.
    pub hash: ContentHash,
    /// Bytes.
    pub size: usize,
    /// How many functions it has, where it can be read.
    pub functions: Option<usize>,
    /// What it imports, where it compiles.
    pub imports: Vec<String>,
    /// What it exports, where it compiles.
    pub exports: Vec<String>,
    /// What is proven of it, where it is a row function. Of a component nothing is: it has a fresh instance for each call.
    pub row: Option<RowFunction>,
    /// Why no owner would admit it, whatever the policy; `None` where it may be.
    pub refused: Option<Refusal>,
}

/// Looks at a module by the owner's own code, with `memory` bytes for an instance.
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
