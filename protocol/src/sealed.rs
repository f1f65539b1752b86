//! A dataset version as held by mirrors: a list of encrypted files.
//!
//! It tells a mirror their number and sizes, and nothing of their content.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, dsse::Document, limits};

/// An encrypted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    /// BLAKE3 of the encrypted bytes, as mirrors hold them.
    pub hash: ContentHash,
    /// Size in bytes.
    pub bytes: u64,
}

/// A dataset version, encrypted (<https://age-encryption.org/v1>) to the key of its lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Version of this format.
    pub version: u32,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Id of the manifest.
    pub manifest: ContentHash,
    /// Public key with which a mirror verifies grants.
    pub grant_key: String,
    /// Time of encryption, RFC 3339. The latest of a lineage counts.
    pub issued: String,
    /// Index of the encrypted files: signed manifest and policy, themselves encrypted ([`crate::frame::Published`], JSON).
    pub index: SealedFile,
    /// The manifest's files, in its order.
    pub files: Vec<SealedFile>,
}

impl Document for Sealed {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.sealed.v1+json";
}

impl Sealed {
    /// Validates the document.
    ///
    /// # Errors
    /// Returns the name of the first bad field.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.version != 1 {
            return Err("version");
        }
        if self.files.is_empty() || self.files.len() > limits::FILES {
            return Err("files");
        }
        if self.index.bytes > limits::INDEX_BYTES {
            return Err("index");
        }
        self.issued.parse::<jiff::Timestamp>().map(|_| ()).map_err(|_| "issued")
    }

    /// Returns the time of encryption, in nanoseconds since 1970, to order documents by.
    pub fn order(&self) -> i128 {
        self.issued.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_nanosecond).unwrap_or_default()
    }

    /// Iterates over every file, the index first.
    pub fn all(&self) -> impl Iterator<Item = &SealedFile> {
        std::iter::once(&self.index).chain(&self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_bounds() {
        let file = SealedFile { hash: ContentHash::of(b"f"), bytes: 5 };
        let good = Sealed {
            version: 1,
            population: ContentHash::of(b"p"),
            manifest: ContentHash::of(b"m"),
            grant_key: "00".into(),
            issued: "2026-01-01T00:00:00Z".into(),
            index: file,
            files: vec![file],
        };
        assert_eq!(good.check(), Ok(()));
        assert_eq!(Sealed { version: 2, ..good.clone() }.check(), Err("version"));
        assert_eq!(Sealed { files: vec![], ..good.clone() }.check(), Err("files"));
        assert_eq!(Sealed { files: vec![file; limits::FILES + 1], ..good.clone() }.check(), Err("files"));
        let index = SealedFile { bytes: limits::INDEX_BYTES + 1, ..file };
        assert_eq!(Sealed { index, ..good.clone() }.check(), Err("index"));
        assert_eq!(Sealed { issued: "soon".into(), ..good.clone() }.check(), Err("issued"));
        let later = Sealed { issued: "2026-01-01T00:00:00.000000001Z".into(), ..good.clone() };
        assert!(later.order() > good.order());
    }
}
