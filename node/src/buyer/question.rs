//! A question: a signed job for a dataset version. Also computes the query's answer from the result.

use tidegate_protocol::{Job, Signed};

use crate::buyer::{answer::Answer, check, job_file::JobFile, offers::Offer, verified::Verified};

/// A job ready to be sent.
#[derive(Debug)]
pub struct Asking {
    /// Dataset version asked.
    pub offer: Offer,
    /// The signed job.
    pub job: Signed<Job>,
    /// Attachment of the job.
    pub(crate) sent: Vec<u8>,
    /// Grant to show.
    pub(crate) grant: String,
}

impl Asking {
    /// Returns the question itself, which does not depend on the time or the request id.
    pub(crate) fn question(&self) -> String {
        let newest = self.offer.newest.as_ref().map(Signed::id);
        self.job.body().question(&self.offer.policy.id(), newest.as_ref()).to_string()
    }
}

/// Computes the answer of `file`'s query from a result.
///
/// A failure is only logged: the result was paid for, and is handed on all the same.
pub(crate) async fn answered(file: &JobFile, offer: &Offer, verified: &Verified) -> Option<Answer> {
    let schema = check::schema(offer.manifest.body());
    let answer = match schema {
        Ok(schema) => Answer::of(file, &offer.then(), &schema, &verified.result, &verified.telling()).await,
        Err(e) => Err(e),
    };
    answer.unwrap_or_else(|e| {
        tracing::warn!("cannot compute the rest of the query from the released table: {e}");
        None
    })
}
