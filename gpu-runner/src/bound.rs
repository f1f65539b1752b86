//! Rows to a device and numbers back: inputs in memory that the device copies from by itself, bound once (IoBinding).

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, Session, SessionOutputs},
    value::{DynTensor, TensorElementType},
};

use crate::{
    InferenceFailed, failed,
    shared::Shared,
    wire::{Input, Model},
};

/// Inputs of runs of one number of rows.
pub(crate) struct Bound {
    rows: usize,
    inputs: Vec<DynTensor>,
    binding: IoBinding,
}

/// Memory that rows are copied to before a run, and numbers come back to.
fn host(device: AllocationDevice<'static>, kind: MemoryType) -> Result<MemoryInfo<'static>, InferenceFailed> {
    MemoryInfo::new(device, 0, AllocatorType::Device, kind).map_err(failed)
}

impl Bound {
    /// For runs of so many rows. `device` names the host's memory that the device can reach.
    pub(crate) fn new(
        session: &Session,
        model: &Model,
        rows: usize,
        device: &AllocationDevice<'static>,
    ) -> Result<Self, InferenceFailed> {
        let allocator = Allocator::new(session, host(device.clone(), MemoryType::CPUInput)?).map_err(failed)?;
        let mut binding = session.create_binding().map_err(failed)?;
        let mut inputs = Vec::with_capacity(model.inputs.len());
        for input in &model.inputs {
            let shape: Vec<usize> = std::iter::once(rows).chain(input.row.iter().map(|n| *n as usize)).collect();
            let tensor = DynTensor::new(&allocator, kind(input)?, shape).map_err(failed)?;
            binding.bind_input(input.name.as_str(), &tensor).map_err(failed)?;
            inputs.push(tensor);
        }
        let output = host(device.clone(), MemoryType::CPUOutput)?;
        binding.bind_output_to_device(model.output.as_str(), &output).map_err(failed)?;
        Ok(Self { rows, inputs, binding })
    }

    /// Whether it is for so many.
    pub(crate) fn is_for(&self, rows: usize) -> bool {
        self.rows == rows
    }

    /// Copies rows of an input: their only copy on this side.
    pub(crate) fn fill(&mut self, number: usize, input: &Input, memory: &Shared, at: usize) -> Result<(), InferenceFailed> {
        let many = self.rows * input.width();
        macro_rules! of {
            ($kind:ty, $slice:expr) => {{
                let (_, into) = self.inputs[number].try_extract_tensor_mut::<$kind>().map_err(failed)?;
                into.copy_from_slice($slice);
                Ok(())
            }};
        }
        // TensorProto.DataType.
        match input.elem {
            1 => of!(f32, memory.slice::<f32>(at, many)),
            2 => of!(u8, memory.slice::<u8>(at, many)),
            6 => of!(i32, memory.slice::<i32>(at, many)),
            7 => of!(i64, memory.slice::<i64>(at, many)),
            9 => of!(bool, memory.truths(at, many)),
            11 => of!(f64, memory.slice::<f64>(at, many)),
            other => Err(failed(format!("no input is of type {other}"))),
        }
    }

    /// Runs what was filled in.
    pub(crate) fn run<'s>(&'s self, session: &'s mut Session) -> Result<SessionOutputs<'s>, InferenceFailed> {
        session.run_binding(&self.binding).map_err(failed)
    }
}

fn kind(input: &Input) -> Result<TensorElementType, InferenceFailed> {
    Ok(match input.elem {
        1 => TensorElementType::Float32,
        2 => TensorElementType::Uint8,
        6 => TensorElementType::Int32,
        7 => TensorElementType::Int64,
        9 => TensorElementType::Bool,
        11 => TensorElementType::Float64,
        other => return Err(failed(format!("no input is of type {other}"))),
    })
}
