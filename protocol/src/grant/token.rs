//! The token: issued by the owner, read and decided here, wherever it is shown.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use biscuit_auth::{
    BiscuitBuilder, KeyPair, PrivateKey, PublicKey,
    builder::{Algorithm, Term},
    error,
    format::{
        SerializedBiscuit,
        schema::{self, proof},
    },
};
use biscuit_prost::Message as _;

use super::{
    Ask, BadGrant, Narrowing, Scope,
    form::{self, Demand, FILES_KEY, Granted, Symbols},
};
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
fn grant_keypair(owner: &Identity) -> Result<KeyPair, error::Format> {
    let secret = PrivateKey::from_bytes(&owner.derive("grant signing key"), Algorithm::Ed25519)?;
    Ok(KeyPair::from(&secret))
}

/// Public half of the owner's grant key, hexadecimal: what a manifest names.
///
/// # Errors
/// When biscuit refuses the derived key, which no ed25519 seed causes.
pub fn public_key(owner: &Identity) -> Result<String, error::Format> {
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

impl Issued {
    /// What was just made, as nodes will read it.
    pub(super) fn of(token: String) -> Result<Self, BadGrant> {
        let id = Token::read(&token)?.ids.pop().unwrap_or_default();
        Ok(Self { token, id })
    }
}

/// Signs a grant.
///
/// # Errors
/// [`BadGrant`] where the scope is none, or biscuit cannot build the token.
pub fn issue(owner: &Identity, terms: &Terms) -> Result<Issued, BadGrant> {
    let mut builder = BiscuitBuilder::new();
    let mut said = BTreeSet::new();
    for action in terms.scope.actions.iter().filter(|action| said.insert(**action)) {
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
    builder = builder.check(form::bound_to(&terms.holder).as_str())?;
    for demand in Demand::of(&Narrowing::from(&terms.scope))? {
        builder = builder.check(demand.datalog().as_str())?;
    }
    let biscuit = builder.build(&grant_keypair(owner).map_err(error::Token::from)?)?;
    Issued::of(biscuit.to_base64()?)
}

/// As biscuit writes them; without padding too.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

fn malformed(why: impl std::fmt::Display) -> BadGrant {
    BadGrant::Token(error::Token::Format(error::Format::DeserializationError(why.to_string())))
}

/// A token's bytes, and its blocks as they lie there: of bounded number and size.
fn opened(text: &str) -> Result<(Vec<u8>, schema::Biscuit), BadGrant> {
    if text.len() > limits::GRANT_BYTES {
        return Err(BadGrant::TooLong);
    }
    let bytes = BASE64.decode(text).map_err(malformed)?;
    let token = schema::Biscuit::decode(&bytes[..]).map_err(malformed)?;
    if token.blocks.len() >= limits::GRANT_BLOCKS {
        return Err(BadGrant::TooLong);
    }
    if token.authority.signature.is_empty() {
        return Err(malformed("nothing has signed it"));
    }
    Ok((bytes, token))
}

fn ids_of(token: &schema::Biscuit) -> Vec<String> {
    std::iter::once(&token.authority).chain(&token.blocks).map(|block| hex::encode(&block.signature)).collect()
}

/// Revocation ids of a token's blocks, as it says itself: who signed it, and what it says, is not looked at.
///
/// # Errors
/// [`BadGrant`] where it is no token.
pub fn ids(token: &str) -> Result<Vec<String>, BadGrant> {
    opened(token.trim()).map(|(_, token)| ids_of(&token))
}

/// What a token gives to the peer who shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Revocation ids of its blocks, the owner's first.
    pub ids: Vec<String>,
    /// To whom the owner granted it: another than the peer, where the holder narrowed it for that peer.
    pub holder: PeerId,
    /// What the owner granted, as the owner's block says it; earlier tokens do not.
    pub scope: Option<Box<Scope>>,
    /// When it ends: the earliest end that any of its blocks says. Nothing of what it gives may outlast that.
    pub ends: Option<SystemTime>,
}

impl Authority {
    /// The same, which ends no later than this.
    #[must_use]
    pub fn until(mut self, end: Option<SystemTime>) -> Self {
        self.ends = self.ends.into_iter().chain(end).min();
        self
    }

    /// What is given by this and by another alike, as by a mirror's own grant beside that of whoever asks it: it ends with either, and either's revocation
    /// ids are its own.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.ids.extend(other.ids.iter().cloned());
        self.until(other.ends)
    }
}

/// A token that says what issuing and narrowing have a token say, and nothing else; whether its owner signed it is found out once it is of use.
///
/// What it costs to read one, and to decide by it, is bounded by its length ([`limits::GRANT_BYTES`]) and the number of its blocks ([`limits::GRANT_BLOCKS`]):
/// no rule or check is evaluated, each is one of a few forms and compared with what is asked, and two signatures a block at most are verified, once a
/// key. It needs no deadline.
#[derive(Debug)]
pub struct Token {
    text: String,
    bytes: Vec<u8>,
    pub(super) ids: Vec<String>,
    pub(super) granted: Granted,
    /// Of all blocks.
    demands: Vec<Demand>,
    /// Whom the holder named, and the keys of encrypted files for that party, block by block.
    pub(super) named: Vec<Option<(PeerId, Option<String>)>>,
    /// The key that was last asked about, and whether it signed.
    signed: Mutex<Option<(String, bool)>>,
}

impl Token {
    /// Reads a token. Nothing says yet that its owner signed it.
    ///
    /// # Errors
    /// [`BadGrant`], which says what is odd.
    pub fn read(text: &str) -> Result<Self, BadGrant> {
        let text = text.trim();
        let (bytes, token) = opened(text)?;
        let odd = |block, why| BadGrant::Form { block, why };
        if token.root_key_id.is_some() || !matches!(token.proof.content, Some(proof::Content::NextSecret(_))) {
            return Err(odd(0, "it names a root key, or is sealed: no grant does, or is"));
        }
        let ed25519 = |key: &schema::PublicKey| key.algorithm == schema::public_key::Algorithm::Ed25519 as i32;
        if let Some(number) = std::iter::once(&token.authority).chain(&token.blocks).position(|b| !ed25519(&b.next_key)) {
            return Err(odd(number, "it is signed by another kind of key than ed25519"));
        }
        let contents = |block: &schema::SignedBlock| schema::Block::decode(&block.block[..]).map_err(malformed);
        let first = contents(&token.authority)?;
        let blocks = token.blocks.iter().map(contents).collect::<Result<Vec<_>, _>>()?;
        let mut symbols = Symbols::new();
        symbols.add(&first);
        let granted = form::granted(&first, &symbols).map_err(|why| odd(0, why))?;
        let (mut demands, mut named) = (granted.demands.clone(), vec![None]);
        for (number, (signed, block)) in token.blocks.iter().zip(&blocks).enumerate() {
            let number = number + 1;
            let narrowed = match &signed.external_signature {
                None => {
                    symbols.add(block);
                    form::narrowed(block, &symbols, false)
                }
                Some(by) if form::is_key_of(&by.public_key, &granted.holder) => {
                    // It has texts of its own alone.
                    let mut own = Symbols::new();
                    own.add(block);
                    form::narrowed(block, &own, true)
                }
                Some(_) => Err("another than the grant's holder signed it as its own"),
            };
            let narrowed = narrowed.map_err(|why| odd(number, why))?;
            demands.extend(narrowed.demands);
            named.push(narrowed.to);
        }
        let ids = ids_of(&token);
        Ok(Self { text: text.to_owned(), bytes, ids, granted, demands, named, signed: Mutex::default() })
    }

    /// The token as it was shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The population that it is for, whoever signed it.
    pub fn population(&self) -> ContentHash {
        self.granted.population
    }

    /// Whether `grant_key` (hexadecimal) signed it, and what followed was signed as it should be.
    pub fn signed_by(&self, grant_key: &str) -> bool {
        let mut last = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, signed)) = &*last
            && key == grant_key
        {
            return *signed;
        }
        let signed = public(grant_key).is_some_and(|key| SerializedBiscuit::from_slice(&self.bytes, key).is_ok());
        *last = Some((grant_key.to_owned(), signed));
        signed
    }

    /// Whether it is `peer`'s to show: its holder's, or the party's whom the holder named.
    fn is_for(&self, peer: PeerId) -> bool {
        let mut named = self.named.iter().flatten().peekable();
        match named.peek() {
            None => self.granted.holder == peer,
            // Whoever was named twice is named once.
            Some(_) => named.all(|(party, _)| *party == peer),
        }
    }

    /// Whether `grant_key` (hexadecimal) signed it for this population, and it is `peer`'s to show and has not run out; to do what is not looked at.
    pub fn is_held(&self, grant_key: &str, peer: PeerId, population: ContentHash, now: SystemTime) -> Option<Authority> {
        let now = seconds(now);
        let in_time = self.demands.iter().all(|demand| !matches!(demand, Demand::Before(second) if *second <= now));
        let held = self.is_for(peer) && self.granted.population == population && in_time && self.signed_by(grant_key);
        held.then(|| self.authority())
    }

    fn authority(&self) -> Authority {
        let scope = self.granted.scope.clone();
        let second = |second: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second));
        let ends = self.demands.iter().filter_map(|demand| match demand {
            Demand::Before(before) => second(*before),
            _ => None,
        });
        let ends = ends.chain(scope.as_ref().and_then(|scope| scope.until())).min();
        Authority { ids: self.ids.clone(), holder: self.granted.holder, scope, ends }
    }

    /// Decides whether the token, signed by `grant_key` (hexadecimal), lets `peer` (as the connection proves) do this with `population`. Whether one of
    /// its blocks was revoked, and what the log says of the owner's, is for the caller to say.
    ///
    /// # Errors
    /// [`Code::NotGranted`] for everything that does not hold.
    pub fn authorize(&self, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
        // What costs most comes last: signatures of what would not be enough are not verified.
        if let Some((field, why)) = self.refuses(peer, population, ask) {
            return Err(not_granted(why).at(field));
        }
        if !self.signed_by(grant_key) {
            let why = format!("the grant says that {} gave it, and is not signed by this dataset's owner", self.granted.owner);
            return Err(not_granted(why));
        }
        Ok(self.authority())
    }

    /// The first thing that a request fails by, signatures aside: a field and what is told of it, from token and request alone.
    fn refuses(&self, peer: PeerId, population: ContentHash, ask: &Ask) -> Option<(&'static str, String)> {
        if !self.is_for(peer) {
            let named = self.named.iter().flatten().last().map_or(self.granted.holder, |(party, _)| *party);
            return Some(("grant.holder", format!("the grant is for {named} to show, and not for {peer}, who asks")));
        }
        if self.granted.population != population {
            let of = self.granted.population.short();
            return Some(("grant", format!("the grant is for another dataset (population {of}…)")));
        }
        if !self.granted.actions.contains(&ask.action) {
            return Some(Demand::Actions(self.granted.actions.clone()).refuses(ask));
        }
        let now = seconds(ask.now);
        self.demands.iter().find(|demand| !demand.allows(ask, now)).map(|demand| demand.refuses(ask))
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn not_granted(why: String) -> Refusal {
    Refusal::new(Code::NotGranted, why).at("grant").fix("Ask the data owner for a grant: `tidegate grant`")
}

/// What a peer showed with a request, read once: a token, nothing, or what is none.
#[derive(Debug)]
pub struct Presented(Result<Token, Refusal>);

impl Presented {
    /// Reads what came with a request.
    pub fn read(text: &str) -> Self {
        let token = match text.trim() {
            "" => Err(not_granted("no grant was shown".into())),
            text => Token::read(text).map_err(|e| not_granted(e.to_string())),
        };
        Self(token)
    }

    /// The token, where it is one.
    pub fn token(&self) -> Option<&Token> {
        self.0.as_ref().ok()
    }

    /// As [`Token::authorize`].
    ///
    /// # Errors
    /// [`Code::NotGranted`], also where it is no token.
    pub fn authorize(&self, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
        self.0.as_ref().map_err(Clone::clone)?.authorize(grant_key, peer, population, ask)
    }
}

/// As [`Token::authorize`], of a token as it is written.
///
/// # Errors
/// [`Code::NotGranted`] for everything that does not hold.
pub fn authorize(token: &str, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
    Presented::read(token).authorize(grant_key, peer, population, ask)
}

/// A grant key as manifests have it.
fn public(grant_key: &str) -> Option<PublicKey> {
    PublicKey::from_bytes(&hex::decode(grant_key).ok()?, Algorithm::Ed25519).ok()
}

fn text(value: impl std::fmt::Display) -> Term {
    Term::Str(value.to_string())
}

pub(super) fn fact(name: &str, terms: impl IntoIterator<Item = Term>) -> biscuit_auth::builder::Fact {
    biscuit_auth::builder::fact(name, &terms.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
