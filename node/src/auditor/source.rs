//! Sources of a log other than a folder: a peer, or a web server of the folder.

use std::path::PathBuf;

use tidegate_audit::{
    log::{
        is_log_path,
        read::{FILE_BYTES, Fetch},
    },
    note::BadNote,
};
use tidegate_ledger::from_folder;
use tokio::runtime::Handle;

use tidegate_exchange::web::Web;

use crate::{Address, client::Buyer};

/// Returns a function to fetch log files from a peer.
///
/// For use off the runtime's own threads.
pub fn peer<'a>(buyer: &'a Buyer, peer: &'a Address) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> + 'a {
    let runtime = Handle::current();
    move |path| {
        let asked = tokio::task::block_in_place(|| runtime.block_on(buyer.log_file(peer, path)));
        asked.map_err(|e| BadNote(format!("{path}: {e}")))
    }
}

/// Returns a function to fetch log files from a web server of the log's folder at `url`.
pub fn web<'a>(client: &'a Web, url: &'a str) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> + 'a {
    let runtime = Handle::current();
    move |path| {
        let url = format!("{}/{path}", url.trim_end_matches('/'));
        let got = tokio::task::block_in_place(|| runtime.block_on(client.get(&url, FILE_BYTES)));
        got.map_err(|e| BadNote(format!("{path}: {e}")))
    }
}

/// Returns a function to fetch files and keep them in `folder`, except for the checkpoint, which is left in `checkpoint`.
///
/// A whole bundle that is there already is not fetched: it never changes, and is verified like any.
pub(super) fn kept<'a>(
    folder: PathBuf,
    fetch: Fetch<'a>,
    checkpoint: &'a mut Option<Vec<u8>>,
) -> impl FnMut(&str) -> Result<Vec<u8>, BadNote> + 'a {
    let mut here = from_folder(folder.clone());
    move |path| {
        if path != "checkpoint"
            && !path.contains(".p/")
            && let Ok(bytes) = here(path)
        {
            return Ok(bytes);
        }
        let bytes = fetch(path)?;
        if path == "checkpoint" {
            *checkpoint = Some(bytes.clone());
            return Ok(bytes);
        }
        let target = folder.join(path);
        let write = || -> std::io::Result<()> {
            if let Some(parent) = target.parent().filter(|_| is_log_path(path)) {
                std::fs::create_dir_all(parent)?;
                std::fs::write(&target, &bytes)?;
            }
            Ok(())
        };
        write().map_err(|e| BadNote(format!("{}: {e}", target.display())))?;
        Ok(bytes)
    }
}
