//! Tokens of grants: issued by the owner, and read and decided on here, wherever they are shown.

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

/// Content of a grant to be issued.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Only party who may use the token, which is worthless in other hands.
    pub holder: PeerId,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Rights granted.
    pub scope: Scope,
    /// Keys of the encrypted files, encrypted to the holder, if the holder may copy them.
    pub files_key: Option<String>,
}

/// Derives the key pair for signing grants from the identity, so that biscuit and DSSE never share a key.
fn grant_keypair(owner: &Identity) -> Result<KeyPair, error::Format> {
    let secret = PrivateKey::from_bytes(&owner.derive("grant signing key"), Algorithm::Ed25519)?;
    Ok(KeyPair::from(&secret))
}

/// Returns the public half of the owner's grant key, hexadecimal, which a manifest names.
///
/// # Errors
/// Returns an error if biscuit refuses the derived key, which no ed25519 seed causes.
pub fn public_key(owner: &Identity) -> Result<String, error::Format> {
    Ok(hex::encode(grant_keypair(owner)?.public().to_bytes()))
}

/// A signed grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Token in biscuit's form: base64, URL alphabet.
    pub token: String,
    /// Revocation id of the owner's block, hexadecimal.
    pub id: String,
}

impl Issued {
    /// Reads a new token in the same way as nodes will.
    pub(super) fn of(token: String) -> Result<Self, BadGrant> {
        let id = Token::read(&token)?.ids.pop().unwrap_or_default();
        Ok(Self { token, id })
    }
}

/// Signs a grant.
///
/// # Errors
/// Returns [`BadGrant`] if the scope is not valid, or biscuit cannot build the token.
pub fn issue(owner: &Identity, terms: &Terms) -> Result<Issued, BadGrant> {
    let mut builder = BiscuitBuilder::new();
    let mut said = BTreeSet::new();
    for action in terms.scope.actions.iter().filter(|action| said.insert(**action)) {
        builder = builder.fact(fact("right", [text(terms.population), Term::Str(action.word().into())]))?;
    }
    builder = builder.fact(fact("holder", [text(terms.holder)]))?.fact(fact("owner", [text(owner.id())]))?;
    // A node that answers for the owner elsewhere has no log of what was granted.
    let scope = serde_json::to_string(&terms.scope).map_err(|_| BadGrant::Field("scope: cannot be encoded"))?;
    builder = builder.fact(fact("scope", [Term::Str(scope)]))?;
    if let Some(key) = &terms.files_key {
        builder = builder.fact(fact(FILES_KEY, [text(key)]))?;
    }
    // The holder's own key names a colleague's key in a block of its own.
    builder = builder.check(form::bound_to(&terms.holder).as_str())?;
    for demand in Demand::of(&Narrowing::from(&terms.scope))? {
        builder = builder.check(demand.datalog().as_str())?;
    }
    let biscuit = builder.build(&grant_keypair(owner).map_err(error::Token::from)?)?;
    Issued::of(biscuit.to_base64()?)
}

/// As biscuit writes base64; padding is optional.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

fn malformed(why: impl std::fmt::Display) -> BadGrant {
    BadGrant::Token(error::Token::Format(error::Format::DeserializationError(why.to_string())))
}

/// Decodes a token into its bytes and its blocks, which are of bounded number and size.
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
        return Err(malformed("it has no signature"));
    }
    Ok((bytes, token))
}

fn ids_of(token: &schema::Biscuit) -> Vec<String> {
    std::iter::once(&token.authority).chain(&token.blocks).map(|block| hex::encode(&block.signature)).collect()
}

/// Returns the revocation ids of a token's blocks as the token states them. Signatures and contents are not checked.
///
/// # Errors
/// Returns [`BadGrant`] if it is not a token.
pub fn ids(token: &str) -> Result<Vec<String>, BadGrant> {
    opened(token.trim()).map(|(_, token)| ids_of(&token))
}

/// Rights given by a token to the peer who shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Revocation ids of its blocks, the owner's first.
    pub ids: Vec<String>,
    /// Original holder of the grant. It differs from the peer if the holder narrowed the grant for another party.
    pub holder: PeerId,
    /// Rights granted in the owner's block. Earlier tokens do not have them.
    pub scope: Option<Box<Scope>>,
    /// Time of expiry: the earliest of all blocks. No right given by the token may outlast this time.
    pub ends: Option<SystemTime>,
}

impl Authority {
    /// Limits the time of expiry to `end`.
    #[must_use]
    pub fn until(mut self, end: Option<SystemTime>) -> Self {
        self.ends = self.ends.into_iter().chain(end).min();
        self
    }

    /// Intersects these rights with another token's, such as a mirror's own grant with its client's. The result ends with either,
    /// and has the revocation ids of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.ids.extend(other.ids.iter().cloned());
        self.until(other.ends)
    }
}

/// A token whose blocks all have known forms. Whether its owner signed it is checked when needed.
///
/// The cost of reading a token and deciding by it is bounded by its length ([`limits::GRANT_BYTES`]) and the number of its blocks
/// ([`limits::GRANT_BLOCKS`]): no rule or check is evaluated; each has one of a few forms and is compared with the request. At
/// most two signatures per block are verified, once per key. It needs no deadline.
#[derive(Debug)]
pub struct Token {
    text: String,
    bytes: Vec<u8>,
    pub(super) ids: Vec<String>,
    pub(super) granted: Granted,
    /// Demands of all blocks.
    demands: Vec<Demand>,
    /// Party named by the holder, with its keys of encrypted files, block by block.
    pub(super) named: Vec<Option<(PeerId, Option<String>)>>,
    /// Last grant key checked, and whether it signed.
    signed: Mutex<Option<(String, bool)>>,
}

impl Token {
    /// Reads a token without checking yet whether its owner signed it.
    ///
    /// # Errors
    /// Returns [`BadGrant`] with the reason.
    pub fn read(text: &str) -> Result<Self, BadGrant> {
        let text = text.trim();
        let (bytes, token) = opened(text)?;
        let odd = |block, why| BadGrant::Form { block, why };
        if token.root_key_id.is_some() || !matches!(token.proof.content, Some(proof::Content::NextSecret(_))) {
            return Err(odd(0, "it names a root key or is sealed, which no grant may"));
        }
        let ed25519 = |key: &schema::PublicKey| key.algorithm == schema::public_key::Algorithm::Ed25519 as i32;
        if let Some(number) = std::iter::once(&token.authority).chain(&token.blocks).position(|b| !ed25519(&b.next_key)) {
            return Err(odd(number, "its key is not an ed25519 key"));
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
                    // A third-party block has its own texts only.
                    let mut own = Symbols::new();
                    own.add(block);
                    form::narrowed(block, &own, true)
                }
                Some(_) => Err("it is not signed by the grant's holder"),
            };
            let narrowed = narrowed.map_err(|why| odd(number, why))?;
            demands.extend(narrowed.demands);
            named.push(narrowed.to);
        }
        let ids = ids_of(&token);
        Ok(Self { text: text.to_owned(), bytes, ids, granted, demands, named, signed: Mutex::default() })
    }

    /// Returns the token's text as shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the token's dataset lineage, whoever signed it.
    pub fn population(&self) -> ContentHash {
        self.granted.population
    }

    /// Returns whether `grant_key` (hexadecimal) signed the token and all added blocks are validly signed.
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

    /// Returns whether `peer` may show the token, as its holder or as the party named by the holder.
    fn is_for(&self, peer: PeerId) -> bool {
        let mut named = self.named.iter().flatten().peekable();
        match named.peek() {
            None => self.granted.holder == peer,
            // Naming the same party twice is the same as naming it once.
            Some(_) => named.all(|(party, _)| *party == peer),
        }
    }

    /// Returns the rights of an unexpired token of this lineage that `grant_key` (hexadecimal) signed and `peer` may show.
    ///
    /// Actions are not checked.
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

    /// Decides whether the token, signed by `grant_key` (hexadecimal), lets `peer` (as the connection proves) do this with
    /// `population`.
    ///
    /// The caller checks whether one of its blocks was revoked, and what the log says of the owner's block.
    ///
    /// # Errors
    /// Returns [`Code::NotGranted`] for everything that does not hold.
    pub fn authorize(&self, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
        // The most expensive check comes last: signatures are not verified if the token would not suffice.
        if let Some((field, why)) = self.refuses(peer, population, ask) {
            return Err(not_granted(why).at(field));
        }
        if !self.signed_by(grant_key) {
            let why = format!("the grant names {} as its issuer, and is not signed by this dataset's owner", self.granted.owner);
            return Err(not_granted(why));
        }
        Ok(self.authority())
    }

    /// Returns the first reason to refuse a request, signatures aside: a field and a message, from token and request alone.
    fn refuses(&self, peer: PeerId, population: ContentHash, ask: &Ask) -> Option<(&'static str, String)> {
        if !self.is_for(peer) {
            let named = self.named.iter().flatten().last().map_or(self.granted.holder, |(party, _)| *party);
            return Some(("grant.holder", format!("the grant's holder is {named}, and the request is from {peer}")));
        }
        if self.granted.population != population {
            let of = self.granted.population.short();
            return Some(("grant", format!("the grant is for another dataset (lineage {of}…)")));
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

/// Token shown with a request, read once: a valid token, none, or something unreadable.
#[derive(Debug)]
pub struct Presented(Result<Token, Refusal>);

impl Presented {
    /// Reads the token shown with a request.
    pub fn read(text: &str) -> Self {
        let token = match text.trim() {
            "" => Err(not_granted("the request has no grant".into())),
            text => Token::read(text).map_err(|e| not_granted(e.to_string())),
        };
        Self(token)
    }

    /// Returns the token, if valid.
    pub fn token(&self) -> Option<&Token> {
        self.0.as_ref().ok()
    }

    /// Decides as [`Token::authorize`].
    ///
    /// # Errors
    /// Returns [`Code::NotGranted`], also if it is not a token.
    pub fn authorize(&self, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
        self.0.as_ref().map_err(Clone::clone)?.authorize(grant_key, peer, population, ask)
    }
}

/// Reads a token and decides as [`Token::authorize`].
///
/// # Errors
/// Returns [`Code::NotGranted`] for everything that does not hold.
pub fn authorize(token: &str, grant_key: &str, peer: PeerId, population: ContentHash, ask: &Ask) -> Result<Authority, Refusal> {
    Presented::read(token).authorize(grant_key, peer, population, ask)
}

/// Reads a grant key from its form in manifests.
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
