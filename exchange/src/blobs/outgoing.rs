//! What is on its way to the network: items of an encoding, put together in pieces.

use bao_tree::io::EncodeError;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Bytes of a piece that is handed to the network.
const PIECE: usize = 128 << 10;

/// What is sent after the size.
pub(super) enum Item {
    Pair(Vec<u8>),
    Data(Bytes),
}

/// What is on its way to the network.
pub(super) struct Outgoing {
    to: mpsc::Sender<Vec<Bytes>>,
    ready: Vec<Bytes>,
    bytes: usize,
    /// What comes before the next piece of data.
    values: BytesMut,
}

impl Outgoing {
    pub(super) fn new(to: mpsc::Sender<Vec<Bytes>>) -> Self {
        Self { to, ready: vec![], bytes: 0, values: BytesMut::new() }
    }

    /// Says how long the file is.
    pub(super) fn size(&mut self, size: u64) {
        self.values.put_u64_le(size);
    }

    /// # Errors
    /// Where nobody takes it any more.
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
