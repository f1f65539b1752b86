//! Grants issued and revoked, each an entry of the owner's log before taking effect.

use tidegate_audit::{log::scan, note::Verifier, open_entry};
use tidegate_ledger::from_folder;
use tidegate_protocol::{
    Sha256Digest,
    grant::{self, Issued, Terms},
    policy::Policy,
    receipt::Predicate,
};

use crate::{
    NodeError,
    error::GrantError,
    home::Home,
    owner::{access::pseudonyms::Parties, spool},
};

/// A grant as recorded in the log.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Logged {
    /// Content of the grant.
    pub grant: Predicate,
    /// Its revocation id.
    pub id: String,
    /// Whether the grant was revoked as a whole.
    pub revoked: bool,
}

/// Signs a grant and has it logged, since a grant is worthless without a log entry.
///
/// # Errors
/// [`NodeError`].
pub fn issue(home: &Home, policy: &Policy, terms: &Terms) -> Result<Issued, NodeError> {
    let identity = home.identity()?;
    let issued = grant::issue(&identity, terms).map_err(|e| GrantError::Issue(Box::new(e)))?;
    let predicate = Predicate::Grant {
        grant: issued.id.clone(),
        holder: Parties::open(home)?.name(policy, terms.holder)?,
        population: terms.population,
        scope: Box::new(terms.scope.clone()),
    };
    spool::say(home, &spool::Word::record("grant", Sha256Digest::of(issued.token.as_bytes()), predicate))?;
    Ok(issued)
}

/// Returns the grants in the owner's log, in order.
///
/// # Errors
/// [`NodeError`] if the log does not verify.
pub fn list(home: &Home) -> Result<Vec<Logged>, NodeError> {
    let owner = home.identity()?.id();
    let (mut found, mut revoked) = (Vec::new(), std::collections::BTreeSet::new());
    scan(&Verifier::log(&owner), &mut from_folder(home.path().join("log")), |_, entry| {
        match open_entry(entry, &owner).map(|statement| statement.predicate) {
            Ok(Predicate::Revocation { grant }) => drop(revoked.insert(grant)),
            Ok(predicate @ Predicate::Grant { .. }) => found.push(predicate),
            _ => {}
        }
        Ok(())
    })?;
    let logged = found.into_iter().filter_map(|grant| {
        let Predicate::Grant { grant: id, .. } = &grant else { return None };
        Some(Logged { id: id.clone(), revoked: revoked.contains(id), grant })
    });
    Ok(logged.collect())
}

/// Revokes the grant whose id begins with `prefix`, or the narrowest block of a token, and returns the revoked id.
///
/// No grant that was narrowed from it is valid any more.
///
/// # Errors
/// [`NodeError`] if there is not exactly one such grant.
pub fn revoke(home: &Home, prefix: &str) -> Result<String, NodeError> {
    let id = match grant::ids(prefix) {
        Ok(ids) => ids.last().cloned().unwrap_or_default(),
        Err(_) => {
            let mut found: Vec<_> = list(home)?.into_iter().filter(|g| g.id.starts_with(prefix)).collect();
            match (found.pop(), found.is_empty()) {
                (Some(one), true) if !prefix.is_empty() => one.id,
                (Some(_), _) => {
                    return Err(NodeError::Ambiguous { id: prefix.to_owned(), of: "the id of several grants" });
                }
                (None, _) => return Err(NodeError::NoSuchGrant { id: prefix.to_owned() }),
            }
        }
    };
    spool::say(
        home,
        &spool::Word::record("grant", Sha256Digest::of(id.as_bytes()), Predicate::Revocation { grant: id.clone() }),
    )?;
    Ok(id)
}
