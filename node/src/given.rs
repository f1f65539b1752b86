//! Files already on this machine, checked against a manifest: to hold a dataset, or to run a receipt's job again.

use std::path::Path;

use tidegate_catalog::dataset::{self, TableFiles};
use tidegate_protocol::{
    manifest::{DataFile, FileKey, Manifest},
    policy::Policy,
};

use crate::{NodeError, error::Unverified};

/// A dataset's published files in a folder of this party's.
pub(crate) struct Given {
    /// Files by table, in the policy's order.
    pub(crate) tables: Vec<TableFiles>,
    /// Descriptions of the files as found, in the manifest's order.
    pub(crate) files: Vec<DataFile>,
}

impl Given {
    /// Finds the dataset's files in `folder` and checks each against the manifest, with the key where nobody may copy them.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] naming a file that differs; [`NodeError::NotGiven`] if one is missing.
    pub(crate) fn of(
        (manifest, policy): (&Manifest, &Policy),
        key: Option<&FileKey>,
        folder: &Path,
        report: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, NodeError> {
        let mut given = Self { tables: Vec::new(), files: Vec::new() };
        for (place, (table, name, _)) in manifest.files.published().enumerate() {
            let mut path = folder.to_owned();
            path.extend(parts(table, name)?);
            report(&format!("hashing {name}"));
            let found = dataset::describe(&path, |_| {}).map_err(NodeError::NotGiven)?;
            let found = DataFile { name: name.to_owned(), table: table.map(str::to_owned), ..found };
            if !manifest.files.is(place, &found, key) {
                return Err(Unverified::OtherFile { path }.into());
            }
            let table = table.filter(|_| !policy.tables.is_empty()).map(str::to_owned);
            if given.tables.last().is_none_or(|last| last.table != table) {
                given.tables.push(TableFiles { table, ..TableFiles::default() });
            }
            if let Some(last) = given.tables.last_mut() {
                last.files.push(path);
                last.names.push(name.to_owned());
            }
            given.files.push(found);
        }
        Ok(given)
    }
}

/// Splits the path of a manifest's file into folders and name. No path leads out of its folder, whatever the manifest says.
///
/// # Errors
/// [`NodeError::Unverified`] for a name that would.
pub(crate) fn parts<'a>(table: Option<&'a str>, name: &'a str) -> Result<Vec<&'a str>, NodeError> {
    let parts: Vec<&str> = table.into_iter().chain(name.split('/')).collect();
    let bad = |part: &&str| part.is_empty() || part.contains(['/', '\\', '\0']) || part.starts_with('.');
    if parts.len() > DEEP || parts.iter().any(bad) {
        return Err(Unverified::FileName { name: name.to_owned() }.into());
    }
    Ok(parts)
}

/// Maximum number of parts of a path.
const DEEP: usize = 32;
