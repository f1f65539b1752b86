//! Self-checks of a node: whether its ledger can be written, and whether the data files match what was published.
//!
//! The files are read at the start, daily, and after a worker broke, because a damaged file breaks a worker as a hostile program
//! does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_catalog::dataset::DataError;
use tidegate_protocol::ContentHash;

use crate::owner::{
    Provider,
    jobs::{admit::AdmittedJob, schedule},
};
use crate::owner::{
    jobs::{failure_meter::Meter, quarantine},
    spool,
};

/// Interval between full reads of all files.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Provider {
    /// Reads the files of this owner's datasets now and every day.
    ///
    /// A file that is not what was published is reported to the owner, and no job runs on it from then on.
    pub async fn tend_files(self: Arc<Self>) {
        loop {
            let own = self.versions.answering(&self.store).filter(|dataset| self.is_own(*dataset));
            for dataset in own.map(|dataset| dataset.dataset().clone()).collect::<Vec<_>>() {
                let proven = self.proven.clone();
                let (name, read) = (
                    dataset.manifest.body().name.clone(),
                    tokio::task::spawn_blocking(move || proven.check_content(&dataset)).await,
                );
                match read {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => tracing::error!("{name}: rejecting its jobs: {e}"),
                    Err(e) => tracing::error!("{name}: {e}"),
                }
            }
            tokio::time::sleep(DAY).await;
        }
    }

    /// Waits until the ledger can no longer be written, for example because the disk is full.
    ///
    /// No job could then be charged or answered until the ledger is opened anew.
    pub async fn ledger_failed(&self) {
        while !self.store.has_failed() {
            tokio::time::sleep(spool::LOOK).await;
        }
    }

    /// Reads a job's files again because its worker broke, after the job is settled at its public time.
    ///
    /// However many jobs break their workers, only a small part of the time is spent on reading files. If they are damaged,
    /// neither the program nor its buyer is at fault: the quarantine entry `set_apart` and the counted failure are removed.
    pub(in crate::owner) fn suspect_files(&self, admitted: &AdmittedJob<'_>, meter: &Meter, set_apart: Option<ContentHash>) {
        if !self.is_own(admitted.dataset) {
            return;
        }
        let (proven, dataset) = (self.proven.clone(), admitted.dataset.dataset().clone());
        let (home, meter, job, end) = (self.home.clone(), meter.clone(), admitted.job.id(), admitted.slot_end());
        tokio::spawn(async move {
            schedule::until(schedule::settled(end)).await;
            let settled = Instant::now();
            loop {
                let rest = proven.rest(&dataset, settled);
                if rest.is_zero() {
                    break;
                }
                tokio::time::sleep(rest).await;
            }
            let read = tokio::task::spawn_blocking(move || proven.check_since(&dataset, settled)).await;
            let Ok(Err(e @ DataError::Changed { .. })) = read else { return };
            tracing::error!("job {job} crashed a worker because of a damaged file, and is not at fault: {e}");
            let back = set_apart.map_or(Ok(()), |id| quarantine::lift(&home, &id.to_string()).map(drop));
            for failed in [back, meter.take_back(&job)].into_iter().filter_map(Result::err) {
                tracing::error!("{failed}");
            }
        });
    }
}
