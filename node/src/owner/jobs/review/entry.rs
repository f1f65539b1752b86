//! Entry of an approved table among the tables that have left.

use std::sync::{Mutex, PoisonError};

use tidegate_protocol::{Code, ContentHash, Job, PeerId, Refusal, Signed, policy::ReviewRules};

use crate::{
    NodeError,
    home::Home,
    owner::jobs::review::{Verdict, files::put, tables::path, verdict},
};

/// Lock under which a job looks at the tables that have left, and is recorded.
static ENTERING: Mutex<()> = Mutex::new(());

/// Records the table of `job` as leaving, unless another that its approval does not name has left meanwhile.
///
/// # Errors
/// Always returns the [`Refusal`] to send.
pub(crate) fn enter(
    home: &Home,
    owner: &PeerId,
    rules: &ReviewRules,
    population: &ContentHash,
    job: &Signed<Job>,
) -> Result<(), Refusal> {
    let _one = ENTERING.lock().unwrap_or_else(PoisonError::into_inner);
    let unavailable = |e: NodeError| {
        tracing::error!("{e}");
        Refusal::new(Code::Unavailable, "the owner's node could not read the released exact results")
    };
    match verdict(home, owner, rules, population, job).map_err(unavailable)? {
        Verdict::Approved(_) => {}
        Verdict::Waiting | Verdict::Denied => {
            let message = "another exact result was released after this one was approved, and the owner reviews both together";
            return Err(Refusal::new(Code::Pending, message).at("mode").fix("Send it again: it then waits for the owner"));
        }
    }
    let bytes = serde_json::to_vec(job.envelope()).map_err(|e| unavailable(NodeError::Encode(e)))?;
    put(&path(home, population, &job.id()), &bytes).map_err(unavailable)
}
