//! What a run is over: all of a dataset, or a piece.
//!
//! A piece is some units' rows, or some blocks, and all that a unit or block comes to is in one of them: sums of pieces add up to the sums of all. Who runs a job piece by piece
//! finds which unit a worker dies of (`node/src/worker/pieces.rs`).

use std::{fs::File, ops::Range};

use serde::{Deserialize, Serialize};

/// A piece of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Units' rows, by their numbers in all files one after the other: from the first of a unit up to the first of another.
    Rows {
        /// The first.
        from: u64,
        /// The first that is not in it.
        to: u64,
    },
    /// Blocks, by their numbers.
    Blocks {
        /// The first.
        from: u32,
        /// The first that is not in it.
        to: u32,
    },
}

/// A dataset's files, ordered by unit, or a [`Piece`] of them.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    pub(crate) files: &'a [File],
    pub(crate) piece: Option<Piece>,
    /// Rows that are passed over, in order.
    pub(crate) without: &'a [Range<u64>],
}

impl<'a> Extent<'a> {
    /// A piece of these files.
    pub fn of(files: &'a [File], piece: Option<Piece>) -> Self {
        Self { files, piece, without: &[] }
    }

    /// All but these rows, which come in order.
    pub fn without(self, rows: &'a [Range<u64>]) -> Self {
        Self { without: rows, ..self }
    }

    /// Which of all files' rows.
    pub(crate) fn rows(&self) -> Range<u64> {
        match self.piece {
            Some(Piece::Rows { from, to }) => from..to,
            _ => 0..u64::MAX,
        }
    }

    /// Which of so many blocks.
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
