//! Files that a party has of its own, and that must be those that a manifest names: who holds a dataset, or runs a receipt's job again.

use std::path::{Path, PathBuf};

use tidegate_catalog::dataset;
use tidegate_protocol::{
    manifest::{DataFile, FileKey, Manifest},
    policy::Policy,
};

use crate::NodeError;

/// A dataset's published files where this party has them.
pub(crate) struct Given {
    /// As [`dataset::tables`] takes them.
    pub(crate) paths: Vec<PathBuf>,
    /// As they are, in the manifest's order.
    pub(crate) files: Vec<DataFile>,
}

impl Given {
    /// The dataset's files in `folder`, each of which is the one that the manifest names, by the key where nobody may copy them.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] naming the file that is another; [`NodeError::File`] where one is not there.
    pub(crate) fn of(
        (manifest, policy): (&Manifest, &Policy),
        key: Option<&FileKey>,
        folder: &Path,
        report: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, NodeError> {
        let mut given = Self { paths: Vec::new(), files: Vec::new() };
        for (place, (table, name, _)) in manifest.files.published().enumerate() {
            let mut path = folder.to_owned();
            path.extend(table.iter().chain([&name]));
            report(&format!("hashing {name}"));
            let found = dataset::describe(&path, |_| {}).map_err(|e| {
                NodeError::File(format!(
                    "{e}. --data is a folder with the files of this very version, as `tidegate fetch` leaves them"
                ))
            })?;
            let found = DataFile { name: name.to_owned(), table: table.map(str::to_owned), ..found };
            if !manifest.files.is(place, &found, key) {
                return Err(NodeError::Unverified(format!("{} is not the file that was published", path.display())));
            }
            given.paths.push(match table {
                Some(table) if !policy.tables.is_empty() => PathBuf::from(format!("{table}={}", path.display())),
                _ => path,
            });
            given.files.push(found);
        }
        Ok(given)
    }
}
