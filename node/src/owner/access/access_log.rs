//! Accesses other than jobs, each logged before it happens.
//!
//! These are copies, parts of files, jobs turned away, and the owner's own statements.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tidegate_catalog::dataset::pieces;
use tidegate_exchange::blobs::ByteRange;
use tidegate_files as files;
use tidegate_ledger::{Store, StoreError};
use tidegate_protocol::{
    Code, ContentHash, Countersignature, Envelope, Identity, Job, PeerId, Refusal, Sha256Digest, Signed,
    frame::{Piece, Reply},
    grant::{Action, Ask, Authority},
    limits,
    policy::Policy,
    receipt::{
        Party, Predicate, Statement,
        entry::{Ending, Turned},
    },
};

use crate::owner::{Provider, access::authorize::Shown, not_logged, unavailable};
use crate::{NodeError, home::Home, owner::spool};

/// Maximum time a starting node waits for a command using the ledger.
const MOMENT: Duration = Duration::from_secs(5);

/// Opens the owner's store, waiting for a moment while a command has the store open.
pub(in crate::owner) async fn open_store(home: &Home, identity: &Identity) -> Result<Store, NodeError> {
    let until = Instant::now() + MOMENT;
    loop {
        match Store::open(home.path(), identity.clone()) {
            Err(StoreError::InUse) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return Ok(opened?),
        }
    }
}

pub(in crate::owner) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

impl Provider {
    /// Logs `predicate` durably.
    pub(in crate::owner) async fn log(&self, name: String, subject: Sha256Digest, predicate: Predicate) -> Result<u64, Refusal> {
        let store = self.store.clone();
        let logging = tokio::task::spawn_blocking(move || store.record(&name, subject, predicate));
        logging.await.map_err(unavailable)?.map_err(not_logged)
    }

    /// Carries out what the owner's commands leave for this node, until the future is dropped.
    pub async fn tend(self: Arc<Self>) {
        loop {
            let (home, store) = (self.home.clone(), self.store.clone());
            match tokio::task::spawn_blocking(move || spool::take(&home, &store)).await {
                Ok(Ok(words)) => {
                    for word in &words {
                        let spool::Word::Record { predicate, .. } = word else { continue };
                        match &**predicate {
                            Predicate::Revocation { grant } => self.served.access().revoke(grant),
                            Predicate::Retirement { population, manifest } => self.withdraw(population, manifest.as_ref()),
                            _ => continue,
                        }
                        self.lists.revised();
                    }
                }
                Ok(Err(e)) => tracing::error!("cannot log the owner's commands: {e}"),
                Err(e) => tracing::error!("{e}"),
            }
            self.burn_lost().await;
            // Witnesses that did not answer are asked again soon.
            self.witnesses.push(&self.store).await;
            tokio::time::sleep(spool::LOOK).await;
        }
    }

    /// Lets a peer fetch a dataset's files.
    pub(in crate::owner) async fn replicate(&self, peer: PeerId, dataset: ContentHash, token: &str) -> Result<Reply, Refusal> {
        let dataset = self.in_force(&dataset)?;
        if !self.is_own(dataset) {
            return Err(Refusal::new(Code::NotFound, "this node is a replica, and only the dataset's owner allows copies")
                .at("dataset")
                .fix("Ask the owner"));
        }
        let authority = self.authorize(dataset, peer, token, &Ask::of(Action::Replicate, SystemTime::now()))?;
        if !self.fetched.take(authority.holder) {
            return Err(Refusal::new(Code::Busy, "the limit of copies per hour is reached").fix("Ask again later"));
        }
        let manifest = dataset.manifest().body();
        let (id, population, party) = (dataset.id(), manifest.population, self.party(dataset, peer)?);
        let copy = Predicate::Copy {
            peer: party,
            holder: self.holder(dataset, peer, authority.holder)?,
            sealed: false,
            key: false,
            manifest: id,
            population,
            grant_ids: authority.ids.clone(),
            time: now(),
        };
        self.log("dataset manifest".into(), dataset.manifest().envelope().payload_sha256(), copy).await?;
        // The files that jobs read contain no more than the published files.
        self.let_fetch((peer, party), dataset.record().content.all().map(|f| f.hash), &authority);
        self.still_good(dataset, &authority.ids)?;
        self.still_in_force(dataset)?;
        Ok(Reply::Replicating)
    }

    /// Like [`Provider::replicate`], and returns the pieces of `file`.
    pub(in crate::owner) async fn pieces(
        &self,
        peer: PeerId,
        dataset: ContentHash,
        file: ContentHash,
        token: &str,
    ) -> Result<Reply, Refusal> {
        self.replicate(peer, dataset, token).await?;
        let dataset = self.in_force(&dataset)?;
        let files = dataset.record().files.iter().zip(&dataset.record().content.published);
        let none = || Refusal::new(Code::NotFound, "the dataset has no such file").at("file");
        let path = files.into_iter().find(|(_, of)| of.hash == file).map(|(path, _)| path.clone()).ok_or_else(none)?;
        let kept = self.home.pieces(&file);
        let _one = self.cutting.lock().await;
        let cut = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<Piece>> {
            if let Ok(bytes) = std::fs::read(&kept) {
                return Ok(serde_json::from_slice(&bytes)?);
            }
            // Too many pieces are stored as an empty list: then no piece is recognized as the same.
            let pieces = pieces::pieces(std::fs::File::open(path)?)?.unwrap_or_default();
            files::create_folder(kept.parent().unwrap_or(&kept))?;
            let new = kept.with_extension("new");
            files::write(&new, serde_json::to_vec(&pieces)?)?;
            std::fs::rename(new, kept)?;
            Ok(pieces)
        });
        cut.await.map_err(unavailable)?.map(Reply::Pieces).map_err(unavailable)
    }

    /// Lets `peer`, named `party` in the log, begin to fetch files for no longer than its authority allows.
    pub(in crate::owner) fn let_fetch(
        &self,
        (peer, party): (PeerId, Party),
        files: impl IntoIterator<Item = ContentHash>,
        by: &Authority,
    ) {
        let files: Vec<_> = files.into_iter().collect();
        let now = Instant::now();
        let offered = files.iter().map(|file| ((peer, *file), (party, now + limits::COPY_TIME)));
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).add(offered, now);
        self.served.access().allow(peer, files, by);
    }

    /// Returns the log's name for a peer fetching part of a file: the name at the time of the offer.
    fn party_of_fetch(&self, peer: PeerId, file: ContentHash) -> Option<Party> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).get(peer, file)
    }

    /// Returns the name and the ranges by which the public log refers to part of a file.
    ///
    /// These are the file's own if everybody may see a manifest that has its hash; otherwise the name is secret, and the log does
    /// not say which part.
    fn named_in_log(&self, file: ContentHash, ranges: Vec<ByteRange>) -> (ContentHash, Vec<ByteRange>) {
        let mut with = self.versions.with_file(&file).peekable();
        if with.peek().is_none() || with.any(Policy::shows_hashes) {
            return (file, ranges);
        }
        (ContentHash(self.salts.of(&format!("name of file {file}"))), vec![(0, None)])
    }

    /// Logs parts of files before they are sent, and returns whether they may be sent.
    pub(in crate::owner) async fn fetch_is_logged(&self, peer: PeerId, parts: Vec<(ContentHash, Vec<ByteRange>)>) -> bool {
        let mut fetches = Vec::with_capacity(parts.len());
        for (file, ranges) in parts {
            if !self.fetched.take(peer) {
                tracing::warn!("{peer} has reached the limit of logged fetches per hour and is rejected until the hour ends");
                return false;
            }
            let Some(party) = self.party_of_fetch(peer, file) else { return false };
            let (file, ranges) = self.named_in_log(file, ranges);
            let subject = Sha256Digest::of(file.to_string().as_bytes());
            let fetch = Predicate::Fetch { peer: party, file, ranges, time: now() };
            fetches.push(self.log(format!("file {file}"), subject, fetch));
        }
        // The entries wait for the disk together.
        futures_util::future::join_all(fetches).await.iter().all(Result::is_ok)
    }

    /// Logs a buyer's confirmation of having received a result and its receipt.
    pub(in crate::owner) async fn countersigned(&self, buyer: PeerId, word: Envelope) -> Result<u64, Refusal> {
        let bad = |why: &str| Refusal::new(Code::BadRequest, why).at("word");
        let word = Signed::<Countersignature>::open(word).map_err(|e| bad(&e.to_string()))?;
        let Countersignature { outcome, receipt, .. } = *word.body();
        let size = self.store.published();
        if outcome >= size || outcome.saturating_add(limits::COUNTERSIGN_WITHIN) <= size {
            return Err(bad("the entry is too old to be countersigned"));
        }
        let (envelope, _) = self.store.prove(outcome).map_err(unavailable)?;
        let digest = Sha256Digest::of(&envelope.to_canonical().map_err(unavailable)?);
        let statement = Signed::<Statement>::open(envelope).map_err(unavailable)?.into_body();
        let Predicate::Outcome { facts, outcome: Ending::Released, .. } = statement.predicate else {
            return Err(bad("the entry is not the receipt of a result"));
        };
        let is_buyers = facts.buyer.is(&buyer, self.parties.salt(&facts.buyer, &buyer).as_ref());
        if word.signer() != buyer || !is_buyers || receipt != digest || word.body().version != 1 {
            return Err(bad("the countersignature is not the buyer's, or is for another receipt"));
        }
        let signature = word.envelope().signatures.first().map(|s| s.sig.clone()).unwrap_or_default();
        let predicate = Predicate::Countersignature { buyer: facts.buyer, job: facts.job, outcome, signature };
        self.log(format!("receipt {outcome}"), digest, predicate).await
    }

    /// Turns away a buyer with more refusals within the hour than are logged.
    pub(in crate::owner) fn may_be_refused(&self, buyer: &PeerId) -> Result<(), Refusal> {
        if self.refused.left(buyer) {
            return Ok(());
        }
        let refusal = Refusal::new(Code::Busy, "this buyer has reached the limit of refused jobs per hour");
        Err(refusal.fix("Send it again later; `tidegate check` shows refusals beforehand"))
    }

    /// Logs the refusal of a job if the reason is the policy or a budget, and returns the refusal to send.
    pub(in crate::owner) async fn log_refusal(&self, job: &Signed<Job>, grant: Shown, refusal: Refusal) -> Refusal {
        let Some(outcome) = Turned::of(refusal.code) else { return refusal };
        let Ok(dataset) = self.in_force(&job.body().dataset) else { return refusal };
        if !self.refused.take(grant.holder) {
            return refusal;
        }
        let buyer = match self.party(dataset, job.signer()) {
            Ok(buyer) => buyer,
            Err(e) => return e,
        };
        let predicate = Predicate::Refusal {
            job: job.id(),
            buyer_signature: job.envelope().signatures.first().map(|s| s.sig.clone()).unwrap_or_default(),
            buyer,
            dataset: dataset.id(),
            policy: dataset.policies().0,
            grant_ids: grant.ids,
            outcome,
        };
        match self.log(format!("job {}", job.id()), job.envelope().payload_sha256(), predicate).await {
            Ok(_) => refusal,
            Err(e) => e,
        }
    }

    /// Returns the BLAKE3 hash of the executable that runs jobs.
    pub(in crate::owner) async fn build(&self) -> Result<ContentHash, Refusal> {
        let hash = || async {
            let program = self.workers.program();
            let hashed = tokio::task::spawn_blocking(move || {
                let mut hasher = blake3::Hasher::new();
                std::fs::File::open(program).and_then(|file| hasher.update_reader(file).map(|_| ()))?;
                Ok::<_, std::io::Error>(ContentHash(*hasher.finalize().as_bytes()))
            });
            hashed.await.map_err(unavailable)?.map_err(unavailable)
        };
        self.build.get_or_try_init(hash).await.copied()
    }
}
