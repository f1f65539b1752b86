//! Grants: biscuit tokens (<https://www.biscuitsec.org>) bound to the holder's key.
//!
//! The owner's grant key signs. A token says: this holder may take this action on this population, up to this ρ (or pure ε) a job, until then.
//! A holder can narrow it offline; every added block can only take rights away.

use std::time::{Duration, SystemTime};

use biscuit_auth::{
    AuthorizerBuilder, Biscuit, BiscuitBuilder, KeyPair, PrivateKey, PublicKey,
    builder::{Algorithm, Term},
    datalog::RunLimits,
};

use crate::{ContentHash, Cost, Identity, MicroRho, PeerId, Refusal, cost::MicroEpsilon, limits, refusal::Code};

/// What a grant may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Send jobs.
    Compute,
    /// Copy the files.
    Replicate,
    /// Run receipts' jobs again and compare, as an auditor.
    Replay,
}

impl Action {
    /// The word in the token.
    pub fn word(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Replicate => "replicate",
            Self::Replay => "replay",
        }
    }
}

/// What to grant.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who may use it: the token is worthless in other hands.
    pub holder: PeerId,
    /// On which population.
    pub population: ContentHash,
    /// To do what.
    pub actions: Vec<Action>,
    /// Most ρ one job may cost.
    pub rho_ceiling: MicroRho,
    /// Most pure ε one job may cost.
    pub epsilon_ceiling: MicroEpsilon,
    /// Until when.
    pub expires: SystemTime,
}

/// What is being asked now.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks, as the connection proves.
    pub peer: PeerId,
    /// On which population.
    pub population: ContentHash,
    /// To do what.
    pub action: Action,
    /// The job's price, nothing for other actions.
    pub cost: Cost,
    /// The time now.
    pub now: SystemTime,
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
/// When biscuit cannot build the token.
pub fn issue(owner: &Identity, terms: &Terms) -> Result<Issued, biscuit_auth::error::Token> {
    let mut builder = BiscuitBuilder::new();
    for action in &terms.actions {
        builder = builder.fact(fact("right", [text(terms.population), Term::Str(action.word().into())]))?;
    }
    builder = builder
        .fact(fact("holder", [text(terms.holder)]))?
        .fact(fact("rho_ceiling", [integer(terms.rho_ceiling.0)]))?
        .fact(fact("epsilon_ceiling", [integer(terms.epsilon_ceiling.0)]))?
        .check("check if peer($p), holder($p)")?
        .check("check if rho($r), rho_ceiling($c), $r <= $c")?
        .check("check if epsilon($e), epsilon_ceiling($c), $e <= $c")?;
    let expiry = terms.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let builder = builder.fact(fact("expires", [Term::Date(expiry)]))?.check("check if time($t), expires($e), $t < $e")?;
    let biscuit = builder.build(&grant_keypair(owner)?)?;
    let id = revocation_ids(&biscuit).into_iter().next().unwrap_or_default();
    Ok(Issued { token: biscuit.to_base64()?, id })
}

fn revocation_ids(biscuit: &Biscuit) -> Vec<String> {
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

/// Decides whether `token`, signed by `grant_key` (hexadecimal), allows `ask`: the revocation ids of its blocks, the owner's first. Whether one of them
/// was revoked is for the caller to say.
///
/// # Errors
/// [`Code::NotGranted`] for everything that does not hold.
pub fn authorize(token: &str, grant_key: &str, ask: &Ask) -> Result<Vec<String>, Refusal> {
    let refused =
        |why: String| Refusal::new(Code::NotGranted, why).at("grant").fix("Ask the data owner for a grant: `tidegate grant`");
    if token.is_empty() {
        return Err(refused("no grant was shown".into()));
    }
    if token.len() > limits::GRANT_BYTES {
        return Err(refused(format!("the grant is longer than {} bytes", limits::GRANT_BYTES)));
    }
    let key = hex::decode(grant_key).map_err(|_| refused("the owner's grant key is malformed".into()))?;
    let key = PublicKey::from_bytes(&key, Algorithm::Ed25519).map_err(|e| refused(e.to_string()))?;
    let biscuit = Biscuit::from_base64(token, key).map_err(|_| refused("the grant is not one this owner signed".into()))?;
    let now = ask.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let build = || -> Result<_, biscuit_auth::error::Token> {
        let authorizer = AuthorizerBuilder::new()
            .fact(fact("peer", [text(ask.peer)]))?
            .fact(fact("population", [text(ask.population)]))?
            .fact(fact("action", [Term::Str(ask.action.word().into())]))?
            .fact(fact("rho", [integer(ask.cost.rho_micro.0)]))?
            .fact(fact("epsilon", [integer(ask.cost.epsilon_micro.0)]))?
            .fact(fact("time", [Term::Date(now)]))?
            .policy("allow if population($d), action($a), right($d, $a)")?
            // Decide by size, not by the clock of a busy machine: facts and iterations bound the work.
            .set_limits(RunLimits { max_facts: 1000, max_iterations: 100, max_time: Duration::from_secs(5) })
            .build(&biscuit)?;
        Ok(authorizer)
    };
    let mut authorizer = build().map_err(|e| refused(format!("the grant cannot be evaluated: {e}")))?;
    authorizer.authorize().map_err(|_| {
        refused(format!("the grant does not let {} {} this population for {} now", ask.peer.short(), ask.action.word(), ask.cost))
    })?;
    Ok(revocation_ids(&biscuit))
}

fn integer(micro: u64) -> Term {
    Term::Integer(micro.min(i64::MAX as u64) as i64)
}

fn text(value: impl std::fmt::Display) -> Term {
    Term::Str(value.to_string())
}

fn fact(name: &str, terms: impl IntoIterator<Item = Term>) -> biscuit_auth::builder::Fact {
    biscuit_auth::builder::fact(name, &terms.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::FemtoDelta;

    #[test]
    fn a_grant_covers_its_holder_action_population_ceiling_and_time_and_nothing_else() {
        let owner = Identity::from_seed([1; 32]);
        let holder = Identity::from_seed([2; 32]).id();
        let population = ContentHash::of(b"p");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let terms = Terms {
            holder,
            population,
            actions: vec![Action::Compute],
            rho_ceiling: MicroRho(500_000),
            epsilon_ceiling: MicroEpsilon(200_000),
            expires: now + Duration::from_secs(60),
        };
        let Issued { token, id } = issue(&owner, &terms).unwrap();
        assert_eq!(ids(&token).unwrap(), [id]);
        let key = public_key(&owner).unwrap();
        let (rho, pure) = (|r| Cost::dp(MicroRho(r), FemtoDelta(0)), |e| Cost::pure(MicroEpsilon(e), FemtoDelta(0)));
        let good = Ask { peer: holder, population, action: Action::Compute, cost: rho(500_000), now };
        authorize(&token, &key, &good).unwrap();
        authorize(&token, &key, &Ask { cost: pure(200_000), ..good.clone() }).unwrap();
        for (what, ask) in [
            ("other peer", Ask { peer: owner.id(), ..good.clone() }),
            ("other population", Ask { population: ContentHash::of(b"q"), ..good.clone() }),
            ("other action", Ask { action: Action::Replicate, ..good.clone() }),
            ("over the ceiling", Ask { cost: rho(500_001), ..good.clone() }),
            ("over the ceiling of pure ε", Ask { cost: pure(200_001), ..good.clone() }),
            ("expired", Ask { now: now + Duration::from_secs(60), ..good.clone() }),
        ] {
            assert_eq!(authorize(&token, &key, &ask).unwrap_err().code, Code::NotGranted, "{what}");
        }
        let other = public_key(&Identity::from_seed([9; 32])).unwrap();
        assert!(authorize(&token, &other, &good).is_err(), "another owner's key");
        assert!(authorize("", &key, &good).is_err());
        assert!(authorize("garbage", &key, &good).is_err());
    }

    #[test]
    fn a_holder_can_add_nothing_by_narrowing() {
        let owner = Identity::from_seed([1; 32]);
        let holder = Identity::from_seed([2; 32]).id();
        let (population, other) = (ContentHash::of(b"p"), ContentHash::of(b"q"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let token = issue(
            &owner,
            &Terms {
                holder,
                population,
                actions: vec![Action::Compute],
                rho_ceiling: MicroRho(1),
                epsilon_ceiling: MicroEpsilon(0),
                expires: now + Duration::from_secs(9),
            },
        )
        .unwrap()
        .token;
        let root = PublicKey::from_bytes(&hex::decode(public_key(&owner).unwrap()).unwrap(), Algorithm::Ed25519).unwrap();
        let block =
            biscuit_auth::builder::BlockBuilder::new().fact(fact("right", [text(other), Term::Str("replicate".into())])).unwrap();
        let widened = Biscuit::from_base64(&token, root).unwrap().append(block).unwrap().to_base64().unwrap();
        let ask = Ask { peer: holder, population: other, action: Action::Replicate, cost: Cost::default(), now };
        assert!(authorize(&widened, &public_key(&owner).unwrap(), &ask).is_err());
    }
}
