//! Row functions an instruction away from statelessness: if proven stateless, their results equal the results of fresh instances.
use std::borrow::Cow;

use tidegate_protocol::{
    ContentHash,
    job::{Program, Split},
};
use tidegate_sandbox::{
    Help, admit, run as run_job,
    wasm::{Proof, inspect},
};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, HeapType, Instruction as I, MemArg, MemorySection, MemoryType, Module,
    RefType, TableSection, TableType, TypeSection, ValType,
};

use crate::{job, outputs, policy, table};

/// Runs an input; returns whether anything was proven.
pub fn run(bytes: &[u8]) -> bool {
    let (as_it_is, anew) = (module(bytes, false), module(bytes, true));
    let Some(seen) = inspect(&as_it_is, 4 << 20).row else { return false };
    if matches!(seen.proof, Proof::Unproven(_)) {
        return false;
    }
    let marked = inspect(&anew, 4 << 20).row.map(|row| row.proof);
    assert!(matches!(marked, Some(Proof::Unproven(_))), "{marked:?}");
    let sums = |module: Vec<u8>| {
        let job = job(Program::Wasm {
            infer: None,
            on: None,
            module: ContentHash::of(&module),
            select: "SELECT x FROM dataset".into(),
            params_base64: String::new(),
            data: None,
            split: Split::Unit,
            outputs: outputs(),
        });
        let (file, schema) = table();
        let admitted = admit(&job, &policy(), &schema, Some(module.into())).ok()?;
        Some(run_job(&admitted, &[file], &[0; 32], Help::default()).unwrap().groups)
    };
    assert_eq!(sums(as_it_is), sums(anew), "{seen:?}");
    true
}

/// Builds a module whose functions follow the bytes; with a writing function, never called, if `unproven`: then nothing may be
/// proven.
fn module(bytes: &[u8], unproven: bool) -> Vec<u8> {
    let half = bytes.len() / 2;
    let mut code = CodeSection::new();
    code.function(&body(&bytes[..half]));
    code.function(&body(&bytes[half..]));
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    types.ty().function([ValType::F64], [ValType::F64]);
    types.ty().function([], []);
    functions.function(0).function(0);
    if unproven {
        functions.function(1);
        let mut writes = Function::new([]);
        for i in [I::I32Const(1), I::GlobalSet(1), I::End] {
            writes.instruction(&i);
        }
        code.function(&writes);
    }
    let mut tables = TableSection::new();
    tables.table(TableType { element_type: RefType::FUNCREF, minimum: 2, maximum: Some(4), table64: false, shared: false });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: Some(2), memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: ValType::F64, mutable: true, shared: false }, &ConstExpr::f64_const(0.25.into()));
    globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &ConstExpr::i32_const(3));
    let mut exports = ExportSection::new();
    exports.export("row", ExportKind::Func, 1);
    let mut elements = ElementSection::new();
    elements.active(Some(0), &ConstExpr::i32_const(0), Elements::Functions(Cow::Borrowed(&[0, 1])));
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), 0.5f64.to_le_bytes()).passive([7; 16]);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories).section(&globals).section(&exports);
    module.section(&elements).section(&DataCountSection { count: 2 }).section(&code).section(&data);
    module.finish()
}

/// Builds a function body. Local 0 holds the number, local 1 counts a loop's iterations.
fn body(bytes: &[u8]) -> Function {
    let mut f = Function::new([(1, ValType::I32)]);
    let at = MemArg { offset: 0, align: 0, memory_index: 0 };
    for &byte in bytes.iter().take(40) {
        let (what, number) = (byte % 26, f64::from(byte / 26) / 4.0 - 1.0);
        let address = I::I32Const(i32::from(byte / 26) * 4);
        let ops: Vec<I<'_>> = match what {
            0..=2 => vec![I::LocalGet(0), I::F64Const(number.into()), I::F64Add, I::LocalSet(0)],
            3..=4 => vec![I::LocalGet(0), I::F64Const(number.into()), I::F64Mul, I::LocalSet(0)],
            5 => vec![I::LocalGet(0), I::F64Abs, I::F64Sqrt, I::LocalSet(0)],
            6 => vec![I::LocalGet(0), I::GlobalGet(0), I::F64Add, I::LocalSet(0)],
            7 => vec![I::LocalGet(0), address, I::F64Load(at), I::F64Add, I::LocalSet(0)],
            8 => vec![I::LocalGet(0), I::MemorySize(0), I::F64ConvertI32U, I::F64Add, I::LocalSet(0)],
            9 => vec![I::LocalGet(0), I::GlobalGet(1), I::F64ConvertI32S, I::F64Add, I::LocalSet(0)],
            10 => vec![I::LocalGet(0), I::Call(0), I::LocalSet(0)],
            11 => vec![
                I::LocalGet(0),
                I::I32Const(i32::from(byte / 128)),
                I::CallIndirect { type_index: 0, table_index: 0 },
                I::LocalSet(0),
            ],
            12 => {
                let turn =
                    [I::LocalGet(1), I::I32Const(1), I::I32Add, I::LocalTee(1), I::I32Const(3), I::I32LtS, I::BrIf(0), I::End];
                [&[I::Loop(BlockType::Empty)][..], &turn].concat()
            }
            13 => vec![I::LocalGet(0), I::F64Const(number.into()), I::F64Gt, I::If(BlockType::Empty), I::Unreachable, I::End],
            14 => vec![I::LocalGet(0), I::I32TruncF64S, I::F64ConvertI32S, I::LocalSet(0)],
            15 => {
                vec![I::LocalGet(0), I::I32Const(0), I::TableGet(0), I::RefIsNull, I::F64ConvertI32S, I::F64Add, I::LocalSet(0)]
            }
            16 => vec![I::LocalGet(0), I::GlobalSet(0)],
            17 => vec![address, I::LocalGet(0), I::F64Store(at)],
            18 => vec![I::I32Const(1), I::MemoryGrow(0), I::Drop],
            19 => vec![address, I::I32Const(9), I::I32Const(8), I::MemoryFill(0)],
            20 => vec![address, I::I32Const(0), I::I32Const(8), I::MemoryInit { mem: 0, data_index: 1 }],
            21 => vec![I::DataDrop(1)],
            22 => vec![I::I32Const(0), I::RefNull(HeapType::FUNC), I::TableSet(0)],
            23 => vec![I::GlobalGet(1), I::I32Const(1), I::I32Add, I::GlobalSet(1)],
            24 => vec![address, I::LocalGet(0), I::F64x2Splat, I::V128Store(at)],
            _ => vec![address, I::LocalGet(0), I::I64ReinterpretF64, I::I64Store16(at)],
        };
        for op in ops {
            f.instruction(&op);
        }
    }
    for op in [I::LocalGet(0), I::End] {
        f.instruction(&op);
    }
    f
}
