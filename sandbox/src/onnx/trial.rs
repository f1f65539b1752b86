//! Runs of a model over rows that are nobody's, before a job's: whether a row's numbers follow from other rows in this runtime.
//!
//! The proof (`prove/`) is about operators as they are defined. A runtime may compute one otherwise, and then rows of different
//! units meet although they are proven not to. So the very model and runtime of a job are tried first.
//!
//! # Comparison
//! A job's batches have one size, and a row's place in them follows from its unit and a key alone. A kernel may round otherwise at
//! another place or for another number of rows, and is not wrong for that. So two runs of one size are compared, at the places
//! that have the same row in both, bit by bit; all other places have other rows, the same rows elsewhere, or none (zeros, as in a
//! batch that is not full).
//!
//! Everything here follows from the model and public numbers: rows are drawn from the hash of its bytes.

use arrow::{
    array::BinaryArray,
    buffer::{Buffer, OffsetBuffer},
};
use tidegate_protocol::Refusal;

use super::{
    Inference, Runs, Spec, Values,
    admit::{Column, ROUND},
    graph::refuse,
    prove::tensor::Elem,
};
use crate::RunError;

/// Number of rows of extreme values in every other round's first batch.
const EXTREME: u32 = 3;

/// Rows of each input, as in memory.
type Batch = Vec<Vec<u8>>;

impl Spec {
    /// Runs `model` over batches that differ in some rows, and compares the numbers of all others, for at most [`Spec::trials`]
    /// runs.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if a row's numbers depend on other rows, or the runner is gone.
    pub fn keeps_rows_apart(&self, model: &[u8], inference: &dyn Inference) -> Result<(), Refusal> {
        let Runs::Batches(rows) = self.runs else { return Ok(()) };
        if rows < 2 {
            return Ok(());
        }
        let mut trial = Trial { spec: self, inference, rows: rows as usize, lots: Lots::of(model), runs: 0 };
        for round in 0..self.trials / ROUND {
            match trial.round(round) {
                Ok(true) => {}
                Ok(false) => {
                    let why = "its rows are not independent in this runtime, contrary to the proof";
                    return Err(refuse(why).fix("Export it again, or with other operators"));
                }
                Err(e) => return Err(refuse(format!("the runtime crashes on rows that a query may select: {e}"))),
            }
        }
        Ok(())
    }
}

struct Trial<'a> {
    spec: &'a Spec,
    inference: &'a dyn Inference,
    rows: usize,
    lots: Lots,
    /// Number of batches run so far.
    runs: usize,
}

impl Trial<'_> {
    /// Runs a batch, and [`ROUND`] − 1 others that differ from it; returns whether equal rows have equal numbers.
    fn round(&mut self, round: u32) -> Result<bool, RunError> {
        let mut base: Batch = self.spec.inputs.iter().map(|column| vec![0; self.rows * column.bytes()]).collect();
        (0..self.rows).for_each(|row| self.draw(&mut base, row));
        if round % 2 == 1 {
            for i in 0..EXTREME {
                let row = self.lots.below(self.rows);
                self.extreme(&mut base, row, EXTREME * round + i);
            }
        }
        let numbers = self.run(&base)?;
        let each = self.spec.numbers as usize;
        for change in 0..ROUND - 1 {
            let (batch, kept) = self.changed(&base, change, round);
            let others = self.run(&batch)?;
            let differs = |row: &usize| {
                let of = row * each..(row + 1) * each;
                kept[*row] && !same(&numbers[of.clone()], &others[of])
            };
            if (0..self.rows).any(|row| differs(&row)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Changes a batch in one of [`ROUND`] − 1 ways; also returns which rows stay as they are.
    fn changed(&mut self, base: &Batch, change: u32, round: u32) -> (Batch, Vec<bool>) {
        let (mut batch, mut kept, last) = (base.clone(), vec![true; self.rows], self.rows - 1);
        match change {
            // A row is replaced by another.
            0 => {
                self.draw(&mut batch, 0);
                kept[0] = false;
            }
            // A row is replaced by extreme values.
            1..=3 => {
                let row = if change == 1 { last } else { self.lots.below(self.rows) };
                self.extreme(&mut batch, row, 3 * round + change - 1);
                kept[row] = false;
            }
            // Every other row is elsewhere.
            4 => {
                let odd: Vec<usize> = (1..self.rows).step_by(2).collect();
                for (to, from) in odd.iter().zip(odd.iter().cycle().skip(1)) {
                    self.copy(base, *from, &mut batch, *to);
                    kept[*to] = false;
                }
            }
            // Half of the batch is empty.
            5 | 6 => {
                let half = self.rows / 2;
                let none = if change == 5 { half..self.rows } else { 0..half };
                for (column, bytes) in self.spec.inputs.iter().zip(&mut batch) {
                    bytes[none.start * column.bytes()..none.end * column.bytes()].fill(0);
                }
                kept[none].fill(false);
            }
            // One row is among others altogether.
            _ => {
                let row = self.lots.below(self.rows);
                (0..self.rows).for_each(|other| self.draw(&mut batch, other));
                self.copy(base, row, &mut batch, row);
                kept.fill(false);
                kept[row] = true;
            }
        }
        (batch, kept)
    }

    /// Copies a row of a batch to a place of another.
    fn copy(&self, from: &Batch, row: usize, to: &mut Batch, place: usize) {
        for (column, (from, to)) in self.spec.inputs.iter().zip(from.iter().zip(to)) {
            let bytes = column.bytes();
            to[place * bytes..][..bytes].copy_from_slice(&from[row * bytes..][..bytes]);
        }
    }

    /// Draws the values of a row.
    fn draw(&mut self, batch: &mut Batch, row: usize) {
        let spec = self.spec;
        for (column, all) in spec.inputs.iter().zip(batch) {
            let mut lots = vec![0u8; 2 * column.width()];
            self.lots.0.fill(&mut lots);
            let values = lots.chunks_exact(2).flat_map(|two| ordinary(column, u16::from_le_bytes([two[0], two[1]])));
            put(all, row, column, values);
        }
    }

    /// Gives a row extreme values: all the same of these, or one after the other.
    fn extreme(&self, batch: &mut Batch, row: usize, kind: u32) {
        for (column, all) in self.spec.inputs.iter().zip(batch) {
            let of = extremes(column);
            let first = kind as usize / 2;
            let value = |i: usize| of[(first + if kind.is_multiple_of(2) { 0 } else { i }) % of.len()].clone();
            put(all, row, column, (0..column.width()).flat_map(value));
        }
    }

    /// Runs a batch; returns the numbers of its rows.
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>, RunError> {
        let slot = self.runs % self.inference.slots().max(1);
        self.runs += 1;
        let first = (slot * self.rows) as u32;
        let places: Vec<u32> = (first..first + self.rows as u32).collect();
        for (number, (column, bytes)) in self.spec.inputs.iter().zip(batch).enumerate() {
            let lengths = OffsetBuffer::from_lengths(std::iter::repeat_n(column.bytes(), self.rows));
            let all = BinaryArray::new(lengths, Buffer::from_vec(bytes.clone()), None);
            self.inference.write(number, &places, &[Values::Rows(&all, 0)]);
        }
        self.inference.submit(slot, &[self.rows as u32])?;
        let mut numbers = vec![];
        if self.inference.wait()? == slot {
            self.inference.read(slot, &mut numbers);
        }
        if numbers.len() == self.rows * self.spec.numbers as usize {
            Ok(numbers)
        } else {
            Err(RunError::Engine("the runner gave too few numbers".into()))
        }
    }
}

/// Writes a row's bytes to its place.
fn put(all: &mut [u8], row: usize, column: &Column, values: impl Iterator<Item = u8>) {
    let bytes = column.bytes();
    all[row * bytes..][..bytes].iter_mut().zip(values).for_each(|(to, from)| *to = from);
}

/// Returns whether two rows have the same numbers. Every NaN becomes the fallback value, whatever its bits.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// Returns the bytes of a value as most columns have them: of moderate size, and more often an integer that names something.
fn ordinary(column: &Column, lot: u16) -> Vec<u8> {
    let wide = i64::from(lot.cast_signed());
    let small = i64::from(lot >> 2 & 15);
    let whole = match column.words {
        Some(words) => i64::from(lot) % (i64::from(words) + 1) - 1,
        None if lot & 3 == 0 => wide,
        None => small,
    };
    match Elem::of(column.elem) {
        Some(Elem::F32) => (wide as f32 / 8192.0).to_le_bytes().to_vec(),
        Some(Elem::F64) => (wide as f64 / 8192.0).to_le_bytes().to_vec(),
        Some(Elem::I32) => (whole as i32).to_le_bytes().to_vec(),
        Some(Elem::I64) => whole.to_le_bytes().to_vec(),
        Some(Elem::Bool) => vec![(lot & 1) as u8],
        _ => vec![lot as u8; column.size as usize],
    }
}

/// Returns the bytes of the extreme values of a column. A text, empty or long, is named by the model or not.
fn extremes(column: &Column) -> Vec<Vec<u8>> {
    fn of<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<Vec<u8>> {
        values.iter().map(|value| bytes(value).to_vec()).collect()
    }
    match (Elem::of(column.elem), column.words) {
        (Some(Elem::F32), _) => {
            let tiny = f32::from_bits(1);
            let all = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE, tiny, 0.0, -0.0];
            of(&all, |v| v.to_le_bytes())
        }
        (Some(Elem::F64), _) => {
            let tiny = f64::from_bits(1);
            let all = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, tiny, 0.0, -0.0];
            of(&all, |v| v.to_le_bytes())
        }
        (Some(Elem::I64), Some(words)) => of(&[-1, 0, i64::from(words) - 1], |v| v.to_le_bytes()),
        (Some(Elem::I64), None) => of(&[i64::MIN, i64::MAX, 0, -1, 1 << 32, i64::from(i32::MIN)], |v| v.to_le_bytes()),
        (Some(Elem::I32), _) => of(&[i32::MIN, i32::MAX, 0, -1, 1 << 16], |v| v.to_le_bytes()),
        (Some(Elem::Bool), _) => vec![vec![0], vec![1]],
        _ => [0, u8::MAX, 1, 1 << 7].map(|byte| vec![byte; column.size as usize]).to_vec(),
    }
}

/// Numbers that follow from a model's bytes.
struct Lots(blake3::OutputReader);

impl Lots {
    fn of(model: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("tidegate 2026 rows on which a model is tried");
        hasher.update(model);
        Self(hasher.finalize_xof())
    }

    fn below(&mut self, n: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % n.max(1) as u64) as usize
    }
}
