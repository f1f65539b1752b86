//! What is asked: a signed job with the version that it is asked of, and what its query makes of the result.

use tidegate_protocol::{Job, Signed, result::ResultDoc};

use crate::{answer::Answer, check, jobfile::JobFile, offers::Offer};

/// A job that can be sent.
#[derive(Debug)]
pub struct Asking {
    /// What it is asked of.
    pub offer: Offer,
    /// The signed job.
    pub job: Signed<Job>,
    /// What goes with it.
    pub(crate) sent: Vec<u8>,
    /// The grant that is shown.
    pub(crate) grant: String,
}

impl Asking {
    /// What is asked, whenever and under whatever request id.
    pub(crate) fn question(&self) -> String {
        let newest = self.offer.newest.as_ref().map(Signed::id);
        self.job.body().question(&self.offer.policy.id(), newest.as_ref()).to_string()
    }
}

/// What the query of `file` makes of a result. What was paid for is handed on, even where that fails.
pub(crate) async fn answered(file: &JobFile, offer: &Offer, result: &ResultDoc) -> Option<Answer> {
    let schema = check::schema(offer.manifest.body());
    let answer = match schema {
        Ok(schema) => Answer::of(file, &offer.then(), &schema, result).await,
        Err(e) => Err(e),
    };
    answer.unwrap_or_else(|e| {
        tracing::warn!("what the query computes from the released table failed: {e}");
        None
    })
}
