//! One command a file.

pub(crate) mod audit;
pub(crate) mod budget;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod fetch;
pub(crate) mod gate;
pub(crate) mod grant;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod jobs;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod new;
pub(crate) mod peers;
pub(crate) mod ping;
pub(crate) mod publish;
pub(crate) mod quarantine;
pub(crate) mod receipts;
pub(crate) mod rehearse;
pub(crate) mod replay;
pub(crate) mod review;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod witness;
