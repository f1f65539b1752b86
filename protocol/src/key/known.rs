//! Cache of this thread's recent keys: a log names the same few in every entry, and decoding a key is a good part of the cost of
//! checking a signature.

use std::{cell::RefCell, collections::HashMap};

use ed25519_dalek::VerifyingKey;

/// Maximum number of cached keys. A full cache is cleared.
const KEYS: usize = 256;

/// A decoded, usable key and its `did:key`.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) key: VerifyingKey,
    pub(super) did: String,
}

#[derive(Default)]
struct Keys {
    by_bytes: HashMap<[u8; 32], Known>,
    by_did: HashMap<String, [u8; 32]>,
}

thread_local! {
    static KEYS_MET: RefCell<Keys> = RefCell::default();
}

/// Calls `with` on the key of these bytes, made by `decode` unless cached.
pub(super) fn of<T>(bytes: &[u8; 32], decode: impl FnOnce() -> Option<Known>, with: impl FnOnce(&Known) -> T) -> Option<T> {
    KEYS_MET.with_borrow_mut(|keys| {
        if !keys.by_bytes.contains_key(bytes) {
            let known = decode()?;
            if keys.by_bytes.len() >= KEYS {
                *keys = Keys::default();
            }
            keys.by_did.insert(known.did.clone(), *bytes);
            keys.by_bytes.insert(*bytes, known);
        }
        keys.by_bytes.get(bytes).map(with)
    })
}

/// Returns the bytes of the cached key with exactly this text.
pub(super) fn bytes(did: &str) -> Option<[u8; 32]> {
    KEYS_MET.with_borrow(|keys| keys.by_did.get(did).copied())
}
