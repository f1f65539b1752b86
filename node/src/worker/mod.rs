//! Worker process, which plans and runs a single job.
//!
//! It holds the dataset's files as open descriptors, and an unnamed file or a runner's pipes and shared memory, and nothing else.
//!
//! A job takes two calls: *check* has no descriptors of data, so nothing can be read before the budget is reserved; *run* has
//! them. A component is compiled before both by a third call, *compile*, which is told nothing but the component and the memory
//! of its instances: the code may be used again by other jobs.

mod asked;
mod call;
mod coming;
mod memory;
mod model;
mod order;
mod pieces;
mod pool;
mod program;
mod search;
mod serve;
mod span;

pub use asked::run_worker_if_asked;
pub use coming::{Coming, Over};
pub use memory::{memory, usable_gpus};
pub use order::{Checked, Work, WorkerFailed};
pub use pieces::tolerance;
pub use pool::Workers;

use memory::{GROUP_BYTES, PIECE_MEMORY, SPILL_BYTES, WORKER_MEMORY, worker_memory};
use order::{Answer, FRAME_BYTES, Order, Part, Sent, Task, failed, not_started, write_frame};
