//! A log that lies in a folder, as it is written there or was copied from elsewhere.

use std::path::PathBuf;

use tidegate_audit::{
    log::{is_log_path, read::FILE_BYTES},
    note::BadNote,
};
use tidegate_files::read_given;

/// Reads a log's files from a folder, as a [`Fetch`](tidegate_audit::log::Fetch). Paths that no log has, what is no regular file, and files longer than a bundle can be are not opened.
pub fn from_folder(folder: PathBuf) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> {
    move |path| {
        if !is_log_path(path) {
            return Err(BadNote(format!("{path:?} is no log path")));
        }
        read_given(&folder.join(path), FILE_BYTES as u64).map_err(|e| BadNote(format!("{path}: {e}")))
    }
}
