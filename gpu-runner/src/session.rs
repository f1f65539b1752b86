//! One session of the runtime, on one thread: rows where they lie, numbers beside them.

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::{DynValue, TensorRef},
};

use crate::{
    InferenceFailed, failed,
    layout::Layout,
    shared::Shared,
    wire::{Input, Model},
};

pub(crate) struct Scorer<'a> {
    session: Session,
    model: &'a Model,
    layout: &'a Layout,
    memory: &'a Shared,
}

impl<'a> Scorer<'a> {
    pub(crate) fn open(
        environment: &Environment,
        model: &'a Model,
        layout: &'a Layout,
        memory: &'a Shared,
    ) -> Result<Self, InferenceFailed> {
        let session = Session::builder(environment)
            .map_err(failed)?
            // A thread of its own for each session: what one sums up does not depend on how many there are.
            .with_intra_threads(1)
            .map_err(failed)?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(failed)?
            .with_deterministic_compute(true)
            .map_err(failed)?
            // Numbers next to nothing would take much longer than others.
            .with_flush_to_zero()
            .map_err(failed)?
            .commit_from_memory(&model.bytes)
            .map_err(failed)?;
        if session.inputs().len() != model.inputs.len() {
            return Err(failed(format!("the model has {} inputs, {} were said", session.inputs().len(), model.inputs.len())));
        }
        if !session.outputs().iter().any(|o| o.name() == model.output) {
            return Err(failed("the model has no output of that name"));
        }
        let mut scorer = Self { session, model, layout, memory };
        // Over nothing but zeros: whatever the runtime does not do of a model it says now, and what is made ready once is ready.
        let rows = if model.batched { model.rows as usize } else { 1 };
        let wanted = if model.by_row { rows } else { 1 } * model.numbers as usize;
        scorer.run(0, 0, rows, layout.out(0), wanted)?;
        Ok(scorer)
    }

    /// Runs the rows of a slot. The buyer must not see which run failed: its numbers are NaN, which becomes the public default.
    pub(crate) fn slot(&mut self, slot: usize, runs: &[u32]) {
        let (mut row, mut out) = (0, self.layout.out(slot));
        for rows in runs.iter().map(|n| *n as usize) {
            let wanted = if self.model.by_row { rows } else { 1 } * self.model.numbers as usize;
            if self.run(slot, row, rows, out, wanted).is_err() {
                self.memory.put_all(out, &vec![f32::NAN; wanted]);
            }
            row += rows.next_multiple_of(self.model.step.max(1) as usize);
            out += wanted * size_of::<f32>();
        }
    }

    fn run(&mut self, slot: usize, row: usize, rows: usize, out: usize, wanted: usize) -> Result<(), InferenceFailed> {
        let inputs = self.model.inputs.iter().enumerate().map(|(i, input)| {
            let at = self.layout.row(slot, i, row);
            Ok((input.name.as_str(), tensor(input, rows, self.memory, at)?))
        });
        let inputs = inputs.collect::<Result<Vec<_>, InferenceFailed>>()?;
        let outputs = self.session.run(inputs).map_err(failed)?;
        let output = outputs.get(self.model.output.as_str()).ok_or_else(|| failed("no such output"))?;
        if let Ok((_, data)) = output.try_extract_tensor::<f32>() {
            return keep(self.memory, out, wanted, data);
        }
        keep(self.memory, out, wanted, &floats(output)?)
    }
}

fn keep(memory: &Shared, out: usize, wanted: usize, data: &[f32]) -> Result<(), InferenceFailed> {
    if data.len() != wanted {
        return Err(failed("the output has another number of values than its shape said"));
    }
    memory.put_all(out, data);
    Ok(())
}

/// Rows of an input as a tensor, where they lie.
fn tensor<'v>(input: &Input, rows: usize, memory: &'v Shared, at: usize) -> Result<SessionInputValue<'v>, InferenceFailed> {
    let shape: Vec<usize> = std::iter::once(rows).chain(input.row.iter().map(|n| *n as usize)).collect();
    let many = rows * input.width();
    macro_rules! of {
        ($slice:expr) => {
            TensorRef::from_array_view((shape, $slice)).map(SessionInputValue::from).map_err(failed)
        };
    }
    // TensorProto.DataType.
    match input.elem {
        1 => of!(memory.slice::<f32>(at, many)),
        2 => of!(memory.slice::<u8>(at, many)),
        6 => of!(memory.slice::<i32>(at, many)),
        7 => of!(memory.slice::<i64>(at, many)),
        9 => of!(memory.truths(at, many)),
        11 => of!(memory.slice::<f64>(at, many)),
        other => Err(failed(format!("no input is of type {other}"))),
    }
}

/// An output of another type, as floats.
fn floats(output: &DynValue) -> Result<Vec<f32>, InferenceFailed> {
    macro_rules! from {
        ($kind:ty, $to:expr) => {
            if let Ok((_, data)) = output.try_extract_tensor::<$kind>() {
                return Ok(data.iter().map($to).collect());
            }
        };
    }
    from!(f64, |v| *v as f32);
    from!(i64, |v| *v as f32);
    from!(i32, |v| *v as f32);
    from!(u8, |v| f32::from(*v));
    from!(i8, |v| f32::from(*v));
    from!(bool, |v| f32::from(u8::from(*v)));
    Err(failed("the output is of a type that is not read"))
}
