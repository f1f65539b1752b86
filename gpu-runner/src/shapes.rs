//! Shapes of all values within a model, as the runtime computes them, beside those that were proven before it was loaded.
//!
//! The proof that rows stay apart follows shapes. Where the runtime computes another shape, a value of one row may lie where the
//! proof has another row's, so such a model is not run.

use ort::{environment::Environment, session::Session, value::ValueType};

use crate::{
    error::{InferenceFailed, failed},
    layout::Layout,
    session::{builder, tensor},
    shared::Shared,
    wire::{Intermediates, Model},
};

/// Runs the model with its intermediate values as outputs, over zeros and over zeros and ones, and compares all shapes.
///
/// The rows are written to the first slot, which holds zeros again afterwards. Does nothing if no shapes are given.
///
/// # Errors
/// Returns [`InferenceFailed`] with the first value of another shape, or if the runtime does not run the model over zeros.
pub(crate) fn check(environment: &Environment, model: &Model, layout: &Layout, memory: &Shared) -> Result<(), InferenceFailed> {
    let Some(proven) = model.intermediates.as_ref().filter(|proven| !proven.shapes.is_empty()) else { return Ok(()) };
    let mut session = open(environment, model, proven)?;
    run(&mut session, model, layout, memory, proven)?.map_or(Ok(()), Err)?;
    for (i, input) in model.inputs.iter().enumerate() {
        let one = one(input.elem)?;
        let values = model.rows as usize * input.width();
        let value = |at: usize| if at % 3 == 1 { one } else { &ZEROS[..one.len()] };
        memory.put_all(layout.row(0, i, 0), &(0..values).flat_map(value).copied().collect::<Vec<u8>>());
    }
    // A model may fail on some rows; those have no shapes to be compared.
    let differs = run(&mut session, model, layout, memory, proven).unwrap_or_default();
    for (i, input) in model.inputs.iter().enumerate() {
        memory.put_all(layout.row(0, i, 0), &vec![0u8; model.rows as usize * input.bytes()]);
    }
    differs.map_or(Ok(()), Err)
}

/// Opens a session of the model with its intermediate values as outputs.
///
/// Where a device has no kernel for one of them, which the model itself does without, the processor runs the model.
fn open(environment: &Environment, model: &Model, proven: &Intermediates) -> Result<Session, InferenceFailed> {
    // Repeated messages of a protocol buffer are merged, and their lists put together.
    let bytes = [model.bytes.as_slice(), proven.outputs.as_slice()].concat();
    let open = |cuda| builder(environment, cuda)?.commit_from_memory(&bytes).map_err(failed);
    match open(model.cuda) {
        Err(_) if model.cuda.is_some() => open(None),
        opened => opened,
    }
}

/// Runs the first slot's rows; returns the difference, if there is one.
fn run(
    session: &mut Session,
    model: &Model,
    layout: &Layout,
    memory: &Shared,
    proven: &Intermediates,
) -> Result<Option<InferenceFailed>, InferenceFailed> {
    let rows = model.rows as usize;
    let mut inputs = Vec::with_capacity(model.inputs.len());
    for (i, input) in model.inputs.iter().enumerate() {
        inputs.push((input.name.as_str(), tensor(input, rows, memory, layout.row(0, i, 0))?));
    }
    let outputs = session.run(inputs).map_err(failed)?;
    for (name, shape) in &proven.shapes {
        let value = outputs.get(name).ok_or_else(|| failed("the runtime does not give a value within the model"))?;
        let ValueType::Tensor { shape: found, .. } = value.dtype() else {
            return Ok(Some(failed(format!("{name:?} is not a tensor in this runtime"))));
        };
        let same = found.len() == shape.len() && found.iter().zip(shape).all(|(a, b)| u64::try_from(*a) == Ok(*b));
        if !same {
            let why = format!("{name:?} has the shape {:?} in this runtime, and {shape:?} in the proof", &found[..]);
            return Ok(Some(failed(why)));
        }
    }
    Ok(None)
}

/// Bytes of 0 in the widest type.
const ZEROS: &[u8] = &[0; 8];

/// Returns the bytes of 1 in a type (TensorProto.DataType).
fn one(elem: i32) -> Result<&'static [u8], InferenceFailed> {
    Ok(match elem {
        1 => &[0, 0, 0x80, 0x3f],
        2 | 9 => &[1],
        6 => &[1, 0, 0, 0],
        7 => &[1, 0, 0, 0, 0, 0, 0, 0],
        11 => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        other => return Err(failed(format!("no input is of type {other}"))),
    })
}
