//! Errors made in many places.

use std::{io, path::Path};

use super::{Cause, NodeError, Unverified};

/// Builds the error of a file or folder that cannot be read or written.
pub(crate) fn file_error(path: &Path, source: io::Error) -> NodeError {
    NodeError::Io { path: path.to_owned(), doing: "", fix: "", source }
}

/// Builds the error of a file whose content is not of the expected form.
pub(crate) fn corrupt(path: &Path, source: impl Into<Cause>) -> NodeError {
    NodeError::Corrupt { path: path.to_owned(), fix: "", source: source.into() }
}

/// Builds the error of a file that cannot be written for its content.
pub(crate) fn unwritable(path: &Path, source: impl Into<Cause>) -> NodeError {
    NodeError::Unwritable { path: path.to_owned(), source: source.into() }
}

/// Builds the error of a file that is missing.
pub(crate) fn gone(path: &Path, fix: &'static str) -> NodeError {
    NodeError::Gone { path: path.to_owned(), fix }
}

/// Builds the error of a peer that answered with something other than `wanted`.
pub(crate) fn unexpected(wanted: &'static str) -> NodeError {
    NodeError::Unverified(Unverified::Reply { who: "peer", wanted })
}

/// Builds the error of a path given by the caller that does not suit its purpose.
pub(crate) fn bad_path(path: &Path, why: impl Into<String>) -> NodeError {
    NodeError::BadPath { path: path.to_owned(), why: why.into() }
}
