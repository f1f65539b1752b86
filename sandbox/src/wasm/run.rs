//! Calls of a guest, for each unit or block, on all processors: a thread reads and distributes rows, the others call.
//!
//! Sums are of integers, so the order of calls does not matter.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, sync_channel},
};

use arrow::array::RecordBatch;
use tidegate_gate::{GroupSums, Plan, Sums};
use tidegate_protocol::job::{Output, Split};

use super::{engine::MOST_WAYS, guest::Guest, values};
use crate::{
    Extent, Help, Rehearsal, RunError,
    onnx::Desk,
    units::{Room, each_block, each_unit_as, plain, size},
};

/// Returns the number of threads calling a guest on this machine, each with an instance's memory.
pub fn ways() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WAYS)
}

/// Rows of some calls, each in parts.
type Calls = Vec<Option<Vec<RecordBatch>>>;

/// Number of calls distributed together, unless their rows take more than [`BYTES`].
const CALLS: usize = 64;
const BYTES: usize = 1 << 20;

impl Guest {
    /// Calls the guest for each unit or block and passes each vector to the gate.
    ///
    /// # Errors
    /// Returns a [`RunError`] if the data is unreadable; a guest's own failures only ever lead to the fallback values.
    pub fn run(&self, plan: &Plan, files: Extent<'_>, prf: &[u8; 32], help: Help<'_>) -> Result<Sums, RunError> {
        let desk = match (&self.model, help.inference) {
            (Some(model), Some(inference)) => Some(Arc::new(Desk::new(model.clone(), inference))),
            (Some(_), None) => return Err(RunError::Engine("no runner for the model".into())),
            (None, _) => None,
        };
        let group = match help.rehearsal {
            // Its log is shown in the order of the units.
            Some(shown) => {
                let mut caller = Caller::new(self, desk.as_ref(), plan, Some(shown));
                self.each(files, prf, Room::of(&self.select, self.limits.memory), &mut |rows| caller.call(rows.as_deref()))?;
                caller.group
            }
            None => self.run_over(ways(), desk.as_ref(), plan, files, prf, Room::of(&self.select, self.limits.memory))?,
        };
        desk.map_or(Ok(()), |desk| desk.end())?;
        Ok(Sums { groups: vec![group] })
    }

    /// Acts as [`Guest::run`], with `ways` calling threads.
    fn run_over<'f>(
        &self,
        ways: usize,
        desk: Option<&Arc<Desk>>,
        plan: &Plan,
        files: impl Into<Extent<'f>>,
        prf: &[u8; 32],
        room: Room,
    ) -> Result<GroupSums, RunError> {
        let files = files.into();
        // Nothing is queued between the threads beyond what each has in hand, as a unit may have many rows.
        let (hand, take) = sync_channel::<Calls>(0);
        let take = Arc::new(Mutex::new(take));
        std::thread::scope(|scope| {
            let work = |take: Arc<Mutex<Receiver<Calls>>>| {
                let mut caller = Caller::new(self, desk, plan, None);
                while let Some(some) = next(&take) {
                    some.iter().try_for_each(|rows| caller.call(rows.as_deref()))?;
                }
                Ok(caller.group)
            };
            let threads = (0..ways).map(|_| {
                let take = take.clone();
                std::thread::Builder::new().spawn_scoped(scope, move || work(take))
            });
            let threads = threads.collect::<Result<Vec<_>, _>>().map_err(|e| RunError::Engine(format!("no thread: {e}")))?;
            // The receiver goes with the last thread to end, so that nobody waits for a missing receiver.
            drop(take);
            let (mut some, mut bytes) = (Vec::with_capacity(CALLS), 0);
            let gone = |_| RunError::Engine("nobody calls".into());
            let read = self.each(files, prf, room, &mut |rows| {
                bytes += rows.iter().flatten().map(size).sum::<usize>();
                some.push(rows);
                if some.len() < CALLS && bytes < BYTES {
                    return Ok(());
                }
                bytes = 0;
                hand.send(std::mem::replace(&mut some, Vec::with_capacity(CALLS))).map_err(gone)
            });
            let read = read.and_then(|()| hand.send(some).map_err(gone));
            drop(hand);
            let died = |_| RunError::Engine("a thread died".into());
            let groups = threads.into_iter().map(|thread| thread.join().map_err(died).flatten());
            let mut sum = plan.group(vec![]);
            for group in groups.collect::<Result<Vec<_>, RunError>>()? {
                sum.units += group.units;
                sum.lanes.iter_mut().zip(group.lanes).for_each(|(sum, lane)| *sum += lane);
            }
            read.map(|()| sum)
        })
    }

    /// Visits each unit's or block's rows, or nothing if there are more than a guest could take.
    fn each(
        &self,
        files: Extent<'_>,
        prf: &[u8; 32],
        room: Room,
        visit: &mut dyn FnMut(Option<Vec<RecordBatch>>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let blocks = match self.split {
            Split::Unit => return each_unit_as(files, &self.select, plain, |_, rows| visit(Some(vec![rows]))),
            Split::Blocks(blocks) => blocks,
        };
        each_block(files, &self.select, blocks, prf, room, ways(), visit)
    }
}

fn next(take: &Mutex<Receiver<Calls>>) -> Option<Calls> {
    take.lock().ok()?.recv().ok()
}

/// Calls of a guest and sums of its results.
struct Caller<'a> {
    guest: &'a Guest,
    desk: Option<&'a Arc<Desk>>,
    plan: &'a Plan,
    defaults: Vec<f64>,
    group: GroupSums,
    shown: Option<&'a mut Rehearsal>,
}

impl<'a> Caller<'a> {
    fn new(guest: &'a Guest, desk: Option<&'a Arc<Desk>>, plan: &'a Plan, shown: Option<&'a mut Rehearsal>) -> Self {
        Self { guest, desk, plan, defaults: Output::defaults(&guest.outputs), group: plan.group(vec![]), shown }
    }

    fn call(&mut self, rows: Option<&[RecordBatch]>) -> Result<(), RunError> {
        let call = |shown: Option<&mut Rehearsal>| match rows {
            None => Err("its rows take more memory than a guest may have".to_owned()),
            Some(rows) => self.guest.call(&values::rows(rows), self.desk, shown),
        };
        let values = match &mut self.shown {
            None => call(None).ok(),
            Some(shown) => match call(Some(shown)) {
                Ok(values) => Some(values),
                Err(why) => {
                    shown.lines.push(format!("fallback vector used: {why}"));
                    None
                }
            },
        };
        let values = values.as_deref().unwrap_or(&self.defaults);
        Ok(self.plan.close_vector(&mut self.group, values, &self.defaults)?)
    }
}

#[cfg(test)]
mod tests;
