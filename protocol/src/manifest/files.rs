//! How a manifest names a version's files.
//!
//! Where somebody may copy them they are named by their plain hashes and sizes: that is what they are fetched and verified by. Where nobody may, such numbers
//! would let whoever has all of a file but a value try which value it is. There they are named by keyed hashes, whose key those have who are given it
//! ([`crate::frame::Request::FileKey`], [`crate::frame::Opening`]), and by sizes that [`crate::size`] rounds. Of how the rows lie that jobs read, which
//! follows from rows too, a keyed manifest says nothing but one keyed hash. [`Files::commit`] alone makes either, and by the policy.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DataFile, Layout};
use crate::{
    ContentHash, limits,
    policy::{Access, Policy},
    size,
};

/// The secret that a version's files are named with, where nobody may copy them. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey([u8; 32]);

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(withheld)")
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes = hex::decode(String::deserialize(d)?).ok().and_then(|bytes| bytes.try_into().ok());
        // What was there instead may be most of a key.
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("expected a key of 64 hexadecimal characters"))
    }
}

impl FileKey {
    /// A fresh one, where a policy lets nobody copy the files; where it does they have none.
    ///
    /// # Errors
    /// When the operating system has no entropy.
    #[cfg(feature = "random")]
    pub fn fresh_for(policy: &Policy) -> Result<Option<Self>, getrandom::Error> {
        if policy.replicate != Access::Nobody {
            return Ok(None);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Some(Self(key)))
    }

    fn keyed<'a>(&self, what: &[u8; 4], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(what);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// How the file at this place of the manifest is named: its place is in it, so that nobody sees whether two files are the same.
    fn file(&self, place: usize, file: &DataFile) -> KeyedFile {
        let at = (place as u32).to_le_bytes();
        let [a, b, c, d, e, f, g, h, ..] = self.keyed(b"size", [&at[..]]);
        let secret = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        KeyedFile {
            name: file.name.clone(),
            table: file.table.clone(),
            bytes_at_most: size::public(file.bytes, size::NAMED, secret),
            keyed_hash: ContentHash(self.keyed(b"file", [&at[..], &file.hash.0])),
        }
    }

    /// How the files that jobs read are named, all together.
    fn rows(&self, content: &Content) -> ContentHash {
        let layout = match content.layout {
            Layout::AsPublished => 0,
            Layout::Clustered => 1,
        };
        let hashes = content.computed().iter().map(|file| &file.hash.0[..]);
        ContentHash(self.keyed(b"rows", std::iter::once(&[layout][..]).chain(hashes)))
    }
}

/// A version's files as they are: their hashes and sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The published files.
    pub published: Vec<DataFile>,
    /// How the rows lie that jobs read.
    pub layout: Layout,
    /// The files that jobs read, where they are not the published ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<DataFile>,
}

impl Content {
    /// The files that jobs read.
    pub fn computed(&self) -> &[DataFile] {
        match self.layout {
            Layout::AsPublished => &self.published,
            Layout::Clustered => &self.derived,
        }
    }

    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = &DataFile> {
        self.published.iter().chain(&self.derived)
    }
}

/// A file as it is named where nobody may copy it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedFile {
    /// As [`DataFile::name`].
    pub name: String,
    /// The table that its rows are of, where the dataset has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// So many bytes it has at most: a step of [`size::public`].
    pub bytes_at_most: u64,
    /// BLAKE3, keyed, of `file`, the file's place in the manifest from 0 (32 bits, little-endian) and the file's BLAKE3.
    pub keyed_hash: ContentHash,
}

/// A version's files as they are named where nobody may copy them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedContent {
    /// The published files.
    pub published: Vec<KeyedFile>,
    /// BLAKE3, keyed, of `rows`, a byte (0 where jobs read the published files, 1 where they read a copy that is ordered by unit), and the BLAKE3 of each
    /// file that jobs read.
    pub rows: ContentHash,
}

/// How a version's files are named. Outside of this crate [`Files::commit`] alone makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// By their hashes: somebody may copy them.
    #[non_exhaustive]
    Plain(Content),
    /// By keyed hashes: nobody may.
    #[non_exhaustive]
    Keyed(KeyedContent),
}

/// A manifest does not name its files as its policy wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFiles {
    /// Plain hashes, where nobody may copy the files.
    #[error(
        "`files` are named by plain hashes, and the policy lets nobody copy them: whoever has all of a file but a value could try values"
    )]
    Plain,
    /// Keyed hashes, where somebody may copy the files.
    #[error("`files` are named by keyed hashes, and the policy lets somebody copy them: what was copied could not be verified")]
    Keyed,
    /// A size that is no step.
    #[error("`files` has a size that is not rounded up to a step")]
    Size,
    /// None, or too many.
    #[error("`files` has none, or more than a version may have")]
    Count,
    /// The key is another, or there is none.
    #[error("`files` are not named by this key")]
    Key,
}

impl Files {
    /// Names files as the policy wants it: by their hashes where it lets somebody copy them, by keyed ones where it does not.
    ///
    /// # Errors
    /// [`BadFiles::Key`] where there is no key and there must be one, or the other way round; [`BadFiles::Count`].
    pub fn commit(content: &Content, policy: &Policy, key: Option<&FileKey>) -> Result<Self, BadFiles> {
        let files = match (policy.replicate, key) {
            (Access::Nobody, Some(key)) => {
                let published = content.published.iter().enumerate().map(|(place, file)| key.file(place, file)).collect();
                Self::Keyed(KeyedContent { published, rows: key.rows(content) })
            }
            (Access::Granted | Access::Anybody, None) => Self::Plain(content.clone()),
            _ => return Err(BadFiles::Key),
        };
        files.check(policy).map(|()| files)
    }

    /// Whether they are named as the policy wants it.
    ///
    /// # Errors
    /// [`BadFiles`].
    pub fn check(&self, policy: &Policy) -> Result<(), BadFiles> {
        let copied = policy.replicate != Access::Nobody;
        match self {
            Self::Plain(_) if !copied => return Err(BadFiles::Plain),
            Self::Keyed(_) if copied => return Err(BadFiles::Keyed),
            Self::Keyed(keyed) if keyed.published.iter().any(|file| !size::is_public(file.bytes_at_most, size::NAMED)) => {
                return Err(BadFiles::Size);
            }
            _ => {}
        }
        if self.count() == 0 || self.count() > limits::FILES { Err(BadFiles::Count) } else { Ok(()) }
    }

    /// Whether these are the files that are named, by this key where there is one.
    pub fn are(&self, content: &Content, key: Option<&FileKey>) -> bool {
        match (self, key) {
            (Self::Plain(named), None) => named == content,
            (Self::Keyed(named), Some(key)) => {
                let same = |(place, named): (usize, &KeyedFile)| {
                    content.published.get(place).map(|file| key.file(place, file)).as_ref() == Some(named)
                };
                named.published.len() == content.published.len()
                    && named.published.iter().enumerate().all(same)
                    && named.rows == key.rows(content)
            }
            _ => false,
        }
    }

    /// Whether this is the published file at this place.
    pub fn is(&self, place: usize, file: &DataFile, key: Option<&FileKey>) -> bool {
        match (self, key) {
            (Self::Plain(named), None) => named.published.get(place) == Some(file),
            (Self::Keyed(named), Some(key)) => named.published.get(place) == Some(&key.file(place, file)),
            _ => false,
        }
    }

    /// The files by their hashes, where somebody may copy them.
    pub fn plain(&self) -> Option<&Content> {
        match self {
            Self::Plain(content) => Some(content),
            Self::Keyed(_) => None,
        }
    }

    /// The published files' names, each with the table that its rows are of, and how many bytes it has, or has at most.
    pub fn published(&self) -> impl Iterator<Item = (Option<&str>, &str, u64)> {
        let (plain, keyed) = match self {
            Self::Plain(content) => (&content.published[..], &[][..]),
            Self::Keyed(content) => (&[][..], &content.published[..]),
        };
        let plain = plain.iter().map(|file| (file.table.as_deref(), file.name.as_str(), file.bytes));
        plain.chain(keyed.iter().map(|file| (file.table.as_deref(), file.name.as_str(), file.bytes_at_most)))
    }

    /// How many files were published.
    pub fn count(&self) -> usize {
        self.published().count()
    }

    /// How many bytes the published files have together, or have at most.
    pub fn bytes(&self) -> u64 {
        self.published().fold(0, |sum, (_, _, bytes)| sum.saturating_add(bytes))
    }
}

#[cfg(test)]
mod tests;
