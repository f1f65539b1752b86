//! One call a unit or block, on all processors: one thread reads and hands out rows, the others call.
//!
//! Sums are of integers, so it does not matter who calls when.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::{
        Mutex,
        mpsc::{Receiver, sync_channel},
    },
};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::Schema};
use tidegate_gate::{GroupSums, Plan, Sums};
use tidegate_protocol::job::{Output, Split};

use super::{Guest, engine::MOST_WAYS, values};
use crate::{Rehearsal, RunError, units::each_unit_as};

/// How many threads call a guest on this machine, each with an instance's memory.
pub fn ways() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WAYS)
}

/// Calls that are handed out together, unless their rows take more than [`BYTES`].
const CALLS: usize = 64;
const BYTES: usize = 1 << 20;

impl Guest {
    /// Calls the guest for each unit or block and hands each vector to the gate.
    ///
    /// # Errors
    /// [`RunError`] for unreadable data; a guest's own failures only ever give the default vector.
    pub fn run(&self, plan: &Plan, files: &[File], prf: &[u8; 32], rehearsal: Option<&mut Rehearsal>) -> Result<Sums, RunError> {
        let group = match rehearsal {
            // What it says is shown in the order of the units.
            Some(shown) => {
                let mut caller = Caller::new(self, plan, Some(shown));
                self.each(files, prf, &mut |rows| caller.call(&rows))?;
                caller.group
            }
            None => self.run_over(ways(), plan, files, prf)?,
        };
        Ok(Sums { groups: vec![group] })
    }

    /// [`Guest::run`] with `ways` threads that call.
    pub(super) fn run_over(&self, ways: usize, plan: &Plan, files: &[File], prf: &[u8; 32]) -> Result<GroupSums, RunError> {
        // Nothing waits between the threads but what each of them has in hand: a unit may have many rows.
        let (hand, take) = sync_channel::<Vec<RecordBatch>>(0);
        let take = Mutex::new(take);
        std::thread::scope(|scope| {
            let work = || {
                let mut caller = Caller::new(self, plan, None);
                while let Some(some) = next(&take) {
                    some.iter().try_for_each(|rows| caller.call(rows))?;
                }
                Ok(caller.group)
            };
            let threads = (0..ways).map(|_| std::thread::Builder::new().spawn_scoped(scope, work));
            let threads = threads.collect::<Result<Vec<_>, _>>().map_err(|e| RunError::Engine(format!("no thread: {e}")))?;
            let (mut some, mut bytes) = (Vec::with_capacity(CALLS), 0);
            let gone = |_| RunError::Engine("nobody calls".into());
            let read = self.each(files, prf, &mut |rows| {
                bytes += rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(BYTES)).sum::<usize>();
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

    /// Each unit's or block's rows.
    fn each(
        &self,
        files: &[File],
        prf: &[u8; 32],
        visit: &mut dyn FnMut(RecordBatch) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let blocks = match self.split {
            Split::Unit => return each_unit_as(files, &self.select, values::plain, |_, rows| visit(rows)),
            Split::Blocks(blocks) => blocks,
        };
        let mut held: BTreeMap<u32, Vec<RecordBatch>> = BTreeMap::new();
        let mut schema = None;
        each_unit_as(files, &self.select, values::plain, |unit, rows| {
            schema.get_or_insert_with(|| rows.schema());
            held.entry(unit.with_bytes(|unit| block_of(unit, blocks, prf))).or_default().push(rows);
            Ok(())
        })?;
        for block in 0..blocks {
            // An empty block is called too: its number of units is not public.
            visit(match (held.remove(&block), &schema) {
                (Some(parts), Some(schema)) => concat_batches(schema, &parts)?,
                _ => RecordBatch::new_empty(Schema::empty().into()),
            })?;
        }
        Ok(())
    }
}

fn next<T>(take: &Mutex<Receiver<T>>) -> Option<T> {
    take.lock().ok()?.recv().ok()
}

/// Calls a guest and adds up what it returns.
struct Caller<'a> {
    guest: &'a Guest,
    plan: &'a Plan,
    defaults: Vec<f64>,
    group: GroupSums,
    shown: Option<&'a mut Rehearsal>,
}

impl<'a> Caller<'a> {
    fn new(guest: &'a Guest, plan: &'a Plan, shown: Option<&'a mut Rehearsal>) -> Self {
        Self { guest, plan, defaults: Output::defaults(&guest.outputs), group: plan.group(vec![]), shown }
    }

    fn call(&mut self, rows: &RecordBatch) -> Result<(), RunError> {
        let rows = values::rows(rows);
        let values = match &mut self.shown {
            None => self.guest.call(&rows, None).ok(),
            Some(shown) => match self.guest.call(&rows, Some(&mut shown.lines)) {
                Ok(values) => Some(values),
                Err(why) => {
                    shown.lines.push(format!("default vector used: {why}"));
                    None
                }
            },
        };
        let values = values.as_deref().unwrap_or(&self.defaults);
        Ok(self.plan.close_vector(&mut self.group, values, &self.defaults)?)
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

#[cfg(test)]
mod tests;
