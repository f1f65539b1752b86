//! Comparison of the time in which this machine reads all rows of a version with the slot of a job.
//!
//! If the slot is too short, jobs are answered with noise over the public default. The measured time follows from the rows, and
//! is for the owner alone.

use std::time::{Duration, Instant};

use tidegate_catalog::dataset::{self, Dataset};

use crate::NodeError;

/// Ratio of slot to reading time that jobs should have: a job reads all rows at least once, and computes.
const ROOM: u32 = 3;

/// Result of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Slot of a job.
    pub slot: Duration,
    /// Time to read all rows once; `None` if longer than the slot.
    pub read: Option<Duration>,
}

impl Pace {
    /// Reads all rows of a version, giving up at the end of its slot.
    ///
    /// # Errors
    /// [`NodeError::Data`] if a file cannot be read.
    pub fn of(version: &Dataset) -> Result<Self, NodeError> {
        let slot = Duration::from_millis(version.policy.body().limits.slot_ms);
        let begun = Instant::now();
        for path in &version.record.compute {
            for batch in dataset::open(path)? {
                batch.map_err(|e| crate::corrupt(path, e))?;
                if begun.elapsed() > slot {
                    return Ok(Self { slot, read: None });
                }
            }
        }
        Ok(Self { slot, read: Some(begun.elapsed()) })
    }

    /// Returns whether jobs have enough time in the slot.
    pub fn fits(&self) -> bool {
        self.read.is_some_and(|read| read * ROOM <= self.slot)
    }

    /// Describes the measurement in words.
    pub fn words(&self) -> String {
        let slot = self.slot.as_secs_f64();
        match self.read {
            Some(read) if self.fits() => {
                format!(
                    "reading all rows once takes {:.2} s here, and the time budget (`jobs.slot`) is {slot} s",
                    read.as_secs_f64()
                )
            }
            Some(read) => format!(
                "reading all rows once takes {:.2} s here, and the time budget (`jobs.slot`) is {slot} s: jobs that exceed it are answered with noise \
                 over the fallback value. Give the \
                 policy `jobs.slot` of {:.0} s or more",
                read.as_secs_f64(),
                (read * ROOM).as_secs_f64().ceil()
            ),
            None => format!(
                "all rows cannot be read here within the time budget of {slot} s: every job is answered with noise over the fallback value. Give the \
                 policy a longer \
                 `jobs.slot`"
            ),
        }
    }
}
