//! What comes with a job (a component, a model, public tables), kept from its charge until it is done.

use std::sync::Arc;

use tidegate_files as files;
use tidegate_protocol::{ContentHash, Job, Refusal, Signed};

use super::{Provider, unavailable};

impl Provider {
    /// Keeps what comes with a job until it is done, so that a restart can finish it.
    pub(super) async fn keep_program(&self, job: &Signed<Job>, bytes: Option<Arc<Vec<u8>>>) -> Result<(), Refusal> {
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

    /// Lets go of what came with a job that is done, or was not paid for.
    pub(super) fn drop_program(&self, job: &ContentHash) {
        if let Err(e) = std::fs::remove_file(self.home.program(job))
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("what came with job {job} stays: {e}");
        }
    }
}
