//! Selection of each privacy unit's first rows from batches.
//!
//! Of rows with equal sort keys, the first in the files are taken. The work per row does not depend on which rows are taken:
//! a heap of as many rows as asked for, and a copy of the buffered ones.

use std::{cmp::Ordering, collections::BinaryHeap, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, UInt64Array},
    compute::{SortOptions, cast, interleave, take},
    datatypes::DataType,
    row::{Row, RowConverter, Rows, SortField},
};
use tidegate_protocol::limits;

use crate::{
    RunError,
    units::{Runs, Unit, UnitRef, shorten},
};

/// Completed units, and a column for each aggregate with a row for each unit.
pub(in crate::sql) type Done = (Vec<Unit>, Vec<ArrayRef>);

/// Range of a unit's rows to take, numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) struct Taken {
    pub(in crate::sql) first: u32,
    pub(in crate::sql) last: u32,
}

impl Taken {
    /// The first row alone.
    pub(in crate::sql) const ONE: Self = Self { first: 1, last: 1 };

    /// Returns the maximum number of rows per unit.
    pub(in crate::sql) fn most(self) -> u32 {
        self.last - self.first + 1
    }
}

/// Selection state of a thread.
pub(in crate::sql) struct Taking {
    encode: RowConverter,
    kinds: Vec<DataType>,
    columns: usize,
    taken: Taken,
    numbered: bool,
    open: Option<Open>,
}

/// First rows so far of the unit with which the last batch ended.
struct Open {
    unit: Unit,
    /// Sort key, piece and row within the piece of each row, in order.
    rows: Vec<(Vec<u8>, usize, usize)>,
    pieces: Vec<Vec<ArrayRef>>,
}

/// Location of a taken row: in a batch, or in a buffered piece.
#[derive(Clone, Copy)]
enum At {
    Batch(usize),
    Piece(usize, usize),
}

/// Rows of finished units.
#[derive(Default)]
struct Made {
    units: Vec<Unit>,
    rows: Vec<At>,
    numbers: Vec<u64>,
}

impl Made {
    /// Adds a unit's first rows, skipping rows before the first to be taken.
    fn add(&mut self, unit: Unit, rows: impl Iterator<Item = At>, taken: Taken) {
        let before = self.rows.len();
        for (number, row) in (1u64..).zip(rows).skip(taken.first as usize - 1) {
            self.rows.push(row);
            self.numbers.push(number);
        }
        self.units.extend(std::iter::repeat_n(unit, self.rows.len() - before));
    }

    /// Builds the columns from the batch's and the pieces' columns.
    fn done(self, batch: &[ArrayRef], pieces: &[Vec<ArrayRef>], columns: usize, numbered: bool) -> Result<Done, RunError> {
        if self.units.is_empty() {
            return Ok((vec![], vec![]));
        }
        let first = usize::from(!batch.is_empty());
        let place = |at: &At| match *at {
            At::Batch(row) => (0, row),
            At::Piece(piece, row) => (first + piece, row),
        };
        let places: Vec<(usize, usize)> = self.rows.iter().map(place).collect();
        let column = |i: usize| {
            let of: Vec<&dyn Array> =
                batch.get(i).into_iter().chain(pieces.iter().map(|piece| &piece[i])).map(AsRef::as_ref).collect();
            Ok(interleave(&of, &places)?)
        };
        let mut made = (0..columns).map(column).collect::<Result<Vec<_>, RunError>>()?;
        if numbered {
            made.push(Arc::new(UInt64Array::from(self.numbers)));
        }
        Ok((self.units, made))
    }
}

impl Taking {
    /// Creates the state for columns of these types, the last of which are the sort keys.
    ///
    /// # Errors
    /// Returns [`RunError`] if a type has no order.
    pub(in crate::sql) fn new(
        kinds: Vec<DataType>,
        order: &[SortOptions],
        taken: Taken,
        numbered: bool,
    ) -> Result<Self, RunError> {
        let columns = kinds.len() - order.len();
        let keys = kinds[columns..].iter().zip(order);
        let fields = keys.map(|(kind, order)| SortField::new_with_options(kind.clone(), *order)).collect();
        Ok(Self { encode: RowConverter::new(fields)?, columns, kinds, taken, numbered, open: None })
    }

    /// Adds a batch, and returns the rows of units completed by the batch.
    pub(in crate::sql) fn batch(&mut self, runs: &Runs, columns: &[ArrayRef]) -> Result<Done, RunError> {
        let column = |(column, kind): (&ArrayRef, &DataType)| {
            let column = shorten(column, limits::TEXT_CHARS)?;
            Ok(if column.data_type() == kind { column } else { cast(&column, kind)? })
        };
        let columns = columns.iter().zip(&self.kinds).map(column).collect::<Result<Vec<_>, RunError>>()?;
        let (columns, keys) = columns.split_at(self.columns);
        let keys = self.encode.convert_columns(keys)?;
        if runs.rows.is_empty() {
            return Ok((vec![], vec![]));
        }
        let most = self.taken.last as usize;
        let (mut waited, mut made, mut from) = (self.open.take(), Made::default(), 0);
        // The buffered unit is complete, or continues as the first unit of this batch.
        if let Some(open) = waited.as_ref().filter(|open| open.unit.as_ref() != runs.unit(0)) {
            made.add(open.unit.clone(), open.at(), self.taken);
        }
        while from < runs.rows.len() {
            let same = (from..runs.rows.len()).take_while(|i| runs.unit(*i) == runs.unit(from)).count();
            let (fresh, unit) = (first_of(&runs.rows[from..from + same], &keys, most), runs.unit(from).to_owned());
            let rows = merged(waited.as_ref().filter(|open| open.unit == unit), &fresh, &keys, most);
            from += same;
            if from < runs.rows.len() {
                made.add(unit, rows.into_iter(), self.taken);
            } else {
                let old = waited.take_if(|open| open.unit == unit);
                self.open = Some(Open::of(unit, old, &rows, columns, &keys)?.compact(most, self.columns)?);
            }
        }
        let pieces = waited.map_or_else(Vec::new, |open| open.pieces);
        made.done(columns, &pieces, self.columns, self.numbered)
    }

    /// Returns the last unit's rows if the unit is below `at`, or if there are no more rows.
    pub(in crate::sql) fn close(&mut self, at: Option<UnitRef<'_>>) -> Result<Done, RunError> {
        let Some(open) = self.open.take_if(|open| at.is_none_or(|at| open.unit.as_ref() < at)) else {
            return Ok((vec![], vec![]));
        };
        let mut made = Made::default();
        made.add(open.unit.clone(), open.at(), self.taken);
        made.done(&[], &open.pieces, self.columns, self.numbered)
    }
}

/// Returns the first `most` rows, in order.
fn first_of(runs: &[Range<usize>], keys: &Rows, most: usize) -> Vec<usize> {
    let rows = runs.iter().cloned().flatten();
    if most == 1 {
        return rows.min_by(|a, b| keys.row(*a).cmp(&keys.row(*b))).into_iter().collect();
    }
    let mut heap: BinaryHeap<(Row<'_>, usize)> = BinaryHeap::new();
    for row in rows {
        let one = (keys.row(row), row);
        if heap.len() < most {
            heap.push(one);
        } else if let Some(mut last) = heap.peek_mut()
            && one < *last
        {
            *last = one;
        }
    }
    heap.into_sorted_vec().into_iter().map(|(_, row)| row).collect()
}

/// Merges buffered rows and others of the same unit, up to `most`; among equal rows, buffered rows come first.
fn merged(open: Option<&Open>, fresh: &[usize], keys: &Rows, most: usize) -> Vec<At> {
    let mut waited = open.map_or(&[] as &[_], |open| &open.rows).iter().peekable();
    let mut fresh = fresh.iter().peekable();
    let mut rows = Vec::new();
    while rows.len() < most {
        let sooner = match (waited.peek(), fresh.peek()) {
            (Some((key, ..)), Some(row)) => keys.row(**row).data().cmp(key.as_slice()) == Ordering::Less,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => break,
        };
        let next = if sooner {
            fresh.next().map(|row| At::Batch(*row))
        } else {
            waited.next().map(|(_, piece, row)| At::Piece(*piece, *row))
        };
        rows.extend(next);
    }
    rows
}

impl Open {
    /// Keeps the rows taken so far; rows of a batch are copied to a piece of their own.
    fn of(unit: Unit, old: Option<Self>, rows: &[At], columns: &[ArrayRef], keys: &Rows) -> Result<Self, RunError> {
        let mut fresh = Vec::new();
        let (waited, mut pieces) = old.map_or_else(Default::default, |open| (open.rows, open.pieces));
        let mut waited = waited.into_iter();
        let kept = rows.iter().filter_map(|at| match *at {
            At::Batch(row) => {
                fresh.push(row as u64);
                Some((keys.row(row).data().to_vec(), pieces.len(), fresh.len() - 1))
            }
            // The buffered rows keep their order.
            At::Piece(..) => waited.next(),
        });
        let rows = kept.collect();
        if !fresh.is_empty() {
            let fresh = UInt64Array::from(fresh);
            pieces.push(columns.iter().map(|column| take(column, &fresh, None)).collect::<Result<_, _>>()?);
        }
        Ok(Self { unit, rows, pieces })
    }

    fn at(&self) -> impl Iterator<Item = At> {
        self.rows.iter().map(|(_, piece, row)| At::Piece(*piece, *row))
    }

    /// Merges the pieces once they hold more than twice `most` rows: each row is copied a few times at most.
    fn compact(mut self, most: usize, columns: usize) -> Result<Self, RunError> {
        let held: usize = self.pieces.iter().map(|piece| piece.first().map_or(0, |column| column.len())).sum();
        if self.pieces.len() < 2 || held <= 2 * most {
            return Ok(self);
        }
        let places: Vec<(usize, usize)> = self.rows.iter().map(|(_, piece, row)| (*piece, *row)).collect();
        let column = |i: usize| {
            let of: Vec<&dyn Array> = self.pieces.iter().map(|piece| piece[i].as_ref()).collect();
            interleave(&of, &places)
        };
        self.pieces = vec![(0..columns).map(column).collect::<Result<_, _>>()?];
        self.rows.iter_mut().enumerate().for_each(|(i, (_, piece, row))| (*piece, *row) = (0, i));
        Ok(self)
    }
}
