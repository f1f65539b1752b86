//! A log in a folder, written there or copied from elsewhere.

use std::path::PathBuf;

use tidegate_audit::{
    log::{is_log_path, read::FILE_BYTES},
    note::BadNote,
};
use tidegate_files::read_given;

/// Reads a log's files from a folder, as a [`Fetch`](tidegate_audit::log::Fetch).
///
/// Does not open paths that no log has, files that are not regular, and files longer than a bundle can be.
pub fn from_folder(folder: PathBuf) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> {
    move |path| {
        if !is_log_path(path) {
            return Err(BadNote(format!("{path:?} is not a path of the log")));
        }
        read_given(&folder.join(path), FILE_BYTES as u64).map_err(|e| BadNote(format!("{path}: {e}")))
    }
}
