//! Attachments of jobs (a component, a model, public tables), kept from the charge until the job is done.

use std::sync::Arc;

use tidegate_files as files;
use tidegate_protocol::{ContentHash, Job, Refusal, Signed};

use crate::owner::{Provider, unavailable};

impl Provider {
    /// Saves a job's attachment until the job is done, so a restart can finish the job.
    pub(in crate::owner) async fn keep_program(&self, job: &Signed<Job>, bytes: Option<Arc<Vec<u8>>>) -> Result<(), Refusal> {
        let Some(bytes) = bytes else { return Ok(()) };
        let (folder, path) = (self.home.programs(), self.home.program(&job.id()));
        let keep = move || -> std::io::Result<()> {
            files::create_folder(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            std::io::Write::write_all(&mut file, &bytes)?;
            file.as_file().sync_all()?;
            file.persist(path).map(|_| ()).map_err(|e| e.error)
        };
        tokio::task::spawn_blocking(keep).await.map_err(unavailable)?.map_err(unavailable)
    }

    /// Deletes the attachment of a job that is done or was not paid for.
    pub(in crate::owner) fn drop_program(&self, job: &ContentHash) {
        if let Err(e) = std::fs::remove_file(self.home.program(job))
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove the attachment of job {job}: {e}");
        }
    }
}
