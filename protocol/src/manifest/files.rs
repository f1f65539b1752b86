//! Names of a version's files in a manifest.
//!
//! If somebody may copy the files, they are named by their plain hashes and sizes, by which they are fetched and verified. If
//! nobody may, such numbers would let anyone who has all of a file but one value test guesses for that value. Then files are
//! named by keyed hashes, whose key is given only to authorized parties ([`crate::frame::Request::FileKey`],
//! [`crate::frame::Opening`]), and without sizes: any size, however rounded, follows from the rows. The storage of the rows that
//! jobs read follows from rows too, so a keyed manifest says nothing about it but one keyed hash. Only [`Files::commit`] makes
//! either form, as the policy requires.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DataFile, Layout};
use crate::{
    ContentHash, limits,
    policy::{Access, Policy},
};

/// Secret for naming a version's files if nobody may copy them. `Debug` does not show it.
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
        // The rejected text may be most of a key, so it is not shown.
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("expected a key of 64 hexadecimal characters"))
    }
}

impl FileKey {
    /// Draws a fresh key if a policy lets nobody copy the files; otherwise they have none.
    ///
    /// # Errors
    /// Returns an error if the operating system has no entropy.
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

    /// Names the file at this index of the manifest. The index is hashed too, to hide whether two files are the same.
    fn file(&self, place: usize, file: &DataFile) -> KeyedFile {
        let at = (place as u32).to_le_bytes();
        KeyedFile {
            name: file.name.clone(),
            table: file.table.clone(),
            keyed_hash: ContentHash(self.keyed(b"file", [&at[..], &file.hash.0])),
        }
    }

    /// Names all files read by jobs, together.
    fn rows(&self, content: &Content) -> ContentHash {
        let layout = match content.layout {
            Layout::AsPublished => 0,
            Layout::Clustered => 1,
        };
        let hashes = content.computed().iter().map(|file| &file.hash.0[..]);
        ContentHash(self.keyed(b"rows", std::iter::once(&[layout][..]).chain(hashes)))
    }
}

/// A version's files with their plain hashes and sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Published files.
    pub published: Vec<DataFile>,
    /// Storage of the rows for jobs.
    pub layout: Layout,
    /// Files read by jobs, if different from the published files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<DataFile>,
}

impl Content {
    /// Returns the files read by jobs.
    pub fn computed(&self) -> &[DataFile] {
        match self.layout {
            Layout::AsPublished => &self.published,
            Layout::Clustered => &self.derived,
        }
    }

    /// Iterates over every file.
    pub fn all(&self) -> impl Iterator<Item = &DataFile> {
        self.published.iter().chain(&self.derived)
    }
}

/// A file under the names used if nobody may copy it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedFile {
    /// File name, as [`DataFile::name`].
    pub name: String,
    /// Table of its rows, if the dataset has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Keyed BLAKE3 of `file`, the file's index in the manifest from 0 (32 bits, little-endian) and the file's BLAKE3.
    pub keyed_hash: ContentHash,
}

/// A version's files as named if nobody may copy them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedContent {
    /// Published files.
    pub published: Vec<KeyedFile>,
    /// Keyed BLAKE3 of `rows`, a byte (0 if jobs read the published files, 1 if they read a copy ordered by unit), and the BLAKE3
    /// of each file that jobs read.
    pub rows: ContentHash,
}

/// Names of a version's files. Outside of this crate, only [`Files::commit`] makes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// Plain hashes: somebody may copy the files.
    #[non_exhaustive]
    Plain(Content),
    /// Keyed hashes: nobody may.
    #[non_exhaustive]
    Keyed(KeyedContent),
}

/// Error of a manifest whose files are not named as its policy requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFiles {
    /// The hashes are plain, but nobody may copy the files.
    #[error(
        "`files` has plain hashes, and the policy allows nobody to copy the files: with plain hashes, a party that has a file except for one value \
         could test guesses of it"
    )]
    Plain,
    /// The hashes are keyed, but somebody may copy the files.
    #[error("`files` has keyed hashes, and the policy allows copies of the files: copies could not be verified")]
    Keyed,
    /// A file is larger than the policy's public bound.
    #[error("`files` has a file that is larger than the policy's files.max_mib. Raise the bound")]
    Size,
    /// There are no files, or too many.
    #[error("`files` is empty, or exceeds the limit of a version")]
    Count,
    /// The key is another, or is missing, or must not be there.
    #[error("`files` has hashes of another key")]
    Key,
}

impl Files {
    /// Names files as the policy requires: by plain hashes if somebody may copy them, otherwise by keyed hashes.
    ///
    /// # Errors
    /// Returns [`BadFiles::Key`] if there is no key and there must be one, or the other way round, [`BadFiles::Size`] for a file
    /// beyond the policy's bound, and [`BadFiles::Count`] for none or too many files.
    pub fn commit(content: &Content, policy: &Policy, key: Option<&FileKey>) -> Result<Self, BadFiles> {
        if content.published.iter().any(|file| !policy.files.fits(file.bytes)) {
            return Err(BadFiles::Size);
        }
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

    /// Checks whether the files are named as the policy requires.
    ///
    /// # Errors
    /// Returns [`BadFiles`] if they are not.
    pub fn check(&self, policy: &Policy) -> Result<(), BadFiles> {
        let copied = policy.replicate != Access::Nobody;
        match self {
            Self::Plain(_) if !copied => return Err(BadFiles::Plain),
            Self::Keyed(_) if copied => return Err(BadFiles::Keyed),
            Self::Plain(_) | Self::Keyed(_) => {}
        }
        if self.count() == 0 || self.count() > limits::FILES { Err(BadFiles::Count) } else { Ok(()) }
    }

    /// Returns whether `content` matches the files named here, by this key if given.
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

    /// Returns whether `file` is the published file at this index.
    pub fn is(&self, place: usize, file: &DataFile, key: Option<&FileKey>) -> bool {
        match (self, key) {
            (Self::Plain(named), None) => named.published.get(place) == Some(file),
            (Self::Keyed(named), Some(key)) => named.published.get(place) == Some(&key.file(place, file)),
            _ => false,
        }
    }

    /// Returns the files with their plain hashes, if somebody may copy them.
    pub fn plain(&self) -> Option<&Content> {
        match self {
            Self::Plain(content) => Some(content),
            Self::Keyed(_) => None,
        }
    }

    /// Iterates over the published files: table of its rows, name, and size in bytes if somebody may copy them.
    pub fn published(&self) -> impl Iterator<Item = (Option<&str>, &str, Option<u64>)> {
        let (plain, keyed) = match self {
            Self::Plain(content) => (&content.published[..], &[][..]),
            Self::Keyed(content) => (&[][..], &content.published[..]),
        };
        let plain = plain.iter().map(|file| (file.table.as_deref(), file.name.as_str(), Some(file.bytes)));
        plain.chain(keyed.iter().map(|file| (file.table.as_deref(), file.name.as_str(), None)))
    }

    /// Returns the number of published files.
    pub fn count(&self) -> usize {
        self.published().count()
    }

    /// Returns the total size of the published files in bytes, if somebody may copy them.
    pub fn bytes(&self) -> Option<u64> {
        let content = self.plain()?;
        Some(content.published.iter().fold(0, |sum, file| sum.saturating_add(file.bytes)))
    }
}

#[cfg(test)]
mod tests;
