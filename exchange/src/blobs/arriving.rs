//! A file on its way here: what came is written with the values that prove it, so that whoever goes on with it, whatever cut it off, needs to trust no word
//! of what lies there.

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
use crate::error::{NetError, chain, local};

/// Bytes of a BLAKE3 chunk.
const CHUNK: u64 = 1024;
/// Bytes that are written together.
const PIECE: usize = 256 << 10;
/// Most slices of one write.
const MOST: usize = 1024;

/// The files that it comes to, and what of it is there.
#[derive(Debug)]
struct State {
    data: File,
    tree: File,
    hash: Hash,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    /// Bytes of the file, once somebody has said so.
    size: Option<u64>,
    done: ChunkRanges,
}

/// A file that comes from one peer or from several.
#[derive(Debug)]
pub(super) struct Arriving {
    folder: PathBuf,
    inlet: Inlet,
    /// Ends when no [`Inlet`] is left.
    ended: mpsc::Receiver<()>,
}

/// What a peer's part of it goes through.
#[derive(Debug, Clone)]
pub(super) struct Inlet {
    state: Arc<State>,
    _open: mpsc::Sender<()>,
}

/// All that a file of so many bytes has.
pub(super) fn whole(size: u64) -> ChunkRanges {
    ChunkRanges::bytes(..size.max(1))
}

fn kept(e: impl std::fmt::Display) -> NetError {
    local(format!("what came could not be kept: {e}"))
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outboard(&self, size: u64) -> PreOrderOutboard<&File> {
        PreOrderOutboard { root: self.hash.into(), tree: tree::of(size), data: &self.tree }
    }

    /// As long as a file of so many bytes is, and its tree.
    fn resize(&self, size: u64) -> io::Result<()> {
        self.data.set_len(size)?;
        self.tree.set_len(tree::of(size).outboard_size())
    }

    /// What of it is there, and is right.
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
                    // Those within a group are not kept.
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

/// Writes what lies side by side.
fn write_run(to: &File, run: &[Leaf]) -> io::Result<()> {
    let Some(first) = run.first() else { return Ok(()) };
    let slices: Vec<_> = run.iter().map(|leaf| IoSlice::new(&leaf.data)).collect();
    let (mut at, mut written) = (first.offset, rustix::io::pwritev(to, &slices[..slices.len().min(MOST)], first.offset)? as u64);
    for leaf in run {
        // What the system took only in part is written leaf by leaf.
        let left = written.min(leaf.data.len() as u64);
        (at, written) = (at + left, written - left);
        to.write_all_at(&leaf.data[left as usize..], at)?;
        at += leaf.data.len() as u64 - left;
    }
    Ok(())
}

impl Arriving {
    /// Goes on with what is in `folder` of a file of so many bytes, if that is known.
    ///
    /// # Errors
    /// [`NetError::Local`], also where another process is at it.
    pub(super) async fn open(folder: PathBuf, hash: Hash, size: Option<u64>) -> Result<Self, NetError> {
        let at = folder.clone();
        let state = tokio::task::spawn_blocking(move || begin(&at, hash, size)).await.map_err(local)?;
        let state = Arc::new(state.map_err(|e| local(format!("{}: {e}", folder.display())))?);
        let (open, ended) = mpsc::channel(1);
        Ok(Self { folder, inlet: Inlet { state, _open: open }, ended })
    }

    /// For one more peer.
    pub(super) fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// What of `wanted` is not there; all of it, where nobody has said how long it is.
    pub(super) fn lacking(&self, wanted: &ChunkRanges) -> ChunkRanges {
        wanted - &(&self.inlet.state.now().done & wanted)
    }

    /// Bytes of the file, if they are known.
    pub(super) fn size(&self) -> Option<u64> {
        self.inlet.state.now().size
    }

    /// Waits until all is written that came, and says what is there.
    pub(super) async fn close(mut self) -> Arrived {
        let state = self.inlet.state.clone();
        drop(self.inlet);
        // Nobody says anything here.
        let _ = self.ended.recv().await;
        Arrived { folder: self.folder, state }
    }
}

fn begin(folder: &Path, hash: Hash, given: Option<u64>) -> io::Result<State> {
    place::create_folder(folder)?;
    let open = |name: &str| File::options().read(true).write(true).create(true).truncate(false).open(folder.join(name));
    let (data, tree) = (open(DATA)?, open("tree")?);
    tree.try_lock().map_err(|_| io::Error::other("another process is at it"))?;
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
        // Nothing here proves how long the file is.
        now.size = given;
    }
    drop(now);
    Ok(state)
}

const DATA: &str = "part";

impl Inlet {
    /// A peer has said how long the file is. It is believed where nobody knows better, until the file's last bytes prove it.
    pub(super) fn begins(&self, size: u64, known: bool) -> Result<(), NetError> {
        let mut now = self.state.now();
        match now.size {
            Some(before) if before == size => return Ok(()),
            Some(before) if known => {
                return Err(NetError::Peer(format!("it says that the file has {size} bytes, of {before}")));
            }
            _ => {}
        }
        (now.size, now.done) = (Some(size), ChunkRanges::empty());
        let resized = self.state.resize(0).and_then(|()| self.state.resize(size));
        resized.map_err(|e| NetError::Peer(format!("it says that the file has {size} bytes: {e}")))
    }

    /// Takes the answer to a request for `ranges` of a file that is so long, and writes what is proven; counts its bytes in `came`. Waits for `from`.
    ///
    /// # Errors
    /// [`NetError::Peer`] where what comes is not what was asked for, or ends too soon; [`NetError::Local`] where it could not be written.
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
        // What was right is kept, whatever came after it.
        self.state.write(piece).map_err(kept)?;
        match wrong {
            None if from.read(&mut [0]).is_ok_and(|more| more > 0) => {
                Err(NetError::Peer("it sends more than was asked for".into()))
            }
            wrong => wrong.map_or(Ok(()), Err),
        }
    }
}

/// What is there once nothing comes any more.
#[derive(Debug)]
pub(super) struct Arrived {
    folder: PathBuf,
    state: Arc<State>,
}

impl Arrived {
    /// Whether all of `wanted` is there.
    pub(super) fn has(&self, wanted: &ChunkRanges) -> bool {
        self.state.now().done.is_superset(wanted)
    }

    /// Whether all of the file is.
    pub(super) fn is_whole(&self) -> bool {
        let size = self.state.now().size;
        size.is_some_and(|size| self.has(&whole(size)))
    }

    /// What lies there.
    pub(super) fn data(&self) -> &File {
        &self.state.data
    }

    /// Moves the file to `target`, which appears at once, and forgets it.
    ///
    /// # Errors
    /// [`NetError::Local`]; it is still here then.
    pub(super) fn hand_on(self, target: &Path) -> Result<(), NetError> {
        let here = |e: io::Error| local(format!("{}: {e}", target.display()));
        let from = self.folder.join(DATA);
        match std::fs::rename(&from, target) {
            // On another disk it is copied, under another name first.
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

    /// Keeps nothing of it.
    pub(super) fn forget(self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
