//! Disclosure of a dataset's file key to peers that may hold the dataset.
//!
//! Files that nobody may copy are named by keyed hashes. The disclosure is logged first: whoever has all of a file but one value,
//! and the key, can try which value it is.

use std::time::SystemTime;

use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal,
    frame::Reply,
    grant::{Action, Ask, Authority},
    receipt::Predicate,
};

use crate::owner::{Provider, access::access_log::now};

impl Provider {
    /// Sends `peer` the dataset's file key, under a grant issued to `peer` itself.
    pub(in crate::owner) async fn file_key(&self, peer: PeerId, dataset: ContentHash, token: &str) -> Result<Reply, Refusal> {
        let none = |why: &str| Refusal::new(Code::NotFound, why).at("dataset");
        let dataset = Some(self.in_force(&dataset)?).filter(|dataset| self.is_own(*dataset));
        let dataset = dataset.ok_or_else(|| none("no such dataset is published here"))?;
        if dataset.policies().1.is_some() {
            let refusal = none("another version is in force");
            return Err(refusal.fix("Run `tidegate hold begin` for that version, and restart the node"));
        }
        let population = dataset.population();
        let Authority { ids: grant_ids, holder, .. } =
            self.authorize(dataset, peer, token, &Ask::of(Action::Hold, SystemTime::now()))?;
        if holder != peer {
            return Err(Refusal::new(Code::NotGranted, "only a holder named by the owner gets the key").at("grant"));
        }
        let key = dataset.record().file_key.clone().ok_or_else(|| none("its files have plain hashes, which need no key"))?;
        if !self.fetched.take(holder) {
            return Err(Refusal::new(Code::Busy, "the limit of keys and copies per hour is reached").fix("Ask again later"));
        }
        let told = Predicate::Copy {
            peer: self.party(dataset, peer)?,
            holder: None,
            sealed: false,
            key: true,
            manifest: dataset.id(),
            population,
            grant_ids: grant_ids.clone(),
            time: now(),
        };
        self.log("dataset manifest".into(), dataset.manifest().envelope().payload_sha256(), told).await?;
        self.still_good(dataset, &grant_ids)?;
        self.still_in_force(dataset)?;
        Ok(Reply::FileKey(key))
    }
}
