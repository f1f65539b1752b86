//! The token: issued by the owner, evaluated by the owner.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use biscuit_auth::{
    AuthorizerBuilder, Biscuit, BiscuitBuilder, KeyPair, PrivateKey, PublicKey,
    builder::{Algorithm, Term},
    datalog::RunLimits,
};

use super::{Ask, BadGrant, Narrowing, Scope};
use crate::{ContentHash, Identity, PeerId, Refusal, limits, refusal::Code};

/// What to grant, to whom.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who may use it: the token is worthless in other hands.
    pub holder: PeerId,
    /// On which population.
    pub population: ContentHash,
    /// To do what.
    pub scope: Scope,
    /// The keys of the encrypted files, encrypted to the holder, where it may copy them.
    pub files_key: Option<String>,
}

/// The key that signs grants: derived from the identity, so that biscuit's signatures and DSSE's never share a key.
fn grant_keypair(owner: &Identity) -> Result<KeyPair, biscuit_auth::error::Format> {
    let secret = PrivateKey::from_bytes(&owner.derive("grant signing key"), Algorithm::Ed25519)?;
    Ok(KeyPair::from(&secret))
}

/// Public half of the owner's grant key, hexadecimal: what a manifest names.
///
/// # Errors
/// When biscuit refuses the derived key, which no ed25519 seed causes.
pub fn public_key(owner: &Identity) -> Result<String, biscuit_auth::error::Format> {
    Ok(hex::encode(grant_keypair(owner)?.public().to_bytes()))
}

/// The fact that has the keys of encrypted files, themselves encrypted to the party whose grant it is from that block on.
pub(super) const FILES_KEY: &str = "files_key";

/// A signed grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token: base64 (URL alphabet), as biscuit writes it.
    pub token: String,
    /// Revocation id of the owner's block, hexadecimal.
    pub id: String,
}

/// Signs a grant.
///
/// # Errors
/// [`BadGrant`] where the scope is none, or biscuit cannot build the token.
pub fn issue(owner: &Identity, terms: &Terms) -> Result<Issued, BadGrant> {
    let mut builder = BiscuitBuilder::new();
    for action in &terms.scope.actions {
        builder = builder.fact(fact("right", [text(terms.population), Term::Str(action.word().into())]))?;
    }
    builder = builder.fact(fact("holder", [text(terms.holder)]))?.fact(fact("owner", [text(owner.id())]))?;
    // Who answers for the owner elsewhere has no log that says what was granted.
    let scope = serde_json::to_string(&terms.scope).map_err(|_| BadGrant::Field("scope: it cannot be written"))?;
    builder = builder.fact(fact("scope", [Term::Str(scope)]))?;
    if let Some(key) = &terms.files_key {
        builder = builder.fact(fact(FILES_KEY, [text(key)]))?;
    }
    // A colleague's key is what the holder's own key says in a block of its own.
    let holder = hex::encode(terms.holder.as_bytes());
    let bound = format!("check if peer($p), holder($p) or peer($p), delegate($p) trusting ed25519/{holder}");
    builder = builder.check(bound.as_str())?;
    for check in checks(&Narrowing::from(&terms.scope))? {
        builder = builder.check(check.as_str())?;
    }
    let biscuit = builder.build(&grant_keypair(owner).map_err(biscuit_auth::error::Token::from)?)?;
    let id = revocation_ids(&biscuit).into_iter().next().unwrap_or_default();
    Ok(Issued { token: biscuit.to_base64()?, id })
}

/// What a block that leaves this much demands of a request.
pub(super) fn checks(left: &Narrowing) -> Result<Vec<String>, BadGrant> {
    let plain = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !left.reducers.iter().all(plain) {
        return Err(BadGrant::Field("reducers: write names as receipts have them, `mean` or `count`"));
    }
    let list = |words: Vec<String>| format!("{{{}}}", words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", "));
    let mut checks = Vec::new();
    if let Some(actions) = &left.actions {
        if actions.is_empty() {
            return Err(BadGrant::Field("actions: a grant lets its holder do one thing at least"));
        }
        let words = actions.iter().map(|a| a.word().to_owned()).collect();
        checks.push(format!("check if action($a), {}.contains($a)", list(words)));
    }
    if let Some(rho) = left.rho_ceiling {
        checks.push(format!("check if rho($r), $r <= {}", most(rho.0)));
    }
    if let Some(epsilon) = left.epsilon_ceiling {
        checks.push(format!("check if epsilon($e), $e <= {}", most(epsilon.0)));
    }
    if let Some(expires) = &left.expires {
        let time: jiff::Timestamp = expires.parse().map_err(|_| BadGrant::Field("expires: write an RFC 3339 time"))?;
        checks.push(format!("check if time($t), $t < {}", jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)));
    }
    if !left.programs.is_empty() {
        // What is no job has no program.
        let programs = list(left.programs.iter().map(ToString::to_string).chain([String::new()]).collect());
        checks.push(format!("check if program($p), {programs}.contains($p)"));
    }
    if !left.reducers.is_empty() {
        checks.push(format!("check if reducers($r), {}.contains($r)", list(left.reducers.iter().cloned().collect())));
    }
    if let Some(per_hour) = left.per_hour {
        if per_hour == 0 || per_hour > limits::GRANT_PER_HOUR {
            return Err(BadGrant::Field("per_hour: at least 1, and no more than a node counts"));
        }
        checks.push(format!("check if used($n), $n < {per_hour}"));
    }
    Ok(checks)
}

pub(super) fn revocation_ids(biscuit: &Biscuit) -> Vec<String> {
    biscuit.revocation_identifiers().iter().map(hex::encode).collect()
}

/// Revocation ids of a token's blocks, as it says itself: who signed it is not looked at.
///
/// # Errors
/// Where it is no token.
pub fn ids(token: &str) -> Result<Vec<String>, biscuit_auth::error::Token> {
    let ids = biscuit_auth::UnverifiedBiscuit::from_base64(token.trim())?.revocation_identifiers();
    Ok(ids.iter().map(hex::encode).collect())
}

/// Decide by size, not by the clock of a busy machine: facts and iterations bound the work.
pub(super) const LIMITS: RunLimits = RunLimits { max_facts: 1000, max_iterations: 100, max_time: Duration::from_secs(5) };

/// What a token gives to the peer who shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Revocation ids of its blocks, the owner's first.
    pub ids: Vec<String>,
    /// To whom the owner granted it: another than the peer, where the holder narrowed it for that peer.
    pub holder: PeerId,
    /// What the owner granted, as the owner's block says it; earlier tokens do not.
    pub scope: Option<Box<Scope>>,
}

/// Decides whether `token`, signed by `grant_key` (hexadecimal), lets `peer` (as the connection proves) do this with `population`. Whether one of its blocks was revoked, and what the log says of the
/// owner's, is for the caller to say.
///
/// # Errors
/// [`Code::NotGranted`] for everything that does not hold.
pub fn authorize(token: &str, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
    let refused =
        |why: String| Refusal::new(Code::NotGranted, why).at("grant").fix("Ask the data owner for a grant: `tidegate grant`");
    if token.is_empty() {
        return Err(refused("no grant was shown".into()));
    }
    if token.len() > limits::GRANT_BYTES {
        return Err(refused(format!("the grant is longer than {} bytes", limits::GRANT_BYTES)));
    }
    let key = public(grant_key).ok_or_else(|| refused("the owner's grant key is malformed".into()))?;
    let biscuit = Biscuit::from_base64(token, key).map_err(|_| refused("the grant is not one this owner signed".into()))?;
    let now = ask.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let reducers: BTreeSet<Term> = ask.reducers.iter().cloned().map(Term::Str).collect();
    let build = || -> Result<_, biscuit_auth::error::Token> {
        let authorizer = AuthorizerBuilder::new()
            .fact(fact("peer", [text(peer)]))?
            .fact(fact("population", [text(population)]))?
            .fact(fact("action", [Term::Str(ask.action.word().into())]))?
            .fact(fact("program", [Term::Str(ask.program.map(|p| p.to_string()).unwrap_or_default())]))?
            .fact(fact("reducers", [Term::Set(reducers.clone())]))?
            .fact(fact("used", [Term::Integer(ask.used.into())]))?
            .fact(fact("rho", [Term::Integer(most(ask.cost.rho_micro.0))]))?
            .fact(fact("epsilon", [Term::Integer(most(ask.cost.epsilon_micro.0))]))?
            .fact(fact("time", [Term::Date(now)]))?
            .policy("allow if population($d), action($a), right($d, $a)")?
            .set_limits(LIMITS)
            .build(&biscuit)?;
        Ok(authorizer)
    };
    let mut authorizer = build().map_err(|e| refused(format!("the grant cannot be evaluated: {e}")))?;
    let none = || {
        let what = format!("{} this population for {}", ask.action.word(), ask.cost);
        refused(format!("the grant does not let {} {what} now", peer.short()))
    };
    authorizer.authorize().map_err(|_| none())?;
    let (holder,): (String,) = authorizer.query_exactly_one("held($p) <- holder($p)").map_err(|_| none())?;
    let holder: PeerId = holder.parse().map_err(|_| none())?;
    if holder != peer {
        // Whom the holder named is asked of the token alone: a block that says who asks, or has rules about that, would be good in any hands.
        let named = format!("named($p) <- delegate($p) trusting ed25519/{}", hex::encode(holder.as_bytes()));
        let mut alone = AuthorizerBuilder::new().set_limits(LIMITS).build(&biscuit).map_err(|_| none())?;
        let (delegate,): (String,) = alone.query_exactly_one(named.as_str()).map_err(|_| none())?;
        if delegate != peer.to_string() {
            return Err(none());
        }
    }
    let said: Result<(String,), _> = authorizer.query_exactly_one("granted($s) <- scope($s)");
    let scope = said.ok().and_then(|(scope,)| serde_json::from_str(&scope).ok());
    Ok(Authority { ids: revocation_ids(&biscuit), holder, scope })
}

/// A grant key as manifests have it.
pub(super) fn public(grant_key: &str) -> Option<PublicKey> {
    PublicKey::from_bytes(&hex::decode(grant_key).ok()?, Algorithm::Ed25519).ok()
}

/// Datalog's integers have a sign.
fn most(micro: u64) -> i64 {
    i64::try_from(micro).unwrap_or(i64::MAX)
}

fn text(value: impl std::fmt::Display) -> Term {
    Term::Str(value.to_string())
}

pub(super) fn fact(name: &str, terms: impl IntoIterator<Item = Term>) -> biscuit_auth::builder::Fact {
    biscuit_auth::builder::fact(name, &terms.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cost, MicroRho,
        cost::{FemtoDelta, MicroEpsilon},
        grant::Action,
    };

    #[test]
    fn a_grant_covers_its_holder_action_population_ceiling_and_time_and_nothing_else() {
        let owner = Identity::from_seed([1; 32]);
        let holder = Identity::from_seed([2; 32]).id();
        let population = ContentHash::of(b"p");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let scope = Scope {
            actions: vec![Action::Compute],
            rho_ceiling: MicroRho(500_000),
            epsilon_ceiling: MicroEpsilon(200_000),
            expires: jiff::Timestamp::try_from(now + Duration::from_secs(60)).unwrap().to_string(),
            programs: [population].into(),
            reducers: ["mean".into()].into(),
            per_hour: Some(3),
        };
        let terms = Terms { holder, population, scope: scope.clone(), files_key: None };
        let Issued { token, id } = issue(&owner, &terms).unwrap();
        assert_eq!(ids(&token).unwrap(), [id]);
        let key = public_key(&owner).unwrap();
        let (rho, pure) = (|r| Cost::dp(MicroRho(r), FemtoDelta(0)), |e| Cost::pure(MicroEpsilon(e), FemtoDelta(0)));
        let job = Ask { program: Some(population), used: 2, ..Ask::of(Action::Compute, now) };
        let good = Ask { cost: rho(500_000), reducers: ["mean".into()].into(), ..job };
        let authority = authorize(&token, &key, holder, population, &good).unwrap();
        assert_eq!((authority.holder, authority.scope.as_deref()), (holder, Some(&scope)));
        authorize(&token, &key, holder, population, &Ask { cost: pure(200_000), reducers: BTreeSet::new(), ..good.clone() })
            .unwrap();
        for (what, ask) in [
            ("other action", Ask { action: Action::Replicate, ..good.clone() }),
            ("over the ceiling", Ask { cost: rho(500_001), ..good.clone() }),
            ("over the ceiling of pure ε", Ask { cost: pure(200_001), ..good.clone() }),
            ("expired", Ask { now: now + Duration::from_secs(60), ..good.clone() }),
            ("other program", Ask { program: Some(ContentHash::of(b"q")), ..good.clone() }),
            ("other reducer", Ask { reducers: ["sum".into()].into(), ..good.clone() }),
            ("too often", Ask { used: 3, ..good.clone() }),
        ] {
            assert_eq!(authorize(&token, &key, holder, population, &ask).unwrap_err().code, Code::NotGranted, "{what}");
            // The same by what the log has of it.
            assert!(scope.covers(&ask).is_err(), "{what}");
        }
        assert!(authorize(&token, &key, owner.id(), population, &good).is_err(), "other peer");
        assert!(authorize(&token, &key, holder, ContentHash::of(b"q"), &good).is_err(), "other population");
        let other = public_key(&Identity::from_seed([9; 32])).unwrap();
        assert!(authorize(&token, &other, holder, population, &good).is_err(), "another owner's key");
        assert!(authorize("", &key, holder, population, &good).is_err());
        assert!(authorize("garbage", &key, holder, population, &good).is_err());
        assert!(issue(&owner, &Terms { scope: Scope { actions: vec![], ..scope.clone() }, ..terms.clone() }).is_err());
        assert!(issue(&owner, &Terms { scope: Scope { per_hour: Some(0), ..scope }, ..terms }).is_err());
    }
}
