//! A model run in the test's own process, by the sandbox's own protocol.

use std::sync::Arc;

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::TensorRef,
};
use tidegate_fixtures::models::elem;
use tidegate_sandbox::onnx::{NOWHERE, Spec, Values};

use super::locked::{Alone, Locked};

/// Slots of memory, and a session that is run when a slot is asked for.
pub(crate) struct Direct {
    session: Session,
    spec: Spec,
    /// For each input, bytes of all slots.
    inputs: Vec<Vec<u8>>,
    busy: Vec<(usize, Vec<u32>)>,
    done: Vec<(usize, Vec<u32>)>,
}

const SLOTS: usize = 24;

impl Direct {
    pub(crate) fn shared(environment: &Environment, (model, spec): (&[u8], &Spec)) -> Arc<Locked<Self>> {
        let session = Session::builder(environment).unwrap().with_intra_threads(1).unwrap();
        let mut session = session.with_deterministic_compute(true).unwrap().with_flush_to_zero().unwrap();
        let inputs = spec.inputs.iter().map(|c| vec![0; SLOTS * spec.most() as usize * c.bytes()]).collect();
        let session = session.commit_from_memory(model).unwrap();
        Locked::shared(Self { session, spec: spec.clone(), inputs, busy: vec![], done: vec![] })
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

impl Alone for Direct {
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

    fn submit(&mut self, slot: usize, runs: &[u32]) {
        self.busy.push((slot, runs.to_vec()));
    }

    fn wait(&mut self) -> usize {
        self.done.push(self.busy.remove(self.busy.len() / 2));
        self.done[self.done.len() - 1].0
    }

    fn read(&mut self, slot: usize) -> Vec<f32> {
        let at = self.done.iter().position(|(done, _)| *done == slot).unwrap();
        let (_, runs) = self.done.remove(at);
        let (mut all, mut first) = (vec![], 0);
        for rows in runs {
            all.extend(self.run(slot, first, rows as usize));
            first += (rows as usize).next_multiple_of(self.spec.step());
        }
        all
    }
}
