//! Admission and calls of a component.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidegate_protocol::{
    Code, ContentHash, Refusal,
    device::Place,
    job::{Output, Program, Split},
    policy::{JobKind, Policy},
};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::{
    component::{compile, link},
    engine::{INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES, engine},
    host::{
        Call, HANDED, Handed,
        bindings::{JobPre, tidegate::job::types::Rows},
        charge,
    },
    module::refuse,
    nn,
    prices::Layout,
    startup::startup,
};
use crate::{
    Attachment, Rehearsal, Sent,
    onnx::{Beside, Desk},
    sql::Select,
};

/// Demands of a job on its module.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) params: Vec<u8>,
    pub(super) split: Split,
    pub(super) outputs: Vec<Output>,
    /// Requested output of its model.
    infer: Option<String>,
    /// Seed of a guest's random numbers.
    seed: ContentHash,
}

impl Asked {
    /// Reads the demands of a job's program.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the parameters cannot be read, or the program is of another kind.
    pub(super) fn of(program: &Program) -> Result<Self, Refusal> {
        let Program::Wasm { params_base64, split, outputs, infer, .. } = program else {
            return Err(refuse("is not WebAssembly"));
        };
        let params = STANDARD.decode(params_base64).map_err(|_| refuse("is not base64").at("program.params_base64"))?;
        Ok(Self { params, split: *split, outputs: outputs.clone(), infer: infer.clone(), seed: program.digest() })
    }
}

/// Admitted component with its select.
pub struct Guest {
    engine: Engine,
    pre: JobPre<Call>,
    pub(super) select: Select,
    handed: Handed,
    /// Model sent as its data.
    pub(super) model: Option<Arc<Beside>>,
    pub(super) split: Split,
    pub(super) outputs: Vec<Output>,
    pub(super) limits: Limits,
}

/// Limits of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) fuel: u64,
    pub(super) memory: usize,
    /// Count of numbers declared by the job.
    numbers: usize,
    /// Maximum bytes passed to the host in a call, not counting the contribution.
    handed: usize,
}

/// Returns the maximum number of calls.
fn calls(policy: &Policy, split: Split) -> u64 {
    match split {
        Split::Unit => policy.unit.max_units,
        Split::Blocks(blocks) => u64::from(blocks.number),
    }
}

/// Returns the fuel to create all instances of a program, from its bytes or as stored with its code.
///
/// # Errors
/// As for [`startup()`], or if the stored code is incomplete.
pub(super) fn startup_of(program: &Sent) -> Result<u64, Refusal> {
    match program {
        Sent::Bytes(bytes) => startup(bytes),
        Sent::Code(code) => code.startup(),
    }
}

impl Limits {
    pub(super) fn of(policy: &Policy, split: Split, outputs: &[Output]) -> Self {
        let calls = calls(policy, split);
        let (fuel, memory) = (policy.fuel_per_call(calls), policy.limits.memory_bytes as usize);
        Self { fuel, memory, numbers: outputs.iter().map(Output::numbers).sum(), handed: HANDED }
    }

    /// Subtracts the fuel to create its instance from each call's.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if less than half is left.
    pub(super) fn with_startup(self, startup: u64) -> Result<Self, Refusal> {
        if startup > self.fuel / 2 {
            let message = format!("takes {startup} of fuel to start, and a call has {}", self.fuel);
            return Err(refuse(message).fix("Remove unused tables and globals, or ask the owner for more fuel"));
        }
        Ok(Self { fuel: self.fuel - startup, ..self })
    }

    pub(super) fn of_store(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(self.memory)
            .table_elements(TABLE_ELEMENTS)
            .instances(INSTANCES as usize)
            .memories(MEMORIES as usize)
            .tables(TABLES as usize)
            .trap_on_grow_failure(true)
            .build()
    }

    /// Builds a wasmtime `Store` for a call.
    ///
    /// Unless `counted`, fuel is metered elsewhere and the store serves several calls.
    pub(super) fn store(&self, engine: &Engine, call: Call, counted: bool) -> wasmtime::Result<Store<Call>> {
        let mut store = Store::new(engine, call);
        store.limiter(|call| call);
        // A contribution of another length is invalid, and need not be copied.
        store.set_hostcall_fuel(self.handed + self.numbers * size_of::<f64>());
        if counted {
            charge(&mut store, self.fuel);
            store.set_fuel(self.fuel)?;
        }
        Ok(store)
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guest({:?})", self.split)
    }
}

impl Guest {
    /// Compiles a component, or loads its code, and checks the component against the world; other imports are refused.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the import or the fault.
    pub(super) fn admit(
        (attachment, layout): (&Attachment, Layout),
        select: Select,
        asked: Asked,
        policy: &Policy,
        place: Place,
    ) -> Result<Self, Refusal> {
        let engine =
            engine(policy.limits.memory_bytes as usize, layout).map_err(|e| Refusal::new(Code::Unavailable, e.to_string()))?;
        let component = match attachment.program() {
            Sent::Bytes(bytes) => compile(&engine, bytes, layout)?,
            Sent::Code(code) => code.load(&engine)?,
        };
        let pre = link(&engine, &component)?;
        if select.names.is_empty() {
            return Err(refuse("selects no column").at("program.select"));
        }
        let Asked { params, split, outputs, infer, seed } = asked;
        let handed = Handed { params: Arc::new(params), data: attachment.data().clone(), seed: seed.0 };
        let mut limits = Limits::of(policy, split, &outputs).with_startup(startup_of(attachment.program())?)?;
        let model = infer.map(|output| Beside::admit(attachment.data(), &output, policy, calls(policy, split), place));
        let model = model.transpose()?.map(Arc::new);
        if model.is_some() {
            if !policy.kinds.contains(&JobKind::Onnx) {
                return Err(Refusal::new(Code::Policy, "models are not allowed here").at("program.infer"));
            }
            // No more than it could pay for, as data passed to the host is copied first.
            limits.handed = usize::try_from(limits.fuel).unwrap_or(usize::MAX).clamp(HANDED, nn::HANDED);
        } else if component.component_type().imports(&engine).any(|(name, _)| nn::answered(name)) {
            return Err(refuse("runs a model, and the job names none")
                .at("program.infer")
                .fix("data = \"model.onnx\" and infer = the output's name"));
        }
        Ok(Self { engine, pre, select, handed, model, split, outputs, limits })
    }

    /// Computes a contribution by a single call in a fresh instance. `Err` says why the fallback value stands in.
    pub(super) fn call(&self, rows: &Rows, desk: Option<&Arc<Desk>>, shown: Option<&mut Rehearsal>) -> Result<Vec<f64>, String> {
        let wanted = self.limits.numbers;
        let call = Call::new(self.limits.of_store(), self.handed.clone(), shown.is_some()).with_model(desk);
        let mut store = self.limits.store(&self.engine, call, true).map_err(|e| format!("{e:#}"))?;
        let outcome =
            self.pre.instantiate(&mut store).and_then(|job| job.call_contribute(&mut store, rows)).map_err(|e| format!("{e:#}"));
        if let Some(shown) = shown {
            let left = store.get_fuel().unwrap_or_default();
            shown.took(self.limits.fuel.saturating_sub(left), self.limits.fuel);
            shown.lines.extend(store.into_data().lines());
        }
        let values = outcome?;
        if values.len() != wanted {
            return Err(format!("returned {} numbers, the job declares {wanted}", values.len()));
        }
        Ok(values)
    }
}
