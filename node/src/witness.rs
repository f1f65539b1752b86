//! Witness node for others' logs, over iroh and over HTTP. Visits owners with known addresses, and tells other witnesses what it
//! saw.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tidegate_audit::{
    evidence::Evidence,
    note::{BadNote, Note, Verifier},
};
use tidegate_exchange::{
    Handler,
    gossip::{Heard, Swarm},
    web::{Answer, Cosigner},
};
use tidegate_ledger::{
    observed::{Heard as Heads, Told},
    witness::{NotCosigned, Witness},
};
use tidegate_protocol::{
    Code, PeerId, Refusal,
    frame::{Reply, Request},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Address, NodeError,
    auditor::{forks, source},
    client::Buyer,
    error::Unverified,
    home::Home,
};

/// Interval between visits to owners with known addresses.
const LOOK: Duration = Duration::from_secs(10);

/// A witness as run by a party.
#[derive(Debug, Clone)]
pub struct WitnessNode {
    home: Home,
    witness: Arc<Witness>,
    heard: Arc<Heads>,
    /// Signals a new checkpoint.
    changed: watch::Sender<()>,
}

impl WitnessNode {
    /// Opens the witness of the party at `home`, for `logs`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn open(home: Home, logs: Vec<Verifier>) -> Result<Self, NodeError> {
        let witness = Witness::open(&home.path().join("witness"), &home.identity()?, logs)?;
        Ok(Self { home, witness: Arc::new(witness), heard: Arc::default(), changed: watch::Sender::new(()) })
    }

    /// Returns the witness's verifier key.
    pub fn vkey(&self) -> String {
        self.witness.verifier().vkey()
    }

    /// Saves evidence of a fork, and reports the fork to the witness's party.
    fn report(&self, e: &NotCosigned) {
        match e {
            NotCosigned::Forked(fork) => self.keep(&fork.evidence),
            NotCosigned::Failed(e) => tracing::error!("{e}"),
            other => tracing::debug!("not cosigned: {other}"),
        }
    }

    fn keep(&self, evidence: &Evidence) {
        match forks::keep(&self.home, evidence) {
            Ok(path) => tracing::error!("{} has forked: the evidence is in {}", evidence.log, path.display()),
            Err(e) => tracing::error!("cannot store the evidence of a fork: {e}"),
        }
    }

    async fn add(&self, body: String) -> Result<String, NotCosigned> {
        let node = self.clone();
        let added = tokio::task::spawn_blocking(move || {
            let added = node.witness.add(&body, SystemTime::now());
            added.map(|line| line.line()).inspect(|_| node.changed.send_replace(())).inspect_err(|e| node.report(e))
        });
        added.await.unwrap_or_else(|e| Err(NotCosigned::Failed(std::io::Error::other(e))))
    }

    /// Visits an owner's log and cosigns a checkpoint that extends the previous one. Only those who ask get the cosignature.
    ///
    /// # Errors
    /// [`NodeError`] if the owner cannot be reached or the log does not extend the previous checkpoint.
    pub fn look(&self, buyer: &Buyer, owner: &Address) -> Result<Note, NodeError> {
        let mut fetch = source::peer(buyer, owner);
        let text = String::from_utf8(fetch("checkpoint")?).map_err(|_| BadNote("the checkpoint is not UTF-8".into()))?;
        let note = Note::parse(&text)?;
        let met = self.witness.meet(note, &mut fetch, SystemTime::now()).inspect_err(|e| self.report(e));
        met.map_err(Unverified::NotCosigned)?;
        self.changed.send_replace(());
        let log = Verifier::log(&owner.peer);
        let last = self.witness.last(&log.name);
        if let Some(last) = &last
            && let Some(evidence) = self.heard.settle(&log, last, &mut fetch)
        {
            self.keep(&evidence);
        }
        Ok(last.ok_or(Unverified::OtherLog)?)
    }
}

impl WitnessNode {
    /// Visits an owner's log at intervals, for as long as the future is run.
    pub async fn watch(self, buyer: Buyer, owner: Address) {
        loop {
            if let Err(e) = self.look(&buyer, &owner) {
                tracing::warn!("{owner}: {e}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Time for which successive checkpoints are gathered: only the last is announced.
const GATHER: Duration = Duration::from_millis(250);
/// Pause before rejoining gossip after falling behind.
const REJOIN: Duration = Duration::from_secs(2);
/// Interval at which the last checkpoint is announced again.
const REMIND: Duration = Duration::from_secs(60);

impl WitnessNode {
    /// Announces cosigned checkpoints of `log` to its other witnesses, and hears theirs, for as long as the future is run.
    ///
    /// # Errors
    /// [`NodeError::Net`].
    pub async fn gossip(self, swarm: Swarm, log: Verifier, with: Vec<Address>) -> Result<(), NodeError> {
        let (mut teller, mut listener) = swarm.join(&log.name, &with).await?;
        let (mut changed, mut told) = (self.changed.subscribe(), None);
        loop {
            let again = tokio::select! {
                heard = listener.next() => match heard {
                    Some(Heard::Message(message)) => {
                        self.hear(&log, &message);
                        continue;
                    }
                    Some(Heard::Neighbour) => true,
                    // A peer that sends more than others can follow must not end this.
                    None => {
                        tokio::time::sleep(REJOIN).await;
                        (teller, listener) = swarm.join(&log.name, &with).await?;
                        true
                    }
                },
                _ = changed.changed() => false,
                () = tokio::time::sleep(REMIND) => true,
            };
            tokio::time::sleep(GATHER).await;
            let Some(last) = self.witness.last(&log.name) else { continue };
            if again || told.as_ref() != Some(&last.text) {
                if let Err(e) = teller.tell(last.to_text().into_bytes()).await {
                    tracing::debug!("{e}");
                }
                told = Some(last.text);
            }
        }
    }

    fn hear(&self, log: &Verifier, message: &[u8]) {
        let Ok(text) = std::str::from_utf8(message) else { return };
        match self.heard.hear(log, text, self.witness.last(&log.name).as_ref()) {
            Ok(Told::Fork(evidence)) => self.keep(&evidence),
            Ok(Told::New | Told::Known) => {}
            // Anybody may send anything.
            Err(e) => tracing::debug!("heard: {e}"),
        }
    }
}

impl Cosigner for WitnessNode {
    fn add_checkpoint(&self, body: String) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            match self.add(body).await {
                Ok(text) => Answer { status: 200, text },
                Err(e) => {
                    let text = e.size().map_or_else(|| format!("{e}\n"), |size| format!("{size}\n"));
                    Answer { status: e.status(), text }
                }
            }
        })
    }
}

impl Handler for WitnessNode {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Err(Refusal::new(Code::BadRequest, "a witness accepts no attachment"))
    }

    /// Returns whether `peer` owns a log witnessed by this node.
    fn knows(&self, peer: PeerId, _: &Request) -> bool {
        self.witness.is_of(&Verifier::log(&peer).name)
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        request: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            match request {
                Request::AddCheckpoint { body } => match self.add(body).await {
                    Ok(lines) => Reply::Cosigned(lines),
                    Err(e) => match e.size() {
                        Some(size) => Reply::Conflict { size },
                        None => Reply::Refused(Refusal::new(code(&e), e.to_string())),
                    },
                },
                Request::LastCheckpoint { origin } => {
                    let last = self.witness.last(&origin).map(|note| self.heard.with_cosignatures(&origin, note));
                    Reply::LastCheckpoint(last.map(|note| note.to_text()))
                }
                _ => Reply::Refused(Refusal::new(Code::NotFound, "this node is a witness, not an owner")),
            }
        })
    }
}

fn code(e: &NotCosigned) -> Code {
    match e {
        NotCosigned::Unknown { .. } => Code::NotFound,
        NotCosigned::Failed(_) => Code::Unavailable,
        _ => Code::BadRequest,
    }
}
