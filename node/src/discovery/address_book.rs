//! The address book: names that this party gave to others' keys (petnames), and where they were last reached. Nobody else's
//! naming counts.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_exchange::{Address, RelayUrl};
use tidegate_files as files;
use tidegate_protocol::{PeerId, limits};

use crate::{NodeError, corrupt, file_error, home::Home, unwritable};

/// A named party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The key.
    pub key: PeerId,
    /// Sockets of the party: `ip:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<std::net::SocketAddr>,
    /// Relay of the party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayUrl>,
}

/// The address book.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    names: BTreeMap<String, Entry>,
}

impl Book {
    /// Reads the address book; empty if the file does not exist.
    ///
    /// # Errors
    /// [`NodeError::Corrupt`] naming the fault in the file.
    pub fn open(home: &Home) -> Result<Self, NodeError> {
        let path = home.path().join("names.toml");
        let names = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| corrupt(&path, e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(file_error(&path, e)),
        };
        Ok(Self { path, names })
    }

    /// Gives `name` to a key.
    ///
    /// # Errors
    /// [`NodeError::NameTaken`] if the name belongs to another key; [`NodeError::BadInput`] if it could be mistaken for a key.
    pub fn add(&mut self, name: &str, entry: Entry) -> Result<(), NodeError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > limits::NAME_BYTES || !name.chars().all(plain) {
            let why = "is not a name: use letters, digits, dots and dashes".into();
            return Err(NodeError::BadInput { field: format!("{name:?}"), why });
        }
        if let Some(other) = self.names.get(name).filter(|other| other.key != entry.key) {
            return Err(NodeError::NameTaken { name: name.to_owned(), key: other.key });
        }
        self.names.insert(name.to_owned(), entry);
        self.save()
    }

    /// Removes a name.
    ///
    /// # Errors
    /// [`NodeError::NoSuchPeer`] if nobody has it.
    pub fn remove(&mut self, name: &str) -> Result<(), NodeError> {
        if self.names.remove(name).is_none() {
            return Err(NodeError::NoSuchPeer { name: name.to_owned() });
        }
        self.save()
    }

    fn save(&self) -> Result<(), NodeError> {
        let text = toml::to_string(&self.names).map_err(|e| unwritable(&self.path, e))?;
        let new = self.path.with_extension("new");
        files::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).map_err(|e| file_error(&self.path, e))
    }

    /// Returns all names with their entries.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.names.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Returns all keys.
    pub fn keys(&self) -> impl Iterator<Item = PeerId> {
        self.names.values().map(|entry| entry.key)
    }

    /// Returns the name of a key.
    pub fn name_of(&self, key: &PeerId) -> Option<&str> {
        self.entries().find(|(_, entry)| entry.key == *key).map(|(name, _)| name)
    }

    /// Returns the address spelled out by `word`, or the address of the party with this name.
    ///
    /// # Errors
    /// [`NodeError::NoAddress`] if it is neither.
    pub fn address(&self, word: &str) -> Result<Address, NodeError> {
        match self.names.get(word) {
            Some(entry) => Ok(Address { peer: entry.key, sockets: entry.sockets.clone(), relay: entry.relay.clone() }),
            None => word.parse().map_err(NodeError::NoAddress),
        }
    }
}
