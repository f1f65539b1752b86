//! Rows of units or blocks → runs of the model → the gate.

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::concat_batches,
};
use tidegate_gate::{Plan, Sums};
use tidegate_protocol::limits;

use super::{
    Inference, Model, Runs,
    apart::Apart,
    batches::{Batches, Span},
    close::Closer,
};
use crate::{
    Extent, RunError,
    units::{Room, Scan, Unit, each_block, each_unit},
};

impl Model {
    /// Runs the model on each unit's or block's rows and passes the contributions to the gate.
    ///
    /// A missing float is NaN for the model. Rows with any other value missing, a NaN, or a failed run lead to the public
    /// fallback value.
    ///
    /// # Errors
    /// Returns a [`RunError`] on failure.
    pub fn run(&self, plan: &Plan, files: Extent<'_>, key: &[u8; 32], inference: &dyn Inference) -> Result<Sums, RunError> {
        let mut closer = Closer::new(self, plan);
        match (self.spec.runs, self.split.blocks()) {
            (Runs::Batches(_), None) => self.batch_units(files, Batches::new(self, inference, key), &mut closer)?,
            (Runs::Batches(_), Some(_)) => {
                let mut batches = Batches::new(self, inference, key);
                self.blocks(files, key, |block, parts| {
                    let name = block.to_le_bytes();
                    if parts.is_empty() {
                        return closer.fail();
                    }
                    for (i, part) in parts.iter().enumerate() {
                        let span = Span { rows: 0..part.num_rows(), begins: (i == 0).then_some(&name), goes_on: true };
                        batches.add(&self.source.rows(part.columns())?, |of| of(span), &mut closer)?;
                    }
                    Ok(())
                })?;
                batches.end(&mut closer)?;
            }
            (Runs::Apart(most), None) => {
                let mut apart = Apart::new(self, inference);
                each_unit(files, &self.select, |_, rows| {
                    let rows = rows.slice(0, rows.num_rows().min(most as usize));
                    apart.add(&self.source.rows(rows.columns())?, rows.num_rows(), &mut closer)
                })?;
                apart.end(&mut closer)?;
            }
            (Runs::Apart(_), Some(_)) => {
                let mut apart = Apart::new(self, inference);
                self.blocks(files, key, |_, parts| match parts {
                    [] => closer.fail(),
                    [first, ..] => {
                        let rows = concat_batches(&first.schema(), parts)?;
                        apart.add(&self.source.rows(rows.columns())?, rows.num_rows(), &mut closer)
                    }
                })?;
                apart.end(&mut closer)?;
            }
        }
        Ok(Sums { groups: vec![closer.end()?] })
    }

    /// Fills batches as rows are read, without copying a unit's rows.
    fn batch_units(&self, files: Extent<'_>, mut batches: Batches<'_>, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let selects = [&self.select];
        let mut open: Option<Unit> = None;
        Scan::open(files, &selects, 0)?.run(|runs, columns: &[ArrayRef]| {
            let rows = self.source.rows(columns)?;
            let last = runs.rows.len().saturating_sub(1);
            let each = |of: &mut dyn FnMut(Span<'_>) -> Result<(), RunError>| {
                runs.rows.iter().enumerate().try_for_each(|(i, span)| {
                    let unit = runs.unit(i);
                    let begun = i == 0 && open.as_ref().is_some_and(|open| open.as_ref() == unit);
                    unit.with_bytes(|name| of(Span { rows: span.clone(), begins: (!begun).then_some(name), goes_on: i == last }))
                })
            };
            batches.add(&rows, each, closer)?;
            if !runs.rows.is_empty() {
                open = Some(runs.unit(last).to_owned());
            }
            Ok(())
        })?;
        batches.end(closer)
    }

    /// Calls `visit(number, rows)` for each block, without rows if they exceed the limit.
    fn blocks(
        &self,
        files: Extent<'_>,
        key: &[u8; 32],
        mut visit: impl FnMut(u32, &[RecordBatch]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let Some(blocks) = self.split.blocks() else { return Ok(()) };
        let mut number = files.blocks(blocks.number).start;
        let ways = std::thread::available_parallelism().map_or(1, usize::from);
        each_block(files, &self.select, blocks, key, Room::of(&self.select, limits::BLOCK_BYTES), ways, &mut |parts| {
            number += 1;
            visit(number - 1, parts.as_deref().unwrap_or_default())
        })
    }
}
