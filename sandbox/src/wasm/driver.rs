//! Generated module to call a row function for many rows, from columns in its memory to columns in its memory.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, Instruction, MemArg, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// Maximum number of rows in a call.
pub(super) const ROWS: usize = 1024;
/// Bytes of a column; input columns begin at address 0, output columns follow.
pub(super) const COLUMN_BYTES: usize = ROWS * size_of::<f64>();
/// Name of the module with the imported function; names of the exports.
pub(super) const MODULE: &str = "guest";
pub(super) const RUN: &str = "run";
pub(super) const MEMORY: &str = "memory";
/// Name of the global with the current row's offset in a column, in bytes; after a trap, the trapping row's.
pub(super) const AT: &str = "at";

/// Builds the driver for a function of `takes` numbers to `gives` numbers.
pub(super) fn driver(row: &str, takes: usize, gives: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function(vec![ValType::F64; takes], vec![ValType::F64; gives]);
    types.ty().function([ValType::I32, ValType::I32], []);
    let mut imports = ImportSection::new();
    imports.import(MODULE, row, EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(1);
    let pages = ((takes + gives) * COLUMN_BYTES).div_ceil(64 << 10) as u64;
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, maximum: Some(pages), memory64: false, shared: false, page_size_log2: None });
    let mut exports = ExportSection::new();
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &ConstExpr::i32_const(0));
    exports.export(RUN, ExportKind::Func, 1).export(MEMORY, ExportKind::Memory, 0).export(AT, ExportKind::Global, 0);

    // Locals 0 and 1 are the first row and the end of the rows, later their byte offsets in a column; locals from 2 on are the
    // outputs.
    let mut run = Function::new([(gives as u32, ValType::F64)]);
    let at = |column: usize| MemArg { offset: (column * COLUMN_BYTES) as u64, align: 3, memory_index: 0 };
    let mut emit = |instruction: Instruction<'_>| {
        run.instruction(&instruction);
    };
    for local in [0, 1] {
        emit(Instruction::LocalGet(local));
        emit(Instruction::I32Const(3));
        emit(Instruction::I32Shl);
        emit(Instruction::LocalSet(local));
    }
    emit(Instruction::Block(BlockType::Empty));
    emit(Instruction::Loop(BlockType::Empty));
    emit(Instruction::LocalGet(0));
    emit(Instruction::LocalGet(1));
    emit(Instruction::I32GeU);
    emit(Instruction::BrIf(1));
    emit(Instruction::LocalGet(0));
    emit(Instruction::GlobalSet(0));
    for column in 0..takes {
        emit(Instruction::LocalGet(0));
        emit(Instruction::F64Load(at(column)));
    }
    emit(Instruction::Call(0));
    for number in (0..gives).rev() {
        emit(Instruction::LocalSet(2 + number as u32));
    }
    for number in 0..gives {
        emit(Instruction::LocalGet(0));
        emit(Instruction::LocalGet(2 + number as u32));
        emit(Instruction::F64Store(at(takes + number)));
    }
    emit(Instruction::LocalGet(0));
    emit(Instruction::I32Const(8));
    emit(Instruction::I32Add);
    emit(Instruction::LocalSet(0));
    emit(Instruction::Br(0));
    emit(Instruction::End);
    emit(Instruction::End);
    emit(Instruction::End);
    let mut code = CodeSection::new();
    code.function(&run);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&code);
    module.finish()
}
