//! Submission of a job: prepared, recorded in the buyer's home before sending, retried while a node is busy or gone, and kept
//! before anybody sees a number of its result.

use std::time::{Duration, Instant};

use tidegate_exchange::{Address, NetError};
use tidegate_protocol::{
    Code, Job, Refusal, Signed,
    frame::{Reply, Request},
};

use crate::{
    NodeError,
    buyer::{
        answer::Answer,
        check,
        job_file::JobFile,
        offers::Offer,
        question::{Asking, answered},
        results::{Entry, Kept},
        verified::{Verified, verify},
    },
    client::{Buyer, fresh_request, now},
    unexpected,
};

/// Wait before the first retry of a job; doubles each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(10);

impl Buyer {
    /// Signs and sends a job, and verifies the reply. A retry with the same `request` and `created` is the same job.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason; [`NodeError::Unverified`] if any check fails.
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
        let answer = answered(file, &asking.offer, &verified).await;
        Ok((asking.offer, verified, answer))
    }

    /// Signs the job of a file for the dataset version named there.
    ///
    /// Nothing is sent except the request for the peer's listings. The same `request` and `created` give the same job again.
    ///
    /// # Errors
    /// [`NodeError`], naming the field of the file if that is at fault.
    pub async fn prepare(
        &self,
        to: &Address,
        file: &JobFile,
        grant: &str,
        request: Option<String>,
        created: Option<i64>,
    ) -> Result<Asking, NodeError> {
        let offer = self.offer(to, &file.dataset).await?;
        // A version that takes no new jobs still delivers paid results again: that is the owner's decision.
        let policy = offer.then();
        let request = request.map_or_else(fresh_request, Ok)?;
        let schema = check::schema(offer.manifest.body())?;
        let (job, sent) = file.job(offer.manifest.id(), &policy, &schema, request, created.unwrap_or_else(now))?;
        drop(policy);
        let job = Signed::sign(job, self.identity())?;
        Ok(Asking { offer, job, sent, grant: grant.to_owned() })
    }

    /// Returns the newest of this buyer's kept jobs with exactly the same question as `asking`.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn asked_before(&self, asking: &Asking) -> Result<Option<Kept>, NodeError> {
        self.kept.as_ref().map_or(Ok(None), |results| results.like(asking))
    }

    /// Sends a job, retries within the buyer's patience while the node is busy or gone, and verifies the reply.
    ///
    /// If the buyer has a home, the question is kept there before it is sent, and the answer before it is returned.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason; [`NodeError::Unverified`] if any check fails; [`NodeError::Unanswered`] if
    /// no answer came.
    pub async fn send(&self, to: &Address, asking: &Asking) -> Result<Verified, NodeError> {
        let entry = self.kept.as_ref().map(|results| results.begin(to, asking)).transpose()?;
        self.deliver(to, asking, entry.as_ref()).await
    }

    /// Like [`Buyer::send`], for a kept job without an answer.
    ///
    /// # Errors
    /// As [`Buyer::send`].
    pub async fn fetch_again(&self, to: &Address, kept: &Kept) -> Result<Verified, NodeError> {
        self.deliver(to, &kept.asking()?, Some(&kept.entry())).await
    }

    async fn deliver(&self, to: &Address, asking: &Asking, entry: Option<&Entry>) -> Result<Verified, NodeError> {
        let Asking { offer, job, sent, grant } = asking;
        let submit = Request::Submit { job: job.envelope().clone(), grant: grant.clone(), attachment_bytes: sent.len() as u64 };
        let (until, mut wait, mut lost) = (Instant::now() + self.patience, FIRST, false);
        let delivery = loop {
            let asked = self.ask(to, &submit, sent).await;
            let again = match asked {
                Ok(Reply::Delivered(delivery)) => break *delivery,
                Ok(_) => return Err(unexpected("a result")),
                Err(NodeError::Refused(refusal)) if refusal.code == Code::Busy => NodeError::Refused(refusal),
                // Nothing was sent.
                Err(NodeError::Net(e @ NetError::Unreachable { .. })) => NodeError::Net(e),
                Err(NodeError::Net(e @ NetError::Peer(_))) => {
                    lost = true;
                    NodeError::Net(e)
                }
                Err(NodeError::Refused(refusal)) => return Err(refused(job, refusal, entry.filter(|_| !lost))),
                Err(other) => return Err(other),
            };
            if Instant::now() + wait > until {
                return Err(match again {
                    NodeError::Refused(refusal) if !lost => refused(job, refusal, entry),
                    other if !lost => {
                        if let Some(entry) = entry {
                            entry.forget();
                        }
                        other
                    }
                    other => NodeError::Unanswered { request: job.body().request.clone(), why: other.to_string() },
                });
            }
            let wait_now = jittered(wait);
            tracing::warn!("{again}; sending the same job again in {:.1} s", wait_now.as_secs_f64());
            tokio::time::sleep(wait_now).await;
            wait = (wait * 2).min(LONGEST);
        };
        let verified = verify(delivery.clone(), &to.peer, job, offer);
        if let Some(entry) = entry {
            // The result has arrived: a failure to keep it is only logged.
            let kept = entry.answered(to, &delivery, verified.is_ok());
            kept.unwrap_or_else(|e| tracing::error!("cannot store this answer: {e}"));
        }
        verified
    }
}

/// Shortens a wait at random, so that none of several waiting buyers always comes first.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness all wait equally long.
    let part = getrandom::fill(&mut random).map_or(1.0, |()| 0.5 + f64::from(random[0]) / 510.0);
    wait.mul_f64(part)
}

/// Converts a refusal to an error, and forgets `entry` unless the job may still be answered.
///
/// `entry` is only given if no earlier attempt may have reached the owner: then a refusal means that nothing was charged.
fn refused(job: &Signed<Job>, refusal: Refusal, entry: Option<&Entry>) -> NodeError {
    if refusal.code == Code::Pending {
        let (request, created) = (&job.body().request, job.body().created);
        return NodeError::Refused(
            refusal.fix(format!("Send the same job again, byte for byte, with --request {request} --created {created}")),
        );
    }
    if refusal.code != Code::Unavailable
        && let Some(entry) = entry
    {
        entry.forget();
    }
    NodeError::Refused(refusal)
}
