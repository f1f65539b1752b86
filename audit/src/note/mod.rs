//! C2SP signed notes (<https://c2sp.org/signed-note>): a text, an empty line, and a line for each signature.
//!
//! [`key`] names signers, [`checkpoint`] is signed by a log, [`cosignature`] is added by its witnesses, [`proof`] shows a single
//! entry under both.

pub mod checkpoint;
pub mod cosignature;
pub mod key;
pub mod proof;
mod signed;

pub use checkpoint::{Checkpoint, open_checkpoint, sign_checkpoint};
pub use cosignature::{Cosigned, Quorum, cosign};
pub use key::{Kind, Verifier, origin, owner_of_vkey, vkey};
pub use proof::{check_proof, write_proof};
use signed::bad;
pub use signed::{BadNote, Note, NoteSignature};
