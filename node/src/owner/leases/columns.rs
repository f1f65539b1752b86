//! Fetching of columns missing here, for jobs over a dataset held for its owner.

use tidegate_exchange::Endpoint;
use tidegate_protocol::{Code, Refusal, frame::Request};

use crate::owner::{Provider, unavailable, versions::InForce};
use crate::{NodeError, client::Buyer, owner::leases::sparse_file::Sparse};

impl Provider {
    /// Checks whether the files, or the parts fetched so far, are as published.
    pub(in crate::owner) async fn unchanged(&self, dataset: InForce<'_>) -> Result<(), Refusal> {
        let (sparse, proven, dataset) = (self.sparse(dataset), self.proven.clone(), dataset.dataset().clone());
        // Files that are being fetched change from one moment to the next.
        let _still = if sparse.is_some() { Some(self.holdings.bringing.lock().await) } else { None };
        let checking = tokio::task::spawn_blocking(move || match sparse {
            Some(sparse) => sparse.check_unchanged(),
            None => Ok(proven.check(&dataset)?),
        });
        checking.await.map_err(unavailable)?.map_err(|e| {
            tracing::error!("{e}");
            Refusal::new(Code::Unavailable, "the dataset's files differ from the published files: no job runs on them")
                .at("dataset")
                .fix("Nothing was charged. Tell the owner: the node's log has the file's name")
        })
    }

    /// Returns the dataset's [`Sparse`] files if only columns of the files are here.
    fn sparse(&self, dataset: InForce<'_>) -> Option<Sparse> {
        if self.is_own(dataset) { None } else { self.held(&dataset.population()).ok()?.sparse(&dataset.record().content) }
    }

    /// Fetches the columns missing here for a job, and returns whether there were any.
    pub(in crate::owner) async fn bring_columns(&self, dataset: InForce<'_>, reads: &[String]) -> Result<bool, Refusal> {
        let Some(sparse) = self.sparse(dataset) else { return Ok(false) };
        let _one = self.holdings.bringing.lock().await;
        let lacking = sparse.lacking(reads).map_err(unavailable)?;
        if lacking.is_empty() {
            return Ok(false);
        }
        let held = self.held(&dataset.manifest().body().population).map_err(unavailable)?;
        let gone = |e: NodeError| {
            tracing::warn!("columns of {}: {e}", dataset.manifest().body().name);
            Refusal::new(
                Code::Unavailable,
                "the columns that this job reads are not here yet, and could not be fetched from the dataset's owner",
            )
            .fix("Try again later, or send the job to the owner")
        };
        let buyer = self.holdings.buyer.get().ok_or_else(|| unavailable("there is no network yet"))?;
        let permission = Request::Replicate { dataset: dataset.id(), grant: held.place.grant.clone() };
        let owner = held.owner().map_err(unavailable)?;
        sparse.fetch(self.home.path(), buyer, &owner, &permission, &lacking).await.map_err(gone)?;
        tracing::info!("fetched columns {} of {}", lacking.join(", "), dataset.manifest().body().name);
        Ok(true)
    }

    /// Sets the endpoint over which owners are reached.
    pub(in crate::owner) fn reach_owners(&self, endpoint: Endpoint) {
        drop(self.holdings.buyer.set(Buyer::over(self.identity.clone(), endpoint)));
    }
}
