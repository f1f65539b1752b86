//! The address book: names that this party gave to others' keys (petnames), and where they were reached last. Nobody else's word on a name counts.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_exchange::{Address, RelayUrl};
use tidegate_files as files;
use tidegate_protocol::{PeerId, limits};

use crate::{NodeError, file_error, home::Home};

/// Somebody who has a name here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The key.
    pub key: PeerId,
    /// Where it can be reached: `ip:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<std::net::SocketAddr>,
    /// The relay it can be reached over.
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
    /// Reads it; an empty one, where there is none.
    ///
    /// # Errors
    /// [`NodeError::File`] naming what is wrong in it.
    pub fn open(home: &Home) -> Result<Self, NodeError> {
        let path = home.path().join("names.toml");
        let names = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| file_error(&path, e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(file_error(&path, e)),
        };
        Ok(Self { path, names })
    }

    /// Gives `name` to a key.
    ///
    /// # Errors
    /// [`NodeError::File`] where the name is another's, or cannot be told from a key.
    pub fn add(&mut self, name: &str, entry: Entry) -> Result<(), NodeError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > limits::NAME_BYTES || !name.chars().all(plain) {
            return Err(NodeError::File(format!("{name:?} is no name: write letters, digits, dots and dashes")));
        }
        if let Some(other) = self.names.get(name).filter(|other| other.key != entry.key) {
            return Err(NodeError::File(format!(
                "{name:?} is the name of {} here: `tidegate peers remove {name}` first",
                other.key
            )));
        }
        self.names.insert(name.to_owned(), entry);
        self.save()
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// [`NodeError::File`] where nobody has it.
    pub fn remove(&mut self, name: &str) -> Result<(), NodeError> {
        if self.names.remove(name).is_none() {
            return Err(NodeError::File(format!("nobody is called {name:?} here")));
        }
        self.save()
    }

    fn save(&self) -> Result<(), NodeError> {
        let text = toml::to_string(&self.names).map_err(|e| file_error(&self.path, e))?;
        let new = self.path.with_extension("new");
        files::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).map_err(|e| file_error(&self.path, e))
    }

    /// Everybody in it.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.names.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Their keys.
    pub fn keys(&self) -> impl Iterator<Item = PeerId> {
        self.names.values().map(|entry| entry.key)
    }

    /// What a key is called here.
    pub fn name_of(&self, key: &PeerId) -> Option<&str> {
        self.entries().find(|(_, entry)| entry.key == *key).map(|(name, _)| name)
    }

    /// An address: as it is written, or that of the one of this name.
    ///
    /// # Errors
    /// [`NodeError::File`] where it is neither.
    pub fn address(&self, word: &str) -> Result<Address, NodeError> {
        match self.names.get(word) {
            Some(entry) => Ok(Address { peer: entry.key, sockets: entry.sockets.clone(), relay: entry.relay.clone() }),
            None => word.parse().map_err(|e| NodeError::File(format!("{e}; and nobody is called that here (`tidegate peers`)"))),
        }
    }
}
