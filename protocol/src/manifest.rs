//! A dataset version: its files, its schema, its privacy unit and its dataset lineage.

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
    /// Name given by the owner.
    pub name: String,
    /// Human-readable description.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// Dataset lineage: id of its first manifest draft. The privacy budget belongs to the lineage.
    pub population: ContentHash,
    /// Manifest of the previous version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContentHash>,
    /// The files.
    pub files: Files,
    /// The visible columns and the unit column.
    pub schema: Vec<ColumnType>,
    /// Mock rows, which may be shared freely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<DataFile>,
    /// Id of the policy document in force at publication.
    pub policy: ContentHash,
    /// Public key for signing grants, separate from the owner's key.
    pub grant_key: String,
    /// Random bytes, hexadecimal.
    ///
    /// The log has the manifest's hash, even if not everybody may see the manifest; the salt keeps the contents from being found
    /// by trial hashing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Time of publication, RFC 3339.
    pub published: String,
}

/// Draws a fresh [`Manifest::salt`].
///
/// # Errors
/// Returns an error if the operating system has no entropy.
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

/// Error for a manifest and a policy that do not form a valid version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadVersion {
    /// Manifest or policy is not signed, or has another form.
    #[error(transparent)]
    Document(#[from] BadDocument),
    /// The two documents have different signers, or the manifest names another policy.
    #[error("the manifest names another policy")]
    Apart,
    /// The manifest discloses more about its files than the policy allows, or less than it requires.
    #[error("manifest field {0}")]
    Files(#[from] BadFiles),
}

/// Opens a version's manifest and policy.
///
/// It checks that one party signed both, the manifest names the policy, and files are named as the policy requires.
///
/// # Errors
/// Returns [`BadVersion`] if they are not a valid version.
pub fn open(manifest: Envelope, policy: Envelope) -> Result<(Signed<Manifest>, Signed<Policy>), BadVersion> {
    let (manifest, policy) = (Signed::<Manifest>::open(manifest)?, Signed::<Policy>::open(policy)?);
    if manifest.signer() != policy.signer() || manifest.body().policy != policy.id() {
        return Err(BadVersion::Apart);
    }
    manifest.body().files.check(policy.body())?;
    Ok((manifest, policy))
}
