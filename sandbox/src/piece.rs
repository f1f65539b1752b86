//! Extent of a run: a whole dataset or a piece.
//!
//! A piece consists of some privacy units' rows or of some blocks. Everything that a unit or block contributes is in one piece,
//! so the sums of the pieces add up to the sums of the whole. Running a job piece by piece finds the unit that a worker dies of
//! (`node/src/worker/pieces.rs`).

use std::{fs::File, ops::Range};

use serde::{Deserialize, Serialize};

/// Piece of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Rows of whole units, numbered across all files in order.
    Rows {
        /// First row.
        from: u64,
        /// First row after the piece.
        to: u64,
    },
    /// Blocks, by number.
    Blocks {
        /// First block.
        from: u32,
        /// First block after the piece.
        to: u32,
    },
}

/// Files of a dataset, ordered by unit, or a [`Piece`] of them.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    pub(crate) files: &'a [File],
    pub(crate) piece: Option<Piece>,
    /// Rows to skip, in order.
    pub(crate) without: &'a [Range<u64>],
}

impl<'a> Extent<'a> {
    /// Returns a piece of these files, or all of them.
    pub fn of(files: &'a [File], piece: Option<Piece>) -> Self {
        Self { files, piece, without: &[] }
    }

    /// Leaves out the given rows, which must be in order.
    pub fn without(self, rows: &'a [Range<u64>]) -> Self {
        Self { without: rows, ..self }
    }

    /// Returns the range of rows among all files' rows.
    pub(crate) fn rows(&self) -> Range<u64> {
        match self.piece {
            Some(Piece::Rows { from, to }) => from..to,
            _ => 0..u64::MAX,
        }
    }

    /// Returns the range of blocks, out of `all`.
    pub(crate) fn blocks(&self, all: u32) -> Range<u32> {
        match self.piece {
            Some(Piece::Blocks { from, to }) => from.min(all)..to.min(all),
            _ => 0..all,
        }
    }
}

impl<'a> From<&'a [File]> for Extent<'a> {
    fn from(files: &'a [File]) -> Self {
        Self::of(files, None)
    }
}

impl<'a, const N: usize> From<&'a [File; N]> for Extent<'a> {
    fn from(files: &'a [File; N]) -> Self {
        Self::of(files, None)
    }
}

impl<'a> From<&'a Vec<File>> for Extent<'a> {
    fn from(files: &'a Vec<File>) -> Self {
        Self::of(files, None)
    }
}
