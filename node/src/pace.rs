//! How long this machine takes to read all rows of a version, held against the slot that a job has for it: where that is too short, jobs are answered with noise over the
//! public default. What is measured follows from the rows, and is for the owner alone.

use std::time::{Duration, Instant};

use tidegate_catalog::dataset::{self, Dataset};

use crate::NodeError;

/// A job reads all rows once or more, and computes: it should have this many times what reading them once takes.
const ROOM: u32 = 3;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The slot.
    pub slot: Duration,
    /// What reading all rows once takes; `None` where it was not done within the slot.
    pub read: Option<Duration>,
}

impl Pace {
    /// Reads all rows of a version, as far as one comes within its slot.
    ///
    /// # Errors
    /// [`NodeError::Data`] where a file cannot be read.
    pub fn of(version: &Dataset) -> Result<Self, NodeError> {
        let slot = Duration::from_millis(version.policy.body().limits.slot_ms);
        let begun = Instant::now();
        for path in &version.record.compute {
            for batch in dataset::open(path)? {
                batch.map_err(|e| crate::file_error(path, e))?;
                if begun.elapsed() > slot {
                    return Ok(Self { slot, read: None });
                }
            }
        }
        Ok(Self { slot, read: Some(begun.elapsed()) })
    }

    /// Whether jobs have room in the slot.
    pub fn fits(&self) -> bool {
        self.read.is_some_and(|read| read * ROOM <= self.slot)
    }

    /// In words.
    pub fn words(&self) -> String {
        let slot = self.slot.as_secs_f64();
        match self.read {
            Some(read) if self.fits() => {
                format!("reading all rows once takes {:.2} s here, and the slot is {slot} s", read.as_secs_f64())
            }
            Some(read) => format!(
                "reading all rows once takes {:.2} s here, and the slot is {slot} s: jobs that are late are answered with noise over the public default. Give the \
                 policy `jobs.slot` of {:.0} s or more",
                read.as_secs_f64(),
                (read * ROOM).as_secs_f64().ceil()
            ),
            None => format!(
                "all rows cannot be read here within the slot of {slot} s: every job is answered with noise over the public default. Give the policy a longer \
                 `jobs.slot`"
            ),
        }
    }
}
