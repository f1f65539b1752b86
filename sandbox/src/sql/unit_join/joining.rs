//! Execution of a join, unit by unit, as the inputs' rows arrive.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
    compute::take,
    datatypes::SchemaRef,
    row::RowConverter,
};
use tidegate_protocol::{Refusal, limits};

use super::{
    held::{Held, Side},
    pairs::{Keys, Pairs},
};
use crate::{
    RunError,
    sql::input::UnitJoin,
    units::{Chunk, Physical, Runs, Selected, UnitRef, width},
};

/// Number of pairs on which a condition is evaluated at a time.
const SOME: usize = 8192;

/// Join state of a thread.
pub(in crate::sql) struct Joining<'a> {
    join: &'a UnitJoin,
    pub(in crate::sql) schema: SchemaRef,
    condition: Option<Physical>,
    encode: Option<RowConverter>,
    /// Buffered rows of the first and of the second input.
    pub(in crate::sql) held: [Held; 2],
    /// Maximum number of pairs per unit.
    most: usize,
    /// Number of pairs worth processing together.
    pub(in crate::sql) many: usize,
}

impl<'a> Joining<'a> {
    /// Starts a join.
    pub(in crate::sql) fn new(join: &'a UnitJoin) -> Result<Self, RunError> {
        let engine = |e: Refusal| RunError::Engine(e.to_string());
        let kinds = [join.first.kinds().map_err(engine)?, join.second.kinds().map_err(engine)?];
        let room = limits::JOIN_BYTES / (width(&kinds[0]) + width(&kinds[1]));
        Ok(Self {
            join,
            schema: join.schema.inner().clone(),
            condition: join.condition.as_ref().map(Physical::new).transpose()?,
            encode: join.encoder()?,
            held: kinds.map(Held::new),
            most: room.clamp(1, limits::JOIN_PAIRS),
            many: room.clamp(1, 8192),
        })
    }

    /// Joins the rows of units below `below`, all of which are present, or of all units if `None`.
    pub(in crate::sql) fn join(
        &mut self,
        below: Option<UnitRef<'_>>,
        sink: &mut dyn FnMut(Chunk) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let (first, second) = (self.held[0].take(below)?, self.held[1].take(below)?);
        let keys = match &self.encode {
            Some(encode) => Some((Keys::new(encode, &first, self.join.keys)?, Keys::new(encode, &second, self.join.keys)?)),
            None => None,
        };
        let (mut a, mut b, mut pairs) = (0, 0, Pairs::default());
        while a < first.units.len() || b < second.units.len() {
            let order = match (first.units.get(a), second.units.get(b)) {
                (Some(x), Some(y)) => x.cmp(y),
                (Some(_), None) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let unit = if order.is_le() { &first.units[a] } else { &second.units[b] };
            let none = 0..0;
            let mine = if order.is_le() { first.rows[a].clone() } else { none.clone() };
            let theirs = if order.is_ge() { second.rows[b].clone() } else { none };
            pairs.add(unit, mine, theirs, keys.as_ref(), self.most);
            (a, b) = (a + usize::from(order.is_le()), b + usize::from(order.is_ge()));
            if pairs.len() >= self.many {
                self.make(&first, &second, std::mem::take(&mut pairs), sink)?;
            }
        }
        self.make(&first, &second, pairs, sink)
    }

    /// Hands on the rows made from these pairs.
    fn make(
        &self,
        first: &Side,
        second: &Side,
        pairs: Pairs,
        sink: &mut dyn FnMut(Chunk) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let holds = self.condition.as_ref().filter(|_| !pairs.first.is_empty()).map(|condition| {
            let all = |rows: &[u64]| rows.iter().copied().map(Some).collect::<Vec<_>>();
            let batch = self.batch(first, second, &all(&pairs.first), &all(&pairs.second))?;
            let mut holds = vec![false; pairs.first.len()];
            // Some at a time, because evaluating a condition may build texts.
            for (from, some) in (0..).step_by(SOME).zip(holds.chunks_mut(SOME)) {
                let Selected { of, .. } = condition.select(&batch.slice(from, some.len()))?;
                of.rows(some.len()).into_iter().for_each(|i| some[i as usize] = true);
            }
            Ok::<_, RunError>(holds)
        });
        let holds = holds.transpose()?;
        let made = pairs.made(self.join.kind, holds.as_deref());
        if made.units.is_empty() {
            return Ok(());
        }
        let batch = self.batch(first, second, &made.first, &made.second)?;
        sink(Chunk { runs: Runs::of(made.units, made.rows), columns: batch.columns().to_vec() })
    }

    fn batch(
        &self,
        first: &Side,
        second: &Side,
        of_first: &[Option<u64>],
        of_second: &[Option<u64>],
    ) -> Result<RecordBatch, RunError> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (side, of) in [(first, of_first), (second, of_second)] {
            let of: UInt64Array = of.iter().copied().collect();
            let mine = &side.columns[..side.columns.len() - self.join.keys];
            let none = of.null_count() == of.len();
            let column = |c: &ArrayRef| {
                if none { Ok(new_null_array(c.data_type(), of.len())) } else { Ok(take(c, &of, None)?) }
            };
            columns.extend(mine.iter().map(column).collect::<Result<Vec<_>, RunError>>()?);
        }
        let there = |of: &[Option<u64>]| Arc::new(of.iter().map(|row| Some(row.is_some())).collect::<BooleanArray>());
        columns.extend([there(of_first) as ArrayRef, there(of_second)]);
        let options = RecordBatchOptions::new().with_row_count(Some(of_first.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
