//! A file being received: the bytes are written together with the hashes proving them.
//!
//! So a fetch can resume after any interruption without trusting what lies there.

use std::{
    fs::File,
    io::{self, IoSlice, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bao_tree::{
    ChunkNum, ChunkRanges,
    io::{
        BaoContentItem, Leaf,
        outboard::PreOrderOutboard,
        sync::{DecodeResponseIter, valid_ranges},
    },
};
use iroh_blobs::{Hash, protocol::ChunkRangesExt as _};
use tokio::sync::mpsc;

use super::{place, tree};
use crate::error::{NetError, chain, file_error, local};

/// Number of bytes of a BLAKE3 chunk.
const CHUNK: u64 = 1024;
/// Number of bytes written together.
const PIECE: usize = 256 << 10;
/// Maximum number of slices of a write.
const MOST: usize = 1024;

/// Files being written, and the parts already there.
#[derive(Debug)]
struct State {
    data: File,
    tree: File,
    hash: Hash,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    /// Size of the file, once stated by a peer.
    size: Option<u64>,
    done: ChunkRanges,
}

/// File arriving from a single peer or several.
#[derive(Debug)]
pub(super) struct Arriving {
    folder: PathBuf,
    inlet: Inlet,
    /// Closes when no [`Inlet`] is left.
    ended: mpsc::Receiver<()>,
}

/// Handle for writing a peer's part.
#[derive(Debug, Clone)]
pub(super) struct Inlet {
    state: Arc<State>,
    _open: mpsc::Sender<()>,
}

/// Returns all ranges of a file with this size.
pub(super) fn whole(size: u64) -> ChunkRanges {
    ChunkRanges::bytes(..size.max(1))
}

fn kept(e: impl std::fmt::Display) -> NetError {
    local(format!("cannot store the received data: {e}"))
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outboard(&self, size: u64) -> PreOrderOutboard<&File> {
        PreOrderOutboard { root: self.hash.into(), tree: tree::of(size), data: &self.tree }
    }

    /// Resizes file and tree for a file of `size` bytes.
    fn resize(&self, size: u64) -> io::Result<()> {
        self.data.set_len(size)?;
        self.tree.set_len(tree::of(size).outboard_size())
    }

    /// Determines which parts are there and correct.
    fn found(&self) -> io::Result<()> {
        let Some(size) = self.now().size else { return Ok(()) };
        let mut done = ChunkRanges::empty();
        for range in valid_ranges(self.outboard(size), &self.data, &ChunkRanges::all()) {
            done |= ChunkRanges::from(range?);
        }
        self.now().done = done;
        Ok(())
    }

    fn write(&self, piece: Vec<BaoContentItem>) -> io::Result<()> {
        let size = self.now().size.unwrap_or_default();
        let (tree, mut done) = (tree::of(size), ChunkRanges::empty());
        let mut run: Vec<Leaf> = vec![];
        for item in piece {
            match item {
                BaoContentItem::Parent(parent) => {
                    // Pairs within a group are not stored.
                    if let Some(at) = tree.pre_order_offset(parent.node) {
                        let (left, right) = parent.pair;
                        self.tree.write_all_at(&[*left.as_bytes(), *right.as_bytes()].concat(), at * tree::PAIR)?;
                    }
                }
                BaoContentItem::Leaf(leaf) => {
                    let end = leaf.offset + leaf.data.len().max(1) as u64;
                    done |= ChunkRanges::from(ChunkNum(leaf.offset / CHUNK)..ChunkNum(end.div_ceil(CHUNK)));
                    if run.last().is_some_and(|last| last.offset + last.data.len() as u64 != leaf.offset) {
                        write_run(&self.data, &std::mem::take(&mut run))?;
                    }
                    run.push(leaf);
                }
            }
        }
        write_run(&self.data, &run)?;
        self.now().done |= done;
        Ok(())
    }
}

/// Writes adjacent leaves.
fn write_run(to: &File, run: &[Leaf]) -> io::Result<()> {
    let Some(first) = run.first() else { return Ok(()) };
    let slices: Vec<_> = run.iter().map(|leaf| IoSlice::new(&leaf.data)).collect();
    let (mut at, mut written) = (first.offset, rustix::io::pwritev(to, &slices[..slices.len().min(MOST)], first.offset)? as u64);
    for leaf in run {
        // Leaves written only in part are completed one by one.
        let left = written.min(leaf.data.len() as u64);
        (at, written) = (at + left, written - left);
        to.write_all_at(&leaf.data[left as usize..], at)?;
        at += leaf.data.len() as u64 - left;
    }
    Ok(())
}

impl Arriving {
    /// Resumes from the content of `folder` for a file of this size, if known.
    ///
    /// # Errors
    /// Returns [`NetError::Io`] if a file cannot be opened, or another process is using the folder.
    pub(super) async fn open(folder: PathBuf, hash: Hash, size: Option<u64>) -> Result<Self, NetError> {
        let at = folder.clone();
        let state = tokio::task::spawn_blocking(move || begin(&at, hash, size)).await.map_err(local)?;
        let state = Arc::new(state.map_err(|e| file_error(&folder, e))?);
        let (open, ended) = mpsc::channel(1);
        Ok(Self { folder, inlet: Inlet { state, _open: open }, ended })
    }

    /// Returns a handle for another peer.
    pub(super) fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Returns the missing part of `wanted`, or all of `wanted` if the size is unknown.
    pub(super) fn lacking(&self, wanted: &ChunkRanges) -> ChunkRanges {
        wanted - &(&self.inlet.state.now().done & wanted)
    }

    /// Returns the size of the file, if known.
    pub(super) fn size(&self) -> Option<u64> {
        self.inlet.state.now().size
    }

    /// Waits until everything received is written, and returns the result.
    pub(super) async fn close(mut self) -> Arrived {
        let state = self.inlet.state.clone();
        drop(self.inlet);
        // No messages are sent: the channel only closes.
        let _ = self.ended.recv().await;
        Arrived { folder: self.folder, state }
    }
}

fn begin(folder: &Path, hash: Hash, given: Option<u64>) -> io::Result<State> {
    place::create_folder(folder)?;
    let open = |name: &str| File::options().read(true).write(true).create(true).truncate(false).open(folder.join(name));
    let (data, tree) = (open(DATA)?, open("tree")?);
    tree.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another process is using it"))?;
    let found = data.metadata()?.len();
    let state = State { data, tree, hash, now: Mutex::new(Now { size: given, done: ChunkRanges::empty() }) };
    match given {
        Some(size) if size != found => {
            state.resize(0)?;
            state.resize(size)?;
        }
        None if found == 0 => return Ok(state),
        None => state.now().size = Some(found),
        Some(_) => {}
    }
    let size = state.now().size.unwrap_or_default();
    if state.tree.metadata()?.len() != tree::of(size).outboard_size() {
        state.resize(size)?;
    }
    state.found()?;
    let mut now = state.now();
    if now.done.is_empty() {
        // Nothing here proves the file's size.
        now.size = given;
    }
    drop(now);
    Ok(state)
}

const DATA: &str = "part";

impl Inlet {
    /// Records the file size stated by a peer. If unknown, the statement is believed until the file's last bytes prove it.
    pub(super) fn begins(&self, size: u64, known: bool) -> Result<(), NetError> {
        let mut now = self.state.now();
        match now.size {
            Some(before) if before == size => return Ok(()),
            Some(before) if known => {
                return Err(NetError::Peer(format!("it states a file size of {size} bytes, not {before}")));
            }
            _ => {}
        }
        (now.size, now.done) = (Some(size), ChunkRanges::empty());
        let resized = self.state.resize(0).and_then(|()| self.state.resize(size));
        resized.map_err(|e| NetError::Peer(format!("it states a file size of {size} bytes: {e}")))
    }

    /// Takes the answer to a request for `ranges` of a file of `size` bytes, and writes everything proven.
    ///
    /// Counts the bytes in `came`. Blocks on `from`.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`] if the answer is not what was asked for, or ends too soon; [`NetError::Local`] if it could not
    /// be written.
    pub(super) fn take(&self, size: u64, ranges: &ChunkRanges, mut from: impl Read, came: &AtomicU64) -> Result<(), NetError> {
        let (mut piece, mut bytes) = (vec![], 0);
        let mut wrong = None;
        for item in DecodeResponseIter::new(self.state.hash.into(), tree::of(size), &mut from, ranges) {
            match item {
                Ok(item) => {
                    if let BaoContentItem::Leaf(leaf) = &item {
                        bytes += leaf.data.len();
                        came.fetch_add(leaf.data.len() as u64, Ordering::Relaxed);
                    }
                    piece.push(item);
                }
                Err(e) => {
                    wrong = Some(NetError::Peer(chain(&e)));
                    break;
                }
            }
            if bytes >= PIECE {
                bytes = 0;
                self.state.write(std::mem::take(&mut piece)).map_err(kept)?;
            }
        }
        // Correct parts are kept, whatever came after them.
        self.state.write(piece).map_err(kept)?;
        match wrong {
            None if from.read(&mut [0]).is_ok_and(|more| more > 0) => Err(NetError::Peer("it sends more than requested".into())),
            wrong => wrong.map_or(Ok(()), Err),
        }
    }
}

/// Result of a reception.
#[derive(Debug)]
pub(super) struct Arrived {
    folder: PathBuf,
    state: Arc<State>,
}

impl Arrived {
    /// Returns whether all of `wanted` is there.
    pub(super) fn has(&self, wanted: &ChunkRanges) -> bool {
        self.state.now().done.is_superset(wanted)
    }

    /// Returns whether the whole file is there.
    pub(super) fn is_whole(&self) -> bool {
        let size = self.state.now().size;
        size.is_some_and(|size| self.has(&whole(size)))
    }

    /// Returns the data file.
    pub(super) fn data(&self) -> &File {
        &self.state.data
    }

    /// Moves the file to `target` in one step, and removes the folder.
    ///
    /// # Errors
    /// Returns [`NetError::Io`] if the file cannot be moved or copied; it is still here then.
    pub(super) fn hand_on(self, target: &Path) -> Result<(), NetError> {
        let here = |e: io::Error| file_error(target, e);
        let from = self.folder.join(DATA);
        match std::fs::rename(&from, target) {
            // On another disk the file is copied, under another name first.
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                let parent = target.parent().unwrap_or(target);
                let mut part = place::part().tempfile_in(parent).map_err(here)?;
                io::copy(&mut File::open(&from).map_err(here)?, &mut part).map_err(here)?;
                part.persist(target).map_err(|e| here(e.error))?;
            }
            moved => moved.map_err(here)?,
        }
        self.forget();
        Ok(())
    }

    /// Removes everything received.
    pub(super) fn forget(self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
