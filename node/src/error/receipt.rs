//! Differences between a receipt and the job, result or log entry beside it.

use tidegate_protocol::dsse::BadDocument;

/// Reason why a receipt does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptFault {
    /// The receipt breaks a rule of log entries.
    #[error("receipt: {rule}: {detail}")]
    Rule {
        /// Name of the rule.
        rule: &'static str,
        /// Observation.
        detail: String,
    },
    /// The earlier job that was answered is not a signed job.
    #[error("the earlier job: {0}")]
    EarlierJob(#[source] BadDocument),
    /// The earlier job that was answered is another party's, or has another question.
    #[error("the earlier job is not this buyer's, or has another question")]
    EarlierQuestion,
    /// The receipt is not an outcome of a job.
    #[error("the receipt is not for the outcome of a job")]
    NoOutcome,
    /// The receipt names another result.
    #[error("the receipt is for another result")]
    OtherResult,
    /// The receipt names another job, buyer or dataset.
    #[error("the receipt is for another job")]
    OtherJob,
    /// The receipt is not charged to a lease of the peer that answered.
    #[error("the receipt is not charged to a lease that the dataset's owner issued to the answering node")]
    Lease,
    /// The receipt names another policy.
    #[error("the receipt names a policy that differs from the offered one")]
    Policy,
    /// The receipt charges another cost.
    #[error("the receipt's charge differs from the signed cost")]
    Cost,
    /// The result names another job or cost.
    #[error("the result is for another job")]
    ResultOfOtherJob,
    /// The rows of the result do not fit its columns.
    #[error("the result's rows do not fit its columns")]
    Shape,
    /// The owner opened another entry than the receipt at hand.
    #[error("the owner opened another entry than this receipt")]
    OtherReceipt,
    /// The receipt is at another index of the log.
    #[error("the receipt differs from the log's entry")]
    OtherIndex,
    /// The entry is not a receipt of a result.
    #[error("the entry is not the receipt of a result")]
    NoResult,
    /// The opened job is not the receipt's.
    #[error("the job differs from the receipt's job")]
    OpenedJob,
    /// The opened version or policy is not the receipt's.
    #[error("the owner opened a version or policy that differs from the receipt's")]
    OpenedVersion,
    /// The model ran on a GPU, so the sums cannot be compared.
    #[error("its model ran on a GPU, where sums are not reproducible: it cannot be replayed")]
    OnGpu,
    /// The job and the policy give another noise or price.
    #[error("the receipt's noise or cost differs from the one that job and policy require")]
    Price,
    /// The gate cannot plan the job.
    #[error("the job cannot be planned: {0}")]
    Plan(#[source] tidegate_gate::GateError),
}

/// Reason why a receipt in an auditor's folder or archive does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleFault {
    /// The receipt breaks a rule of log entries.
    #[error("{rule}: {detail}")]
    Rule {
        /// Name of the rule.
        rule: &'static str,
        /// Observation.
        detail: String,
    },
    /// The entry is of another kind.
    #[error("is an entry of the log, but not a receipt")]
    NoReceipt,
    /// The proof is not text.
    #[error("{0}")]
    ProofText(#[source] std::string::FromUtf8Error),
    /// The proof does not show the receipt in the log.
    #[error("{0}")]
    Proof(#[source] tidegate_audit::note::BadNote),
    /// The proof's note is not written canonically.
    #[error("its proof is not encoded as it was signed")]
    ProofForm,
    /// Two receipts are proven under different roots of one size.
    #[error("has a proof in another history of {size} entries than an earlier receipt: the log was forked")]
    Forked {
        /// Size of the log.
        size: u64,
    },
    /// The receipt names another result.
    #[error("is for another result")]
    OtherResult,
}
