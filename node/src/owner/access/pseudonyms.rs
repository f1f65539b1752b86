//! Parties' names in the owner's log: their keys, or salted commitments if the policy wants these. This module opens them to
//! auditors.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tidegate_files::read_given_text;
use tidegate_protocol::{
    PeerId, Sha256Digest, limits,
    policy::{Names, Policy},
    receipt::Party,
};

use crate::{
    NodeError,
    error::Unverified,
    file_error, gone,
    home::Home,
    owner::access::salts::{PARTIES, Salts},
};

/// A commitment and its opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Name of the party in the log.
    pub party: Party,
    /// Key of the party.
    pub key: PeerId,
    /// Salt of the commitment.
    pub salt: Sha256Digest,
}

/// Parties' names in an owner's log.
pub(crate) struct Parties {
    home: Home,
    salts: Salts,
    /// Parties whose keys are recorded for opening their commitments.
    noted: Mutex<BTreeSet<PeerId>>,
}

/// Derives the salt of a party, which differs between parties and is the same in all of the owner's log.
fn salt(salts: &Salts, peer: &PeerId) -> Sha256Digest {
    Sha256Digest(salts.of(&format!("party {}", peer.did())))
}

/// Opens the salts. They are never made anew if parties have names already.
fn salts(home: &Home, noted: &BTreeSet<PeerId>) -> Result<Salts, NodeError> {
    let path = home.path().join(PARTIES);
    if !noted.is_empty() && !path.exists() {
        return Err(gone(
            &path,
            ": the log's pseudonyms of parties depend on it, and with new pseudonyms buyers' caps would be counted anew. Restore it from a backup",
        ));
    }
    Salts::open(home, PARTIES)
}

fn read(home: &Home) -> Result<BTreeSet<PeerId>, NodeError> {
    let path = home.parties();
    match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        // A line that a crash cut short names nobody.
        text => Ok(text.map_err(|e| file_error(&path, e))?.lines().filter_map(|line| line.parse().ok()).collect()),
    }
}

impl Parties {
    pub(crate) fn open(home: &Home) -> Result<Self, NodeError> {
        let noted = read(home)?;
        Ok(Self { home: home.clone(), salts: salts(home, &noted)?, noted: Mutex::new(noted) })
    }

    /// Returns the name of `peer` in entries on data under `policy`, and records whose name this is.
    pub(crate) fn name(&self, policy: &Policy, peer: PeerId) -> Result<Party, NodeError> {
        if policy.parties == Names::Open {
            return Ok(peer.into());
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.contains(&peer) {
            let path = self.home.parties();
            let note = || -> std::io::Result<()> {
                let mut file =
                    std::fs::OpenOptions::new().create(true).append(true).mode(tidegate_files::FILE_MODE).open(&path)?;
                file.write_all(format!("\n{peer}\n").as_bytes())?;
                file.sync_all()
            };
            note().map_err(|e| file_error(&path, e))?;
            noted.insert(peer);
        }
        Ok(Party::hide(&peer, &salt(&self.salts, &peer)))
    }

    /// Returns the salt for opening the name of `peer`, if the name is a commitment.
    pub(crate) fn salt(&self, party: &Party, peer: &PeerId) -> Option<Sha256Digest> {
        matches!(party, Party::Hidden(_)).then(|| salt(&self.salts, peer))
    }
}

/// Returns the openings of all commitments in the owner's log.
///
/// # Errors
/// [`NodeError::Io`].
pub fn list(home: &Home) -> Result<Vec<Opened>, NodeError> {
    let noted = read(home)?;
    let salts = salts(home, &noted)?;
    let opened = |key: PeerId| {
        let salt = salt(&salts, &key);
        Opened { party: Party::hide(&key, &salt), key, salt }
    };
    Ok(noted.into_iter().map(opened).collect())
}

/// Reads the names opened by an owner to this auditor, from a file with an [`Opened`] per line.
///
/// # Errors
/// [`NodeError::Unverified`] naming a line whose salt does not open its name.
pub fn opened(path: &Path) -> Result<BTreeMap<Party, PeerId>, NodeError> {
    let text = read_given_text(path, limits::FRAME_BYTES as u64).map_err(|e| file_error(path, e))?;
    let mut names = BTreeMap::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || (path.to_owned(), i + 1);
        let Opened { party, key, salt } = serde_json::from_str(line).map_err(|source| {
            let (path, line) = at();
            Unverified::NameLine { path, line, source }
        })?;
        if Party::hide(&key, &salt) != party {
            let (path, line) = at();
            return Err(Unverified::NameSalt { path, line }.into());
        }
        names.insert(party, key);
    }
    Ok(names)
}

impl Home {
    /// Returns the path of the record of parties whom the log names by commitments.
    pub fn parties(&self) -> PathBuf {
        self.path().join("parties")
    }
}
