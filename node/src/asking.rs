//! A job on its way: prepared, noted in the buyer's home before it is sent, asked again where a node is busy or gone, and kept before anybody sees a number of it.

use std::time::{Duration, Instant};

use tidegate_exchange::{Address, NetError};
use tidegate_protocol::{
    Code, Job, Refusal, Signed,
    frame::{Reply, Request},
};

use crate::{
    NodeError,
    answer::Answer,
    buyer::{Buyer, fresh_request, now},
    check,
    jobfile::JobFile,
    offers::Offer,
    question::{Asking, answered},
    results::{Entry, Kept},
    verified::{Verified, verify},
};

/// The wait before a job is sent again the first time; it doubles each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait between two times.
const LONGEST: Duration = Duration::from_secs(10);

impl Buyer {
    /// Signs and sends a job, and verifies what comes back. `request` makes a retry of the same job the same job.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason; [`NodeError::Unverified`] when anything does not hold.
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
        let answer = answered(file, &asking.offer, &verified.result).await;
        Ok((asking.offer, verified, answer))
    }

    /// Signs the job of a file for the version that it names. Nothing is sent but the question what there is. `request` and `created` make it the same job again.
    ///
    /// # Errors
    /// [`NodeError`], naming the field of the file where that is at fault.
    pub async fn prepare(
        &self,
        to: &Address,
        file: &JobFile,
        grant: &str,
        request: Option<String>,
        created: Option<i64>,
    ) -> Result<Asking, NodeError> {
        let offer = self.offer(to, &file.dataset).await?;
        // What was paid for is handed out again, whatever answers today: the owner decides.
        let policy = offer.then();
        let request = request.map_or_else(fresh_request, Ok)?;
        let schema = check::schema(offer.manifest.body())?;
        let (job, sent) = file.job(offer.manifest.id(), &policy, &schema, request, created.unwrap_or_else(now))?;
        drop(policy);
        let job = Signed::sign(job, self.identity())?;
        Ok(Asking { offer, job, sent, grant: grant.to_owned() })
    }

    /// The newest of what this buyer keeps that asked the very same as `asking`.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub fn asked_before(&self, asking: &Asking) -> Result<Option<Kept>, NodeError> {
        self.kept.as_ref().map_or(Ok(None), |results| results.like(asking))
    }

    /// Sends a job, asks again where the node is busy or gone, for as long as this buyer is patient, and verifies what comes back. Where the buyer has a home, the
    /// question is kept there before it is sent, and the answer before it is handed on.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with the owner's reason; [`NodeError::Unverified`] when anything does not hold; [`NodeError::Unanswered`] where none came.
    pub async fn send(&self, to: &Address, asking: &Asking) -> Result<Verified, NodeError> {
        let entry = self.kept.as_ref().map(|results| results.begin(to, asking)).transpose()?;
        self.deliver(to, asking, entry.as_ref()).await
    }

    /// As [`Buyer::send`], of what is kept and was not answered.
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
                Ok(_) => return Err(NodeError::Unverified("the peer answered something else than a result".into())),
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
            tracing::warn!("{again}; the same job is sent again in {:.1} s", wait_now.as_secs_f64());
            tokio::time::sleep(wait_now).await;
            wait = (wait * 2).min(LONGEST);
        };
        let verified = verify(delivery.clone(), &to.peer, job, offer);
        if let Some(entry) = entry {
            // The result is here: what keeps it from being kept is told beside it.
            let kept = entry.answered(to, &delivery, verified.is_ok());
            kept.unwrap_or_else(|e| tracing::error!("this answer could not be kept: {e}"));
        }
        verified
    }
}

/// Of several who wait, none comes always first.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness all wait alike.
    let part = getrandom::fill(&mut random).map_or(1.0, |()| 0.5 + f64::from(random[0]) / 510.0);
    wait.mul_f64(part)
}

/// What a refusal leaves: one of a job that this was the first word of has charged nothing, and is forgotten.
fn refused(job: &Signed<Job>, refusal: Refusal, entry: Option<&Entry>) -> NodeError {
    if refusal.code == Code::Pending {
        let (request, created) = (&job.body().request, job.body().created);
        return NodeError::Refused(
            refusal.fix(format!("Ask again with --request {request} --created {created}: the same job, byte for byte")),
        );
    }
    if refusal.code != Code::Unavailable
        && let Some(entry) = entry
    {
        entry.forget();
    }
    NodeError::Refused(refusal)
}
