//! Admission and running of one component.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, Float64Type, Int64Type},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidegate_gate::{Plan, Sums};
use tidegate_protocol::{
    Code, Refusal,
    job::{Output, Split},
    policy::Policy,
};
use wasmtime::{
    Config, Engine, Store, StoreLimitsBuilder,
    component::{Component, Linker},
};

use super::host::{
    Call,
    bindings::{
        Job, JobPre,
        tidegate::job::types::{Column, Rows, Values},
    },
};
use crate::{Rehearsal, RunError, sql::Select, units::each_unit};

/// The only imports a component may name.
const IMPORTS: [&str; 2] = ["tidegate:job/host@0.1.0", "tidegate:job/types@0.1.0"];
/// Stack of a guest in bytes.
const STACK: usize = 512 << 10;

/// An admitted component with the rows it asks for.
pub struct Guest {
    engine: Engine,
    pre: JobPre<Call>,
    select: Select,
    params: Arc<Vec<u8>>,
    split: Split,
    outputs: Vec<Output>,
    fuel: u64,
    memory: usize,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guest({:?})", self.split)
    }
}

fn refuse(message: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Program, message.to_string()).at("program.module")
}

/// A deterministic engine: same component, same rows, same numbers on every machine.
fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(STACK)
        .async_stack_size(2 * STACK);
    Engine::new(&config)
}

impl Guest {
    /// Compiles `bytes` and checks that it is a component of the world and imports nothing beyond it.
    ///
    /// # Errors
    /// A [`Refusal`] naming the import or the fault.
    pub fn admit(
        bytes: &[u8],
        select: Select,
        params_base64: &str,
        split: Split,
        outputs: Vec<Output>,
        policy: &Policy,
    ) -> Result<Self, Refusal> {
        let engine = engine().map_err(|e| Refusal::new(Code::Unavailable, e.to_string()))?;
        // The text form and precompiled code would be read by other parsers: only a binary component is taken.
        if bytes.get(..8) != Some(&[0, b'a', b's', b'm', 0x0d, 0, 1, 0]) {
            return Err(refuse("not a WebAssembly component")
                .fix("Build it with the guest SDK, or wrap a core module with wit-component"));
        }
        let component =
            Component::from_binary(&engine, bytes).map_err(|e| refuse(format!("the component does not compile: {e}")))?;
        for (name, _) in component.component_type().imports(&engine) {
            if !IMPORTS.contains(&name) {
                return Err(
                    refuse(format!("imports {name}, which no guest has")).fix(format!("Guests may import {}", IMPORTS[0]))
                );
            }
        }
        let mut linker = Linker::new(&engine);
        Job::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |call: &mut Call| call)
            .map_err(|e| Refusal::new(Code::Unavailable, e.to_string()))?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(JobPre::new)
            .map_err(|e| refuse(format!("not a component of world tidegate:job: {e}")))?;
        let params = STANDARD.decode(params_base64).map_err(|_| refuse("is not base64").at("program.params_base64"))?;
        if select.names.is_empty() {
            return Err(refuse("selects no column").at("program.select"));
        }
        let calls = match split {
            Split::Unit => policy.unit.max_units,
            Split::Blocks(blocks) => u64::from(blocks),
        };
        Ok(Self {
            engine,
            pre,
            select,
            params: Arc::new(params),
            split,
            outputs,
            fuel: policy.fuel_per_call(calls),
            memory: policy.limits.memory_bytes as usize,
        })
    }

    /// One contribution: a fresh instance, one call. `Err` says why the default stands in.
    fn call(&self, rows: &Rows, lines: Option<&mut Vec<String>>) -> Result<Vec<f64>, String> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.memory)
            .table_elements(10_000)
            .instances(16)
            .memories(4)
            .tables(16)
            .trap_on_grow_failure(true)
            .build();
        let call = Call { limits, params: self.params.clone(), lines: lines.is_some().then(Vec::new) };
        let mut store = Store::new(&self.engine, call);
        store.limiter(|call| &mut call.limits);
        let outcome = store
            .set_fuel(self.fuel)
            .and_then(|()| self.pre.instantiate(&mut store))
            .and_then(|job| job.call_contribute(&mut store, rows))
            .map_err(|e| format!("{e:#}"));
        if let (Some(lines), Some(said)) = (lines, store.into_data().lines) {
            lines.extend(said);
        }
        let values = outcome?;
        let wanted: usize = self.outputs.iter().map(Output::numbers).sum();
        if values.len() != wanted {
            return Err(format!("returned {} numbers, the job declares {wanted}", values.len()));
        }
        Ok(values)
    }

    /// Calls the guest for each unit or block and hands each vector to the gate.
    ///
    /// # Errors
    /// [`RunError`] for unreadable data; a guest's own failures only ever give the default vector.
    pub fn run(
        &self,
        plan: &Plan,
        files: &[File],
        prf: &[u8; 32],
        mut rehearsal: Option<&mut Rehearsal>,
    ) -> Result<Sums, RunError> {
        let defaults = Output::defaults(&self.outputs);
        let mut group = plan.group(vec![]);
        let mut contribute = |rows: &Rows| -> Result<(), RunError> {
            let values = match rehearsal.as_deref_mut() {
                None => self.call(rows, None).unwrap_or_else(|_| defaults.clone()),
                Some(shown) => self.call(rows, Some(&mut shown.lines)).unwrap_or_else(|why| {
                    shown.lines.push(format!("default vector used: {why}"));
                    defaults.clone()
                }),
            };
            Ok(plan.close_vector(&mut group, &values, &defaults)?)
        };
        match self.split {
            Split::Unit => each_unit(files, &self.select, |_, batch| contribute(&rows(&batch)?))?,
            Split::Blocks(blocks) => {
                let mut held: BTreeMap<u32, Vec<RecordBatch>> = BTreeMap::new();
                let mut schema = None;
                each_unit(files, &self.select, |unit, batch| {
                    schema.get_or_insert_with(|| batch.schema());
                    held.entry(unit.with_bytes(|unit| block_of(unit, blocks, prf))).or_default().push(batch);
                    Ok(())
                })?;
                for block in 0..blocks {
                    // An empty block is called too: its number of units is not public.
                    let rows = match (held.remove(&block), &schema) {
                        (Some(parts), Some(schema)) => rows(&concat_batches(schema, &parts)?)?,
                        _ => Rows { len: 0, columns: vec![] },
                    };
                    contribute(&rows)?;
                }
            }
        }
        Ok(Sums { groups: vec![group] })
    }
}

/// A unit's block: a keyed PRF of the unit alone.
fn block_of(unit: &[u8], blocks: u32, prf: &[u8; 32]) -> u32 {
    let hash = blake3::keyed_hash(prf, unit);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // 64 bits against at most 2^20 blocks: the bias is below 2^-44.
    (u64::from_le_bytes(first) % u64::from(blocks)) as u32
}

/// A batch in the world's types. Validity travels beside the values.
fn rows(batch: &RecordBatch) -> Result<Rows, RunError> {
    let columns = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| {
            let valid = if array.null_count() == 0 { vec![] } else { (0..array.len()).map(|i| array.is_valid(i)).collect() };
            Ok(Column { name: field.name().clone(), values: values(array)?, valid })
        })
        .collect::<Result<_, RunError>>()?;
    Ok(Rows { len: batch.num_rows() as u32, columns })
}

fn values(array: &ArrayRef) -> Result<Values, RunError> {
    let kind = array.data_type();
    Ok(if *kind == DataType::Boolean {
        let array = array.as_boolean();
        Values::Bools((0..array.len()).map(|i| array.is_valid(i) && array.value(i)).collect())
    } else if kind.is_integer() {
        let array = cast(array, &DataType::Int64)?;
        let array = array.as_primitive::<Int64Type>();
        Values::S64s(array.iter().map(Option::unwrap_or_default).collect())
    } else if kind.is_numeric() {
        let array = cast(array, &DataType::Float64)?;
        let array = array.as_primitive::<Float64Type>();
        Values::F64s(array.iter().map(Option::unwrap_or_default).collect())
    } else {
        let array = cast(array, &DataType::Utf8)?;
        Values::Texts(array.as_string::<i32>().iter().map(|v| v.unwrap_or_default().to_owned()).collect())
    })
}
