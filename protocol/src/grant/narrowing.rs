//! Rights left of a grant, and the errors of grants.

use std::collections::BTreeSet;

use super::scope::{Action, Scope};
use crate::{ContentHash, MicroRho, PeerId, cost::MicroEpsilon, limits};

/// Rights left of a grant. An empty field leaves the grant unchanged.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// Next party of the token, who uses it on the holder's account.
    pub to: Option<PeerId>,
    /// Keys of the encrypted files, encrypted to the next party.
    pub files_key: Option<String>,
    /// Only actions allowed.
    pub actions: Option<Vec<Action>>,
    /// Maximum ρ of a job.
    pub rho_ceiling: Option<MicroRho>,
    /// Maximum pure ε of a job.
    pub epsilon_ceiling: Option<MicroEpsilon>,
    /// Time of expiry, RFC 3339.
    pub expires: Option<String>,
    /// Only programs allowed, unless empty.
    pub programs: BTreeSet<ContentHash>,
    /// Only reducers allowed, unless empty.
    pub reducers: BTreeSet<String>,
    /// Maximum number of jobs whose slots begin within an hour.
    pub per_hour: Option<u32>,
}

impl From<&Scope> for Narrowing {
    fn from(scope: &Scope) -> Self {
        Self {
            to: None,
            files_key: None,
            actions: Some(scope.actions.clone()),
            rho_ceiling: Some(scope.rho_ceiling),
            epsilon_ceiling: Some(scope.epsilon_ceiling),
            expires: Some(scope.expires.clone()),
            programs: scope.programs.clone(),
            reducers: scope.reducers.clone(),
            per_hour: scope.per_hour,
        }
    }
}

/// Error in reading, making or narrowing a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadGrant {
    /// The text is not a token.
    #[error("not a grant: {0}")]
    Token(#[from] biscuit_auth::error::Token),
    /// The token is longer than a node reads.
    #[error(
        "the grant has more than {} bytes, or more than {} blocks: narrow it fewer times",
        limits::GRANT_BYTES,
        limits::GRANT_BLOCKS
    )]
    TooLong,
    /// A block has a form never written by issuing or narrowing. Such a block is not evaluated.
    #[error(
        "block {block} of this grant was not written by `tidegate grant`: {why}. Narrow grants only with `tidegate grant narrow`"
    )]
    Form {
        /// Number of the block; the owner's is 0.
        block: usize,
        /// Reason.
        why: &'static str,
    },
    /// The grant belongs to another party.
    #[error("the holder of this grant is {holder}: only the holder can narrow it for others")]
    NotHolder {
        /// Holder of the grant.
        holder: String,
    },
    /// A field is not valid.
    #[error("{0}")]
    Field(&'static str),
}
