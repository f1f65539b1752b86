//! Which version of a dataset answers a request.

use tidegate_protocol::{ContentHash, Job, Refusal, Signed, frame::Published, receipt::JobFacts};

use crate::{
    mirror::seal,
    owner::{Provider, refusals::unavailable, versions::InForce},
};

impl Provider {
    /// Returns a version in force, under its governing policy.
    pub(in crate::owner) fn in_force(&self, id: &ContentHash) -> Result<InForce<'_>, Refusal> {
        self.versions.in_force(&self.store, id)
    }

    /// Returns the version named by a job, if the job may have an answer.
    ///
    /// The version must be in force; if it was superseded or retired since, the job's own result that was paid for may still
    /// leave, and nothing else of a retired version.
    pub(in crate::owner) fn asked_of(&self, job: &Signed<Job>) -> Result<InForce<'_>, Refusal> {
        let id = &job.body().dataset;
        self.in_force(id).or_else(|refusal| {
            let kept = self.versions.paid_for(id).ok_or_else(|| refusal.clone())?;
            let known = self.store.job(&self.party(kept, job.signer())?, &job.body().request).map_err(unavailable)?;
            let done = known.is_some_and(|known| known.facts.job == job.id() && known.state != tidegate_ledger::State::Reserved);
            if done { Ok(kept) } else { Err(refusal) }
        })
    }

    /// Returns the version of a receipt for replays, under its own policy and the newest.
    pub(in crate::owner) fn replayed(&self, facts: &JobFacts) -> Result<(InForce<'_>, Published), Refusal> {
        self.versions.replayed(facts)
    }

    /// Checks again whether the version is in force, and withdraws its files if not.
    pub(in crate::owner) fn still_in_force(&self, dataset: InForce<'_>) -> Result<(), Refusal> {
        self.in_force(&dataset.id()).map(drop).inspect_err(|_| self.withdraw(&dataset.population(), Some(&dataset.id())))
    }

    /// Stops sending the files of a retired version or lineage to anybody.
    pub(in crate::owner) fn withdraw(&self, population: &ContentHash, manifest: Option<&ContentHash>) {
        let mut files = self.versions.files(population, manifest);
        let sealed = seal::latest(&self.home, population).inspect_err(|e| tracing::error!("{e}")).ok().flatten();
        let sealed = sealed.filter(|sealed| manifest.is_none_or(|id| sealed.body().manifest == *id));
        files.extend(sealed.iter().flat_map(|sealed| sealed.body().all()).map(|file| file.hash));
        self.served.access().forget(&files);
    }
}
