//! Witnesses of the owner's log.
//!
//! Each new checkpoint is sent to them, and their cosignatures are published with it. A ledger older than what they saw is not
//! served from.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use tidegate_audit::note::{Checkpoint, Note, NoteSignature, Quorum, Verifier, checkpoint, cosignature};
use tidegate_exchange::{Address, Endpoint, ask, web::Web};
use tidegate_files as files;
use tidegate_ledger::{Store, StoreError, witness::AddCheckpoint};
use tidegate_protocol::{
    Code, PeerId, Refusal,
    frame::{Reply, Request},
    policy::WitnessRule,
};
use tokio::sync::Mutex;

use crate::{NodeError, corrupt, file_error, home::Home, owner::unavailable};

/// Maximum time a result waits for the cosignatures required by its policy.
const WAIT: Duration = Duration::from_secs(20);
/// Pause before witnesses are asked again after a missing cosignature.
const PAUSE: Duration = Duration::from_secs(2);
/// Maximum time for the answer of a single witness.
const EACH: Duration = Duration::from_secs(8);

/// A witness and its place: `VKEY@did:key:…@ip:port`, or `VKEY@http://…` if the witness speaks C2SP's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Key of the witness.
    pub verifier: Verifier,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Peer(Address),
    Web(String),
}

impl FromStr for Known {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write a witness as VKEY@did:key:…@ip:port or VKEY@http://…".to_owned();
        let (key, place) = text.trim().split_once('@').ok_or_else(form)?;
        let verifier = Verifier::parse(key).map_err(|e| e.to_string())?;
        let place = match place.starts_with("http://") || place.starts_with("https://") {
            true => Place::Web(place.to_owned()),
            false => Place::Peer(place.parse().map_err(|_| form())?),
        };
        Ok(Self { verifier, place })
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Peer(address) => address.to_string(),
            Place::Web(url) => url.clone(),
        };
        write!(f, "{}@{place}", self.verifier.vkey())
    }
}

/// Answer of a witness to a checkpoint.
enum Said {
    Cosigned(String),
    Holds(u64),
}

/// The witnesses of a node.
pub(in crate::owner) struct Witnesses {
    known: Vec<Known>,
    endpoint: OnceLock<Endpoint>,
    web: Web,
    /// Log sizes held by the witnesses, as far as known; locked while a checkpoint is sent round.
    holds: Mutex<HashMap<String, u64>>,
    /// Earliest time to ask again after a missing cosignature.
    again: Mutex<Option<Instant>>,
    /// Reason why nothing is served any more.
    stopped: OnceLock<(String, String)>,
}

/// Adds the witnesses named `now` to the witnesses remembered in `home`, and returns all of them.
///
/// # Errors
/// Returns [`NodeError::Corrupt`] naming a line that is not a witness.
pub fn remembered(home: &Home, now: &[Known]) -> Result<Vec<Known>, NodeError> {
    let path = home.witnesses();
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|e| file_error(&path, e))?,
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let mut known = lines.map(|line| line.parse::<Known>().map_err(|e| corrupt(&path, e))).collect::<Result<Vec<_>, _>>()?;
    for one in now {
        // The same witness at another place has moved.
        known.retain(|other| other.verifier != one.verifier);
        known.push(one.clone());
    }
    if !now.is_empty() {
        let lines: String = known.iter().map(|one| format!("{one}\n")).collect();
        files::write(&path, lines).map_err(|e| file_error(&path, e))?;
    }
    Ok(known)
}

/// Returns the quorum required by a policy.
pub(crate) fn quorum(rule: &WitnessRule) -> Result<Quorum, tidegate_audit::note::BadNote> {
    let witnesses = rule.keys.iter().map(|key| Verifier::parse(key)).collect::<Result<_, _>>()?;
    Quorum::of(witnesses, rule.quorum as usize)
}

impl Witnesses {
    pub(in crate::owner) fn of(known: Vec<Known>) -> Result<Self, NodeError> {
        let (endpoint, holds, again, stopped) = Default::default();
        Ok(Self { known, endpoint, web: Web::new()?, holds, again, stopped })
    }

    pub(in crate::owner) fn connect(&self, endpoint: Endpoint) {
        drop(self.endpoint.set(endpoint));
    }

    /// Returns a refusal if this node must not serve.
    pub(in crate::owner) fn stopped(&self) -> Result<(), Refusal> {
        match self.stopped.get() {
            None => Ok(()),
            Some(_) => Err(Refusal::new(
                Code::Unavailable,
                "the owner's node is inconsistent with its witnesses; the owner's log has details",
            )),
        }
    }

    async fn peer(&self, address: &Address, request: &Request) -> Result<Reply, String> {
        let endpoint = self.endpoint.get().ok_or("the node is not bound yet")?;
        ask(endpoint, address, request, &[]).await.map_err(|e| e.to_string())
    }

    /// Returns the last checkpoint of this log held by a witness, if the witness tells.
    async fn last(&self, known: &Known, origin: &str) -> Result<Option<Note>, String> {
        let Place::Peer(address) = &known.place else { return Ok(None) };
        match self.peer(address, &Request::LastCheckpoint { origin: origin.into() }).await? {
            Reply::LastCheckpoint(text) => text.map(|text| Note::parse(&text)).transpose().map_err(|e| e.to_string()),
            _ => Err("unexpected reply".into()),
        }
    }

    async fn bring(&self, known: &Known, body: String) -> Result<Said, String> {
        match &known.place {
            Place::Peer(address) => match self.peer(address, &Request::AddCheckpoint { body }).await? {
                Reply::Cosigned(lines) => Ok(Said::Cosigned(lines)),
                Reply::Conflict { size } => Ok(Said::Holds(size)),
                Reply::Refused(refusal) => Err(refusal.received().to_string()),
                _ => Err("unexpected reply".into()),
            },
            Place::Web(url) => {
                let answer = self.web.add_checkpoint(url, body).await.map_err(|e| e.to_string())?;
                match (answer.status, answer.text.trim().parse()) {
                    (200, _) => Ok(Said::Cosigned(answer.text)),
                    (409, Ok(size)) => Ok(Said::Holds(size)),
                    (status, _) => Err(format!("status {status}: {}", answer.text.chars().take(200).collect::<String>())),
                }
            }
        }
    }

    /// Compares this log with the checkpoints seen by all witnesses, before anything is served.
    ///
    /// # Errors
    /// Returns [`NodeError::Store`] if a witness saw more entries than there are here, or another history. A witness that does
    /// not answer is skipped and named in the node's log.
    pub(in crate::owner) async fn meet(&self, store: &Store) -> Result<(), NodeError> {
        let log = Verifier::log(&store.owner());
        for known in &self.known {
            let seen = match tokio::time::timeout(EACH, self.last(known, &log.name)).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(why)) => {
                    tracing::warn!("the witness {} does not answer: {why}. Its view of this log is unknown", known.verifier.name);
                    continue;
                }
                Err(_) => {
                    tracing::warn!(
                        "the witness {} does not answer in time. Its view of this log is unknown",
                        known.verifier.name
                    );
                    continue;
                }
            };
            let Some(note) = seen else { continue };
            // Only what the log's key signed counts against the log.
            let seen = checkpoint::open(&note, &log)?;
            store.meet(&seen)?;
            self.holds.lock().await.insert(known.verifier.name.clone(), seen.size);
        }
        // Witnesses that do not tell are asked to cosign, even if known here to have cosigned: that may have been long ago.
        self.bring_to_all(store).await;
        match self.stopped.get() {
            None => Ok(()),
            Some((witness, why)) => Err(NodeError::Witness { witness: witness.clone(), why: why.clone() }),
        }
    }

    /// Sends the newest checkpoint to all witnesses if a cosignature is missing.
    pub(in crate::owner) async fn push(&self, store: &Store) {
        let (size, Ok(last)) = (store.published(), store.last_cosigned()) else { return };
        let all = |note: &Note| self.known.iter().all(|known| note.signatures.iter().any(|s| s.name == known.verifier.name));
        if self.known.is_empty() || last.is_some_and(|(head, note)| head.size == size && all(&note)) {
            return;
        }
        if self.again.lock().await.is_none_or(|again| again <= Instant::now()) {
            self.bring_to_all(store).await;
        }
    }

    /// Sends the newest checkpoint to all witnesses and publishes their cosignatures.
    async fn bring_to_all(&self, store: &Store) {
        let mut holds = self.holds.lock().await;
        let note = match store.checkpoint() {
            Ok(note) => note,
            Err(e) => return tracing::error!("{e}"),
        };
        let Ok(head) = Checkpoint::of_text(&note.text) else { return };
        let mut lines = Vec::new();
        // All at once, so that no witness waits for a slow one.
        let asked = self.known.iter().map(|known| {
            let held = holds.get(&known.verifier.name).copied().unwrap_or(0);
            tokio::time::timeout(EACH, self.one(store, known, &note, head.size, held))
        });
        let said = futures_util::future::join_all(asked).await;
        for (known, said) in self.known.iter().zip(said) {
            let name = &known.verifier.name;
            match said {
                Ok(Ok(line)) => {
                    holds.insert(name.clone(), head.size);
                    lines.push(line);
                }
                Ok(Err(why)) => tracing::warn!("the witness {name} did not cosign {} entries: {why}", head.size),
                Err(_) => tracing::warn!("the witness {name} did not answer in time"),
            }
        }
        let complete = lines.len() == self.known.len();
        *self.again.lock().await = (!complete).then(|| Instant::now() + PAUSE);
        if !lines.is_empty()
            && let Err(e) = store.cosigned(note, lines)
        {
            tracing::error!("{e}");
        }
    }

    async fn one(&self, store: &Store, known: &Known, note: &Note, size: u64, held: u64) -> Result<NoteSignature, String> {
        let mut old = held;
        for _ in 0..3 {
            let proof = store.consistency(old, size).map_err(|e| e.to_string())?;
            let body = AddCheckpoint { old, proof, note: note.clone() }.to_body();
            match self.bring(known, body).await? {
                Said::Cosigned(lines) => {
                    let lines = lines.lines().filter_map(|line| NoteSignature::parse(line).ok());
                    let mut ours = lines.filter(|line| cosignature::check(&known.verifier, line, &note.text).is_ok());
                    return ours.next().ok_or_else(|| "its cosignature is invalid".into());
                }
                Said::Holds(seen) if seen > size => {
                    // It may hold a checkpoint sent a moment ago.
                    let here = store.size().map_err(|e| e.to_string())?;
                    if seen > here {
                        self.stop(known, &StoreError::Behind { seen, here });
                    }
                    return Err(format!("it has observed {seen} entries"));
                }
                Said::Holds(seen) if seen == old => {
                    self.stop(known, &StoreError::Forked { size: seen });
                    return Err("it has observed another history of the same size".into());
                }
                Said::Holds(seen) => old = seen,
            }
        }
        Err("it reports a different size each time".into())
    }

    /// Stops serving because of a witness's answer.
    ///
    /// There is only the witness's word for it: the owner chose this witness and is told which one it was.
    fn stop(&self, known: &Known, why: &StoreError) {
        let witness = known.verifier.name.clone();
        tracing::error!("serving stops, because the witness {witness} reports: {why}");
        drop(self.stopped.set((witness, why.to_string())));
    }

    /// Waits until the policy's quorum of witnesses has cosigned a checkpoint with entry `index`.
    ///
    /// # Errors
    /// Returns [`Code::Unavailable`] if they have not done so in time: the result is kept and may be asked for again.
    pub(in crate::owner) async fn cosigned(&self, store: &Store, rule: &WitnessRule, index: u64) -> Result<(), Refusal> {
        let quorum = quorum(rule).map_err(unavailable)?;
        let until = SystemTime::now() + WAIT;
        loop {
            let last = store.last_cosigned().map_err(unavailable)?;
            let enough = last.is_some_and(|(head, note)| index < head.size && quorum.check(&note, SystemTime::now()).is_ok());
            self.stopped()?;
            if enough {
                return Ok(());
            }
            if SystemTime::now() > until {
                let message = format!("fewer than {} of the policy's witnesses have cosigned the receipt", quorum.least);
                return Err(Refusal::new(Code::Unavailable, message).fix("The result is stored: send the same job again"));
            }
            self.push(store).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Returns whether a party's own key is among a policy's witnesses: no log witnesses itself.
pub(crate) fn is_own(rule: &WitnessRule, owner: &PeerId) -> bool {
    rule.keys.iter().filter_map(|key| Verifier::parse(key).ok()).any(|w| w.key == *owner || w.name.ends_with(&owner.did()))
}
