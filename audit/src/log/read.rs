//! Reading and verifying a log, a bundle at a time: whatever the log's length, memory holds a single bundle.

use std::collections::BTreeMap;

use tidegate_protocol::limits;
use tlog_tiles::Hash;

use super::{Frontier, path};
use crate::note::{BadNote, Checkpoint, Note, Verifier, checkpoint};

/// Callback to read the bytes at a path of the log.
pub type Fetch<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<u8>, BadNote>;

/// Maximum size in bytes of a log's file: a full bundle of the longest entries.
pub const FILE_BYTES: usize = path::WIDTH as usize * (limits::ENTRY_BYTES + 2);

/// Reader of a log under a checkpoint.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The signed tree head.
    pub checkpoint: Checkpoint,
    /// Note of the checkpoint, for the cosignatures on it.
    pub note: Note,
}

impl Reader {
    /// Reads the checkpoint of `log`.
    ///
    /// # Errors
    /// Returns [`BadNote`] naming the problem with the checkpoint.
    pub fn open(log: &Verifier, fetch: Fetch<'_>) -> Result<Self, BadNote> {
        let text = String::from_utf8(fetch("checkpoint")?).map_err(|_| BadNote("the checkpoint is not UTF-8".into()))?;
        let note = Note::parse(&text)?;
        Ok(Self { checkpoint: checkpoint::open(&note, log)?, note })
    }

    /// Hands the entries from the frontier's end to the checkpoint's size to `bundle`, in order.
    ///
    /// Each call gets the index of its first entry, up to 256 entries, and the frontier after them. At the end, these entries and
    /// the frontier's earlier ones hash to the checkpoint's root; entries handed out before an error are worthless. On the way,
    /// the log must have the root of each of `heads` at that head's size.
    ///
    /// # Errors
    /// Returns [`BadNote`] naming the bad file or entry; also if the log is shorter than the frontier, or does not extend it, or
    /// a head.
    pub fn each(
        &self,
        frontier: &mut Frontier,
        heads: &BTreeMap<u64, Hash>,
        fetch: Fetch<'_>,
        mut bundle: impl FnMut(u64, &[Vec<u8>], &Frontier) -> Result<(), BadNote>,
    ) -> Result<(), BadNote> {
        let (size, from) = (self.checkpoint.size, frontier.size());
        if size < from || !frontier.is_whole() {
            return Err(BadNote(format!(
                "the log has {size} entries, fewer than the {from} verified before: it was truncated, or is another log"
            )));
        }
        for n in from / path::WIDTH..size.div_ceil(path::WIDTH) {
            let start = n * path::WIDTH;
            let width = path::WIDTH.min(size - start);
            let mut entries = entries(n, width, fetch)?;
            entries.drain(..from.saturating_sub(start) as usize);
            for entry in &entries {
                frontier.push(entry);
                if heads.get(&frontier.size()).is_some_and(|root| *root != frontier.root()) {
                    return Err(BadNote(format!(
                        "the log's first {} entries differ from those under a checkpoint that it signed: the log was forked",
                        frontier.size()
                    )));
                }
            }
            if !entries.is_empty() {
                bundle(start.max(from), &entries, frontier)?;
            }
        }
        if frontier.root() == self.checkpoint.root {
            return Ok(());
        }
        Err(BadNote(match from {
            0 => "the entries do not match the checkpoint's root hash: an entry was altered".into(),
            _ => format!("the log is inconsistent with the {from} entries verified before: its history was rewritten"),
        }))
    }
}

/// Reads all of `log`, entry by entry.
///
/// # Errors
/// Returns [`BadNote`] if the log does not verify or `entry` fails; entries handed out before it are worthless.
pub fn scan(
    log: &Verifier,
    fetch: Fetch<'_>,
    mut entry: impl FnMut(u64, &[u8]) -> Result<(), BadNote>,
) -> Result<Reader, BadNote> {
    let reader = Reader::open(log, fetch)?;
    reader.each(&mut Frontier::default(), &BTreeMap::new(), fetch, |start, entries, _| {
        (start..).zip(entries).try_for_each(|(index, bytes)| entry(index, bytes))
    })?;
    Ok(reader)
}

/// Reads a file of the log and returns its name too: a part of a tile, or the whole tile if the part was deleted since.
///
/// # Errors
/// Returns [`BadNote`] for the part, if neither exists.
pub fn part_or_whole(part: &str, fetch: Fetch<'_>) -> Result<(String, Vec<u8>), BadNote> {
    match (fetch(part), path::whole(part)) {
        (Err(e), Some(whole)) => Ok((whole.to_owned(), fetch(whole).map_err(|_| e)?)),
        (read, _) => Ok((part.to_owned(), read?)),
    }
}

/// Reads the first `width` entries of bundle `n` from the partial bundle, or from the full one if the partial one was deleted
/// since.
fn entries(n: u64, width: u64, fetch: Fetch<'_>) -> Result<Vec<Vec<u8>>, BadNote> {
    let part = path::bundle(n, width);
    let (path, bytes) = part_or_whole(&part, fetch)?;
    let mut rest = bytes.as_slice();
    let mut entries = Vec::with_capacity(width as usize);
    for _ in 0..width {
        let cut = || BadNote(format!("{path}: entry {} is truncated", n * path::WIDTH + entries.len() as u64));
        let (length, tail) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)?;
        rest = tail;
        entries.push(entry.to_vec());
    }
    if path == part && !rest.is_empty() {
        return Err(BadNote(format!("{path}: {} bytes after the last entry", rest.len())));
    }
    Ok(entries)
}
