//! A dataset version: its files, its schema, its unit and its place in a population.

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, Envelope, Signed,
    about::About,
    dsse::{BadDocument, Document},
    policy::Policy,
};

mod file;
mod files;

pub use file::{ColumnType, DataFile, Layout, ROW_TABLE};
pub use files::{BadFiles, Content, FileKey, Files, KeyedContent, KeyedFile};

/// A dataset version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub version: u32,
    /// The name the owner gave.
    pub name: String,
    /// What people are told of it, in words.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// The population: id of the lineage's first manifest draft. The budget hangs on it.
    pub population: ContentHash,
    /// The manifest this one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContentHash>,
    /// The files.
    pub files: Files,
    /// The visible columns and the unit column.
    pub schema: Vec<ColumnType>,
    /// Mock rows that may be shared freely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<DataFile>,
    /// Id of the policy document in force at publication.
    pub policy: ContentHash,
    /// Public key that signs grants (a key of its own).
    pub grant_key: String,
    /// Random bytes, hexadecimal: the log has the manifest's hash, also where not everybody may see it, and none is found by trying what may be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// When it was published, RFC 3339.
    pub published: String,
}

/// A fresh [`Manifest::salt`].
///
/// # Errors
/// When the operating system has no entropy.
#[cfg(feature = "random")]
pub fn salt() -> Result<String, getrandom::Error> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt)?;
    Ok(hex::encode(salt))
}

impl Document for Manifest {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.manifest.v1+json";
    const SHOWN: bool = true;
}

/// A manifest and a policy are no version of a dataset.
#[derive(Debug, thiserror::Error)]
pub enum BadVersion {
    /// One of the two is not signed, or is of another form.
    #[error(transparent)]
    Document(#[from] BadDocument),
    /// Each is another's.
    #[error("manifest and policy do not belong together")]
    Apart,
    /// The manifest says more of its files than the policy allows, or less than it takes.
    #[error("manifest field {0}")]
    Files(#[from] BadFiles),
}

/// Opens a version's manifest and its policy: one party signed both, the one names the other, and files are named as the policy wants it.
///
/// # Errors
/// [`BadVersion`].
pub fn open(manifest: Envelope, policy: Envelope) -> Result<(Signed<Manifest>, Signed<Policy>), BadVersion> {
    let (manifest, policy) = (Signed::<Manifest>::open(manifest)?, Signed::<Policy>::open(policy)?);
    if manifest.signer() != policy.signer() || manifest.body().policy != policy.id() {
        return Err(BadVersion::Apart);
    }
    manifest.body().files.check(policy.body())?;
    Ok((manifest, policy))
}
