//! Salts of the log's commitments. They are derived from separate secrets, files in the owner's folder: the owner's key opens
//! nothing, and once such a file is gone, nobody ever will.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _};

use crate::{NodeError, file_error, gone, home::Home};

/// Secret from which salts are derived.
#[derive(Clone)]
pub(crate) struct Salts([u8; 32]);

/// File of the secret for sums committed to in receipts: removing the file makes these commitments final.
pub(crate) const SUMS: &str = "salts";
/// File of the secret for parties' names: must be kept, or a buyer would have a new name, and a fresh cap.
pub(crate) const PARTIES: &str = "party-salts";

/// Returns 32 bytes of fresh randomness.
pub(crate) fn random() -> Result<[u8; 32], NodeError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(NodeError::Entropy)?;
    Ok(bytes)
}

impl Salts {
    /// Opens the secret in the file of this name of the party at `home`; creates the file if missing.
    pub(crate) fn open(home: &Home, name: &str) -> Result<Self, NodeError> {
        let path = home.path().join(name);
        let read = || -> std::io::Result<Option<Self>> {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let secret = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
                    secret.map(|secret| Some(Self(secret))).ok_or_else(|| std::io::Error::other("is not a secret for salts"))
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e),
            }
        };
        if let Some(salts) = read().map_err(|e| file_error(&path, e))? {
            return Ok(salts);
        }
        let (secret, made) = (random()?, home.path().join(format!("{name}.{}.new", std::process::id())));
        let make = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&made)?;
            file.write_all(hex::encode(secret).as_bytes())?;
            file.sync_all()?;
            // Never overwrites a file that another process made meanwhile.
            let linked = fs::hard_link(&made, &path);
            fs::remove_file(&made)?;
            match linked {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
                _ => fs::File::open(home.path())?.sync_all(),
            }
        };
        make().map_err(|e| file_error(&path, e))?;
        read().map_err(|e| file_error(&path, e))?.ok_or_else(|| gone(&path, ""))
    }

    /// Derives the salt for a `purpose`.
    pub(crate) fn of(&self, purpose: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, purpose.as_bytes()).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_the_same_and_each_purpose_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let (one, two) = (Salts::open(&home, SUMS).unwrap(), Salts::open(&home, SUMS).unwrap());
        assert_eq!(one.of("a"), two.of("a"));
        assert_ne!(one.of("a"), one.of("b"));
        fs::remove_file(dir.path().join("salts")).unwrap();
        assert_ne!(Salts::open(&home, SUMS).unwrap().of("a"), one.of("a"), "what was committed to is opened by nobody now");
        fs::write(dir.path().join("salts"), "half").unwrap();
        assert!(Salts::open(&home, SUMS).is_err(), "damaged ones are not made anew in silence");
    }
}
