//! What is left of a grant, and why one is refused.

use std::collections::BTreeSet;

use super::scope::{Action, Scope};
use crate::{ContentHash, MicroRho, PeerId, cost::MicroEpsilon, limits};

/// What is left of a grant. What is not said stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// Whose it is from now on; it is used on the holder's account.
    pub to: Option<PeerId>,
    /// The keys of the encrypted files, encrypted to whose it is from now on.
    pub files_key: Option<String>,
    /// Only these actions.
    pub actions: Option<Vec<Action>>,
    /// Most ρ one job may cost.
    pub rho_ceiling: Option<MicroRho>,
    /// Most pure ε one job may cost.
    pub epsilon_ceiling: Option<MicroEpsilon>,
    /// Until when, RFC 3339.
    pub expires: Option<String>,
    /// Only these programs, where there are any.
    pub programs: BTreeSet<ContentHash>,
    /// Only these reducers, where there are any.
    pub reducers: BTreeSet<String>,
    /// Most jobs whose slots begin within one hour.
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

/// A token could not be read, made or narrowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadGrant {
    /// Not a token.
    #[error("this is no grant: {0}")]
    Token(#[from] biscuit_auth::error::Token),
    /// Longer than a node reads.
    #[error(
        "the grant is longer than {} bytes, or of more than {} blocks: narrow it less often",
        limits::GRANT_BYTES,
        limits::GRANT_BLOCKS
    )]
    TooLong,
    /// A block says something that issuing and narrowing never have one say: nobody evaluates it.
    #[error("block {block} of this grant is none that `tidegate grant` writes: {why}. Narrow it with `tidegate grant narrow`")]
    Form {
        /// Which: the owner's is 0.
        block: usize,
        /// What is odd.
        why: &'static str,
    },
    /// Somebody else's.
    #[error("this grant is {holder}'s: only its holder narrows it for others")]
    NotHolder {
        /// Whose.
        holder: String,
    },
    /// A field that cannot be.
    #[error("{0}")]
    Field(&'static str),
}
