//! Files of the review folder.

use std::{io::Write as _, path::PathBuf};

use tidegate_files as files;
use tidegate_protocol::Envelope;

use crate::{NodeError, corrupt, file_error, home::Home};

pub(super) fn folder(home: &Home, which: &str) -> PathBuf {
    home.path().join("review").join(which)
}

pub(super) fn read_envelope(path: &std::path::Path) -> Result<Envelope, NodeError> {
    let text = std::fs::read(path).map_err(|e| file_error(path, e))?;
    serde_json::from_slice(&text).map_err(|e| corrupt(path, e))
}

/// Writes a file durably, whole or not at all.
pub(super) fn put(path: &std::path::Path, bytes: &[u8]) -> Result<(), NodeError> {
    let write = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            files::create_folder(parent)?;
        }
        let part = path.with_extension("part");
        let mut file = files::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(part, path)
    };
    write().map_err(|e| file_error(path, e))
}
