//! Data on its way to the network: items of an encoding, collected into pieces.

use bao_tree::io::EncodeError;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Number of bytes of a piece handed to the network.
const PIECE: usize = 128 << 10;

/// Item sent after the size.
pub(super) enum Item {
    Pair(Vec<u8>),
    Data(Bytes),
}

/// Buffer of data for the network.
pub(super) struct Outgoing {
    to: mpsc::Sender<Vec<Bytes>>,
    ready: Vec<Bytes>,
    bytes: usize,
    /// Values to be sent before the next piece of data.
    values: BytesMut,
}

impl Outgoing {
    pub(super) fn new(to: mpsc::Sender<Vec<Bytes>>) -> Self {
        Self { to, ready: vec![], bytes: 0, values: BytesMut::new() }
    }

    /// Adds the file's size.
    pub(super) fn size(&mut self, size: u64) {
        self.values.put_u64_le(size);
    }

    /// Adds an item, and hands over a piece once it is full.
    ///
    /// # Errors
    /// Fails if nobody takes the data any more.
    pub(super) async fn send(&mut self, item: Item) -> Result<(), Option<EncodeError>> {
        match item {
            Item::Pair(values) => self.values.put_slice(&values),
            Item::Data(data) => self.ready(data),
        }
        if self.bytes >= PIECE { self.flush().await } else { Ok(()) }
    }

    fn ready(&mut self, data: Bytes) {
        for piece in [self.values.split().freeze(), data] {
            self.bytes += piece.len();
            if !piece.is_empty() {
                self.ready.push(piece);
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Option<EncodeError>> {
        self.ready(Bytes::new());
        self.bytes = 0;
        self.to.send(std::mem::take(&mut self.ready)).await.map_err(|_| None)
    }
}
