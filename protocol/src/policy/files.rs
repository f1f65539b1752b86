//! `[files]`: public bound on the size of files that nobody may copy.

use serde::{Deserialize, Serialize};

use super::{Access, BadPolicy, bad};

/// Largest bound on a file's size, in MiB.
const MOST_MIB: u64 = 1 << 30;

/// Rules for the published files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRules {
    /// Public upper bound on the size of each file in bytes, if nobody may copy the files; never a true size.
    ///
    /// Listings state it in place of sizes, and files encrypted for mirrors are padded to it. Without it no size is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

impl FileRules {
    /// Returns whether all rules have their defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a file of `bytes` bytes may be published.
    pub fn fits(&self, bytes: u64) -> bool {
        self.max_bytes.is_none_or(|most| bytes <= most)
    }

    /// Returns the bound on the size of `count` files together, in bytes, if there is a bound.
    pub fn total(&self, count: usize) -> Option<u64> {
        self.max_bytes.map(|most| most.saturating_mul(count as u64))
    }
}

/// `[files]` of the file.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesFile {
    /// Maximum size of each file in MiB.
    pub max_mib: Option<u64>,
}

impl FilesFile {
    pub(super) fn check(self, replicate: Access, mirror: Access) -> Result<FileRules, BadPolicy> {
        if self.max_mib.is_some_and(|mib| !(1..=MOST_MIB).contains(&mib)) {
            return Err(bad("files.max_mib", "is 0, or too large", format!("Write 1 to {MOST_MIB}, or leave it away")));
        }
        if self.max_mib.is_some() && replicate != Access::Nobody {
            return Err(bad(
                "files.max_mib",
                "is given, and somebody may copy the files: the manifest has their exact sizes",
                "Leave it away, or write access.replicate = \"nobody\"",
            ));
        }
        if self.max_mib.is_none() && replicate == Access::Nobody && mirror != Access::Nobody {
            return Err(bad(
                "files.max_mib",
                "is not given: mirrors would see from the rows how large files are that nobody may copy",
                "Write a public bound on each file, or access.mirror = \"nobody\"",
            ));
        }
        Ok(FileRules { max_bytes: self.max_mib.map(|mib| mib << 20) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max_mib: Option<u64>, replicate: Access, mirror: Access) -> Result<FileRules, String> {
        FilesFile { max_mib }.check(replicate, mirror).map_err(|e| e.field)
    }

    #[test]
    fn a_bound_is_for_files_that_nobody_may_copy_and_needed_for_mirrors() {
        use Access::{Granted, Nobody};
        let bound = |max_bytes| Ok::<_, String>(FileRules { max_bytes });
        let refused = || Err::<FileRules, _>("files.max_mib".to_owned());
        assert_eq!(check(None, Nobody, Nobody), bound(None));
        assert_eq!(check(Some(64), Nobody, Nobody), bound(Some(64 << 20)));
        assert_eq!(check(Some(64), Nobody, Granted), bound(Some(64 << 20)));
        assert_eq!(check(None, Granted, Granted), bound(None));
        assert_eq!(check(None, Nobody, Granted), refused());
        assert_eq!(check(Some(64), Granted, Nobody), refused());
        assert_eq!((check(Some(0), Nobody, Nobody), check(Some(MOST_MIB + 1), Nobody, Nobody)), (refused(), refused()));
        assert!(check(Some(MOST_MIB), Nobody, Nobody).is_ok());
    }

    #[test]
    fn a_bound_is_the_largest_size() {
        let (none, some) = (FileRules::default(), FileRules { max_bytes: Some(1 << 20) });
        assert!(none.fits(u64::MAX) && some.fits(1 << 20) && !some.fits((1 << 20) + 1));
        assert_eq!((none.total(3), some.total(3)), (None, Some(3 << 20)));
    }
}
