//! A model run in the test's own process, by the sandbox's own protocol.
#![allow(dead_code)]

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::TensorRef,
};
use tidegate_fixtures::models::elem;
use tidegate_sandbox::{
    RunError,
    onnx::{Inference, Model, NOWHERE, Spec, Values},
};

/// Slots of memory, and a session that is run when a slot is asked for.
pub(crate) struct Direct {
    session: Session,
    spec: Spec,
    /// For each input, bytes of all slots.
    inputs: Vec<Vec<u8>>,
    busy: Vec<(usize, Vec<u32>)>,
}

const SLOTS: usize = 24;

impl Direct {
    pub(crate) fn new(environment: &Environment, model: &Model) -> Self {
        let session = Session::builder(environment).unwrap().with_intra_threads(1).unwrap();
        let mut session = session.with_deterministic_compute(true).unwrap().with_flush_to_zero().unwrap();
        let spec = model.spec().clone();
        let inputs = spec.inputs.iter().map(|c| vec![0; SLOTS * spec.most() as usize * c.bytes()]).collect();
        Self { session: session.commit_from_memory(model.bytes()).unwrap(), spec, inputs, busy: vec![] }
    }

    fn run(&mut self, slot: usize, first: usize, rows: usize) -> Vec<f32> {
        let wanted = if self.spec.by_row { rows } else { 1 } * self.spec.numbers as usize;
        let most = self.spec.most() as usize;
        let (mut floats, mut words) = (vec![], vec![]);
        for (column, bytes) in self.spec.inputs.iter().zip(&self.inputs) {
            let from = (slot * most + first) * column.bytes();
            let mine = &bytes[from..from + rows * column.bytes()];
            floats.push(mine.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>());
            words.push(mine.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>());
        }
        let value = |(i, column): (usize, &tidegate_sandbox::onnx::Column)| {
            let shape: Vec<usize> = std::iter::once(rows).chain(column.row.iter().map(|n| *n as usize)).collect();
            let value: SessionInputValue<'_> = match column.elem {
                elem::F32 => TensorRef::from_array_view((shape, floats[i].as_slice())).unwrap().into(),
                elem::I64 => TensorRef::from_array_view((shape, words[i].as_slice())).unwrap().into(),
                other => panic!("no test has inputs of type {other}"),
            };
            (column.name.clone(), value)
        };
        let values: Vec<_> = self.spec.inputs.iter().enumerate().map(value).collect();
        let outputs = self.session.run(values).unwrap();
        let (_, data) = outputs[self.spec.output.as_str()].try_extract_tensor::<f32>().unwrap();
        assert_eq!(data.len(), wanted);
        data.to_vec()
    }
}

impl Inference for Direct {
    fn slots(&self) -> usize {
        SLOTS
    }

    fn write(&mut self, input: usize, places: &[u32], columns: &[Values<'_>]) {
        let column = &self.spec.inputs[input];
        for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            let at = *place as usize * column.bytes();
            let mut put = |at: usize, bytes: &[u8]| self.inputs[input][at..at + bytes.len()].copy_from_slice(bytes);
            for (feature, values) in columns.iter().enumerate() {
                match values {
                    Values::F32(v) => put(at + 4 * feature, &v[i].to_le_bytes()),
                    Values::I64(v) => put(at + 8 * feature, &v[i].to_le_bytes()),
                    Values::Rows(rows, first) => put(at, rows.value(first + i)),
                    other => panic!("no test has {other:?}"),
                }
            }
        }
    }

    fn submit(&mut self, slot: usize, runs: &[u32]) -> Result<(), RunError> {
        self.busy.push((slot, runs.to_vec()));
        Ok(())
    }

    fn wait(&mut self) -> Result<usize, RunError> {
        Ok(self.busy[self.busy.len() / 2].0)
    }

    fn read(&mut self, slot: usize, into: &mut Vec<f32>) {
        let at = self.busy.iter().position(|(busy, _)| *busy == slot).unwrap();
        let (_, runs) = self.busy.remove(at);
        into.clear();
        let mut first = 0;
        for rows in runs {
            into.extend(self.run(slot, first, rows as usize));
            first += (rows as usize).next_multiple_of(self.spec.step());
        }
    }
}
