//! The buyer's side of a job: its file, what an owner will say of it, its submission, and the verified result.

pub mod answer;
pub mod check;
pub mod expected;
pub mod fetch;
pub mod inspect;
pub mod job_file;
pub(crate) mod model_file;
pub(crate) mod offers;
pub mod pointing;
pub(crate) mod public_tables;
pub(crate) mod question;
pub mod rehearse;
pub mod results;
pub mod sample;
pub(crate) mod submit;
pub mod table;
pub mod telling;
pub mod training;
pub(crate) mod verified;
