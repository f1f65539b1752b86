//! The buyer's side: signs, sends, and verifies everything before a number is shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_exchange::{Address, Endpoint, ask, bind_reaching, listening_for};
use tidegate_protocol::{
    ContentHash, Countersignature, Envelope, Identity, Sha256Digest, Signed,
    frame::{Opening, Reply, Request},
    manifest::FileKey,
};

pub use crate::buyer::{
    offers::Offer,
    question::Asking,
    verified::{Verified, verify},
};
use crate::{
    NodeError,
    buyer::{offers, results::Results},
    error::Unverified,
    home::Home,
    unexpected,
};

/// A buyer's end of the network.
#[derive(Debug)]
pub struct Buyer {
    identity: Identity,
    endpoint: Endpoint,
    /// Grant shown to peers when asking for listings and mock rows, which not everybody may see.
    grant: String,
    /// Store of the questions and their answers.
    pub(crate) kept: Option<Results>,
    /// How long to retry while a node is busy or gone.
    pub(crate) patience: Duration,
}

/// Generates a request id.
pub fn fresh_request() -> Result<String, NodeError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(NodeError::Entropy)?;
    Ok(hex::encode(random))
}

/// Returns the seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

impl Buyer {
    /// Binds an endpoint of the party at `home` able to reach `to`.
    ///
    /// # Errors
    /// [`NodeError::Net`].
    pub async fn bind(home: &Home, to: &Address) -> Result<Self, NodeError> {
        Self::bind_to(home, std::slice::from_ref(to)).await
    }

    /// Binds an endpoint able to reach all of `to`.
    ///
    /// # Errors
    /// [`NodeError::Net`]; [`NodeError::Nowhere`] if one of them has no address and this party does not look up keys.
    pub async fn bind_to(home: &Home, to: &[Address]) -> Result<Self, NodeError> {
        let (identity, reach) = (home.identity()?, home.reach()?);
        let nowhere = to.iter().find(|to| to.sockets.is_empty() && to.relay.is_none());
        if let Some(nowhere) = nowhere.filter(|_| !reach.finds()) {
            return Err(NodeError::Nowhere { peer: nowhere.peer });
        }
        let endpoint = bind_reaching(&identity, &listening_for(to), &reach).await?;
        Ok(Self { kept: Some(Results::of(home)), ..Self::over(identity, endpoint) })
    }

    /// Builds a buyer over an endpoint of this identity.
    pub fn over(identity: Identity, endpoint: Endpoint) -> Self {
        Self { identity, endpoint, grant: String::new(), kept: None, patience: Duration::ZERO }
    }

    /// Sets how long to retry while a node is busy or gone. Retries send the same job, which is charged once.
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

    /// Sets the grant to show in requests for listings and for mock rows.
    pub fn showing(self, grant: impl Into<String>) -> Self {
        Self { grant: grant.into(), ..self }
    }

    /// Returns the datasets offered by a peer. Each must be signed by the peer, or by an owner who leases the peer a part of the
    /// budget.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn offers(&self, to: &Address) -> Result<Vec<Offer>, NodeError> {
        let Reply::Listings(listings) = self.ask(to, &Request::Listings { grant: self.grant.clone() }, &[]).await? else {
            return Err(unexpected("listings"));
        };
        offers::opened(listings, &to.peer)
    }

    /// Returns whether a peer answers for an owner, judging by the leases of the datasets offered there to everybody.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn answers_for(&self, to: &Address, owner: &str) -> Result<bool, NodeError> {
        let asking = Self::over(self.identity.clone(), self.endpoint.clone());
        Ok(asking.offers(to).await?.iter().any(|offer| offer.owner().did() == owner))
    }

    /// Returns the newest version of the dataset with this name, or the version with this id.
    ///
    /// # Errors
    /// [`NodeError::NoSuchDataset`] listing the peer's datasets that answer.
    pub async fn offer(&self, to: &Address, name: &str) -> Result<Offer, NodeError> {
        offers::chosen(self.offers(to).await?, name)
    }

    /// Requests the key that names a dataset's files where nobody may copy them; for a party that may hold the dataset.
    pub(crate) async fn file_key(&self, owner: &Address, dataset: ContentHash, grant: &str) -> Result<FileKey, NodeError> {
        match self.ask(owner, &Request::FileKey { dataset, grant: grant.to_owned() }, &[]).await? {
            Reply::FileKey(key) => Ok(key),
            _ => Err(unexpected("a key")),
        }
    }

    pub(crate) async fn ask(&self, to: &Address, request: &Request, attachment: &[u8]) -> Result<Reply, NodeError> {
        match ask(&self.endpoint, to, request, attachment).await? {
            Reply::Refused(refusal) => Err(NodeError::Refused(refusal.received())),
            reply => Ok(reply),
        }
    }

    /// Checks that the peer is reachable, with one short request.
    ///
    /// # Errors
    /// [`NodeError::Net`] if it is not.
    pub async fn ping(&self, to: &Address) -> Result<(), NodeError> {
        ask(&self.endpoint, to, &Request::Catalogue { ids: vec![] }, &[]).await?;
        Ok(())
    }

    /// Reads a file of a peer's receipt log.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn log_file(&self, to: &Address, path: &str) -> Result<Vec<u8>, NodeError> {
        let Reply::LogFile(text) = self.ask(to, &Request::LogFile { path: path.into() }, &[]).await? else {
            return Err(unexpected("a log file"));
        };
        STANDARD.decode(text).map_err(|e| NodeError::Unverified(Unverified::Base64(e)))
    }

    /// Has the owner log this party's possession of a result and its receipt. Returns the log entry's index and the signed
    /// statement.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason.
    pub async fn countersign(&self, to: &Address, verified: &Verified) -> Result<(u64, Envelope), NodeError> {
        let receipt = Sha256Digest::of(&verified.delivery.receipt.to_canonical()?);
        let word = Signed::sign(Countersignature { version: 1, outcome: verified.index, receipt }, &self.identity)?;
        let word = word.envelope().clone();
        match self.ask(to, &Request::Countersign { word: word.clone() }, &[]).await? {
            Reply::Logged(index) => Ok((index, word)),
            _ => Err(unexpected("the entry's place in its log")),
        }
    }

    /// Requests everything needed to run the job of the receipt at `entry` again.
    ///
    /// # Errors
    /// [`NodeError::Refused`] if policy or grant does not allow that.
    pub async fn opening(&self, to: &Address, entry: u64, grant: &str) -> Result<Opening, NodeError> {
        let Reply::Opened(opening) = self.ask(to, &Request::Replay { entry, grant: grant.into() }, &[]).await? else {
            return Err(unexpected("an opened receipt"));
        };
        Ok(*opening)
    }

    /// Closes the endpoint cleanly.
    pub async fn close(self) {
        self.endpoint.close().await;
    }
}
