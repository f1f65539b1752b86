//! The buyer's side: sign, send, and verify everything before a number is shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_catalog::note;
use tidegate_exchange::{Address, Endpoint, ask, bind_reaching, listening_for};
use tidegate_protocol::{
    ContentHash, Cost, Countersignature, Envelope, Identity, Job, Lease, PeerId, Sha256Digest, Signed,
    frame::{Delivery, Opening, Reply, Request},
    manifest::FileKey,
    receipt::{Predicate, Statement},
    result::ResultDoc,
};

use crate::{
    NodeError,
    answer::Answer,
    asking::answered,
    home::Home,
    jobfile::JobFile,
    offers::{self, answers_for},
    provider::witnesses::quorum,
    results::Results,
};
pub use crate::{asking::Asking, offers::Offer};

/// A result that was verified: signature, inclusion, and that receipt, result and job belong together.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The result.
    pub result: ResultDoc,
    /// Its bytes as the receipt names them.
    pub bytes: Vec<u8>,
    /// The delivery it came in.
    pub delivery: Delivery,
    /// The receipt's statement.
    pub receipt: Statement,
    /// Index of the receipt in the owner's log.
    pub index: u64,
    /// What is left for this buyer.
    pub remaining: Cost,
}

/// A buyer's end of the network.
#[derive(Debug)]
pub struct Buyer {
    identity: Identity,
    endpoint: Endpoint,
    /// What it shows where not everybody may see what there is.
    grant: String,
    /// Where what it asks and is given is kept.
    pub(crate) kept: Option<Results>,
    /// How long it asks again where a node is busy or gone.
    pub(crate) patience: Duration,
}

/// An id for a request.
pub fn fresh_request() -> Result<String, NodeError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|e| NodeError::File(e.to_string()))?;
    Ok(hex::encode(random))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

impl Buyer {
    /// Binds an endpoint of the party at `home` that can reach `to`.
    ///
    /// # Errors
    /// [`NodeError::Net`].
    pub async fn bind(home: &Home, to: &Address) -> Result<Self, NodeError> {
        Self::bind_to(home, std::slice::from_ref(to)).await
    }

    /// Binds one that can reach all of these.
    ///
    /// # Errors
    /// [`NodeError::Net`]; [`NodeError::File`] where one of them is a key that nobody looks up.
    pub async fn bind_to(home: &Home, to: &[Address]) -> Result<Self, NodeError> {
        let (identity, reach) = (home.identity()?, home.reach()?);
        let nowhere = to.iter().find(|to| to.sockets.is_empty() && to.relay.is_none());
        if let Some(nowhere) = nowhere.filter(|_| !reach.finds()) {
            return Err(NodeError::File(format!(
                "where {} is, is not known, and this party looks nobody up: give its address, or `tidegate network --local on`",
                nowhere.peer
            )));
        }
        let endpoint = bind_reaching(&identity, &listening_for(to), &reach).await?;
        Ok(Self { kept: Some(Results::of(home)), ..Self::over(identity, endpoint) })
    }

    /// Over an endpoint of this identity's.
    pub fn over(identity: Identity, endpoint: Endpoint) -> Self {
        Self { identity, endpoint, grant: String::new(), kept: None, patience: Duration::ZERO }
    }

    /// Asks again for so long where a node is busy or gone, with the same job, which is charged once.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn grant(&self) -> &str {
        &self.grant
    }

    /// Shows this grant where it asks what there is, and for mock rows.
    pub fn showing(self, grant: impl Into<String>) -> Self {
        Self { grant: grant.into(), ..self }
    }

    /// The datasets a peer offers; each must be signed by that peer, or by an owner who leases it a part of the budget.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn offers(&self, to: &Address) -> Result<Vec<Offer>, NodeError> {
        let Reply::Listings(listings) = self.ask(to, &Request::Listings { grant: self.grant.clone() }, &[]).await? else {
            return Err(NodeError::Unverified("the peer answered something else than listings".into()));
        };
        offers::opened(listings, &to.peer)
    }

    /// Whether a peer answers for an owner, as the leases show that it offers datasets by to everybody.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn answers_for(&self, to: &Address, owner: &str) -> Result<bool, NodeError> {
        let asking = Self::over(self.identity.clone(), self.endpoint.clone());
        Ok(asking.offers(to).await?.iter().any(|offer| offer.owner().did() == owner))
    }

    /// The newest version of the dataset of this name, or the version of this id.
    ///
    /// # Errors
    /// [`NodeError::File`] naming what the peer offers that answers.
    pub async fn offer(&self, to: &Address, name: &str) -> Result<Offer, NodeError> {
        offers::chosen(self.offers(to).await?, name)
    }

    /// What a dataset's files are named with, where nobody may copy them: for who may hold it.
    pub(crate) async fn file_key(&self, owner: &Address, dataset: ContentHash, grant: &str) -> Result<FileKey, NodeError> {
        match self.ask(owner, &Request::FileKey { dataset, grant: grant.to_owned() }, &[]).await? {
            Reply::FileKey(key) => Ok(key),
            _ => Err(NodeError::Unverified("the peer answered something else than a key".into())),
        }
    }

    pub(crate) async fn ask(&self, to: &Address, request: &Request, attachment: &[u8]) -> Result<Reply, NodeError> {
        match ask(&self.endpoint, to, request, attachment).await? {
            Reply::Refused(refusal) => Err(NodeError::Refused(refusal.received())),
            reply => Ok(reply),
        }
    }

    /// Signs and sends a job, and verifies what comes back. `request` makes a retry of the same job the same job.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason; [`NodeError::Unverified`] when anything does not hold.
    pub async fn run(
        &self,
        to: &Address,
        file: &JobFile,
        grant: &str,
        request: Option<String>,
        created: Option<i64>,
    ) -> Result<(Offer, Verified, Option<Answer>), NodeError> {
        let asking = self.prepare(to, file, grant, request, created).await?;
        let verified = self.send(to, &asking).await?;
        let answer = answered(file, &asking.offer, &verified.result).await;
        Ok((asking.offer, verified, answer))
    }

    /// Whether the peer is there: one short question and its answer.
    ///
    /// # Errors
    /// [`NodeError::Net`] where it is not.
    pub async fn ping(&self, to: &Address) -> Result<(), NodeError> {
        ask(&self.endpoint, to, &Request::Catalogue { ids: vec![] }, &[]).await?;
        Ok(())
    }

    /// One file of a peer's receipt log.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn log_file(&self, to: &Address, path: &str) -> Result<Vec<u8>, NodeError> {
        let Reply::LogFile(text) = self.ask(to, &Request::LogFile { path: path.into() }, &[]).await? else {
            return Err(NodeError::Unverified("the peer answered something else than a log file".into()));
        };
        STANDARD.decode(text).map_err(|e| NodeError::Unverified(e.to_string()))
    }

    /// Has the owner log that this party has a result and its receipt: the entry that says so, and this party's signed word.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason.
    pub async fn countersign(&self, to: &Address, verified: &Verified) -> Result<(u64, Envelope), NodeError> {
        let receipt = Sha256Digest::of(&verified.delivery.receipt.to_canonical()?);
        let word = Signed::sign(Countersignature { version: 1, outcome: verified.index, receipt }, &self.identity)?;
        let word = word.envelope().clone();
        match self.ask(to, &Request::Countersign { word: word.clone() }, &[]).await? {
            Reply::Logged(index) => Ok((index, word)),
            _ => Err(NodeError::Unverified("the peer answered something else than where its log says so".into())),
        }
    }

    /// What it takes to run the job of the receipt at `entry` again.
    ///
    /// # Errors
    /// [`NodeError::Refused`] where policy or grant does not allow it.
    pub async fn opening(&self, to: &Address, entry: u64, grant: &str) -> Result<Opening, NodeError> {
        let Reply::Opened(opening) = self.ask(to, &Request::Replay { entry, grant: grant.into() }, &[]).await? else {
            return Err(NodeError::Unverified("the peer answered something else than an opened receipt".into()));
        };
        Ok(*opening)
    }

    /// Closes the endpoint in good order.
    pub async fn close(self) {
        self.endpoint.close().await;
    }
}

/// Checks that a delivery is what `owner` (of the log: whoever answered) owes for `job` under the policy of this `offer`: receipt signed and in the log, cosigned by as many as the policy says, result as
/// the receipt names it, job, buyer and cost ours.
///
/// # Errors
/// [`NodeError::Unverified`] naming what does not hold.
pub fn verify(delivery: Delivery, owner: &PeerId, job: &Signed<Job>, offer: &Offer) -> Result<Verified, NodeError> {
    let wrong = |what: &str| Err(NodeError::Unverified(what.to_owned()));
    // An earlier job of our own, which asked the same.
    let earlier = delivery.earlier.clone().map(Signed::<Job>::open).transpose();
    let earlier = earlier.map_err(|e| NodeError::Unverified(format!("the earlier job: {e}")))?;
    let nothing = ContentHash([0; 32]);
    if earlier
        .as_ref()
        .is_some_and(|e| e.signer() != job.signer() || e.body().question(&nothing, None) != job.body().question(&nothing, None))
    {
        return wrong("the earlier job is not ours, or asked something else");
    }
    let job = earlier.as_ref().unwrap_or(job);
    let bytes = STANDARD.decode(&delivery.result).map_err(|e| NodeError::Unverified(e.to_string()))?;
    let entry = delivery.receipt.to_canonical()?;
    let receipt = tidegate_catalog::audit::open_entry(&entry, owner)
        .map_err(|(rule, detail)| NodeError::Unverified(format!("receipt: {rule}: {detail}")))?;
    let proven = note::check_proof(&delivery.proof, &entry, owner)?;
    let index = proven.index;
    if let Some(rule) = &offer.then().witnesses {
        quorum(rule)?.check(&proven.note, SystemTime::now())?;
    }
    let Predicate::Outcome { facts, .. } = &receipt.predicate else { return wrong("the receipt is no outcome") };
    if receipt.subject[0].digest.sha256 != Sha256Digest::of(&bytes) {
        return wrong("the receipt is for another result");
    }
    if facts.job != job.id()
        || !facts.buyer.is(&job.signer(), delivery.buyer_salt.as_ref())
        || facts.dataset != job.body().dataset
    {
        return wrong("the receipt is for another job");
    }
    let lease = delivery.lease.clone().map(Signed::<Lease>::open).transpose()?;
    let elsewhere = offer.owner() != *owner;
    if facts.lease.is_some() != elsewhere
        || (elsewhere && facts.lease != lease.as_ref().map(Signed::id))
        || !answers_for(owner, &offer.owner(), lease.as_ref(), &facts.dataset)
    {
        return wrong("the receipt is not charged to a lease that the dataset's owner gave to who answered");
    }
    let newest = offer.newest.as_ref().map(Signed::id);
    // One that answers no further job answered by itself, or under a policy that is not the newest's any more: audits hold that against the log.
    if facts.policy != offer.policy.id() || (offer.answers() && facts.policy_newest != newest) {
        return wrong("the receipt names another policy than the one that was offered");
    }
    if facts.ledger.cost != job.body().cost {
        return wrong("the receipt charges another cost than was signed");
    }
    let result: ResultDoc = serde_json::from_slice(&bytes).map_err(|e| NodeError::Unverified(e.to_string()))?;
    if result.job != job.id() || result.cost != job.body().cost {
        return wrong("the result is for another job");
    }
    if result.rows.iter().any(|r| r.key.len() != result.keys.len() || r.cells.len() != result.columns.len()) {
        return wrong("the result's rows do not fit its columns");
    }
    let remaining = delivery.remaining;
    Ok(Verified { result, bytes, receipt, index, remaining, delivery })
}
