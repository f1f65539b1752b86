//! Keys of parties: an ed25519 key is a party's network address and signs its documents.

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod known;

use known::Known;

/// Multicodec prefix of an ed25519 public key (did:key method, section 3.1.1: `0xed` as a varint).
const MULTICODEC_ED25519: [u8; 2] = [0xed, 0x01];

/// Error for a malformed or unusable key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadKey {
    /// The text is neither `did:key:z6Mk…` nor 64 hexadecimal characters.
    #[error("{0:?} is not a did:key of an ed25519 key, nor 64 hexadecimal characters")]
    Form(String),
    /// The bytes are not a point of the curve, or a point of small order, for which anybody can sign.
    #[error("the key is not a usable ed25519 public key")]
    Weak,
}

fn did_of(key: &[u8; 32]) -> String {
    let mut bytes = MULTICODEC_ED25519.to_vec();
    bytes.extend_from_slice(key);
    format!("did:key:z{}", bs58::encode(bytes).into_string())
}

/// Decodes a usable key. `None` for bytes off the curve or of small order.
fn decode(bytes: &[u8; 32]) -> Option<Known> {
    let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())?;
    Some(Known { key, did: did_of(bytes) })
}

/// A party's public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Accepts the 32 bytes of an ed25519 public key.
    ///
    /// # Errors
    /// Returns [`BadKey::Weak`] for bytes that are not a curve point, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, BadKey> {
        known::of(&bytes, || decode(&bytes), |_| Self(bytes)).ok_or(BadKey::Weak)
    }

    /// Returns the 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns whether `signature` (64 bytes) is this key's over `message`, by RFC 8032 with the strict checks of `verify_strict`
    /// (no small-order points, canonical scalars).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        known::of(&self.0, || decode(&self.0), |known| known.key.verify_strict(message, &signature).is_ok()).unwrap_or(false)
    }

    /// Returns the `did:key` form: multibase base58btc of the multicodec-prefixed key.
    pub fn did(&self) -> String {
        known::of(&self.0, || decode(&self.0), |known| known.did.clone()).unwrap_or_else(|| did_of(&self.0))
    }

    /// Returns the X25519 public key of this ed25519 key, for encryption.
    ///
    /// It is its u-coordinate (RFC 7748, section 4.1). `None` for bytes that are not a key.
    pub fn agreement_key(&self) -> Option<[u8; 32]> {
        known::of(&self.0, || decode(&self.0), |known| known.key.to_montgomery().to_bytes())
    }

    /// Returns the last eight characters of the `did:key`, for tables.
    pub fn short(&self) -> String {
        let did = self.did();
        did[did.len() - 8..].to_owned()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.did())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.did())
    }
}

impl FromStr for PeerId {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        if let Some(bytes) = known::bytes(text) {
            return Ok(Self(bytes));
        }
        let bad = || BadKey::Form(text.chars().take(80).collect());
        let bytes = match text.strip_prefix("did:key:z") {
            Some(encoded) if encoded.len() <= 64 => {
                let bytes = bs58::decode(encoded).into_vec().map_err(|_| bad())?;
                bytes.strip_prefix(&MULTICODEC_ED25519[..]).ok_or_else(bad)?.to_vec()
            }
            Some(_) => return Err(bad()),
            None => hex::decode(text).map_err(|_| bad())?,
        };
        Self::from_bytes(bytes.try_into().map_err(|_| bad())?)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A party's secret key. `Debug` shows the public half only.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Draws a fresh key from the operating system.
    ///
    /// # Errors
    /// Returns an error if the operating system has no entropy to give.
    #[cfg(feature = "random")]
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(seed))
    }

    /// Builds the key with this RFC 8032 seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Returns the RFC 8032 seed, which must be written nowhere but in the key file.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the public half.
    pub fn id(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` with ed25519: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Returns the X25519 secret whose public half is [`PeerId::agreement_key`] (RFC 8032, section 5.1.5, steps 1 and 2).
    pub fn agreement_secret(&self) -> [u8; 32] {
        self.0.to_scalar_bytes()
    }

    /// Derives 32 secret bytes for a `purpose`, independent of the signing key (BLAKE3 key derivation).
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(&format!("tidegate 2026 {purpose}"), &self.0.to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_text_forms_parse_and_weak_keys_do_not() {
        let id = Identity::from_seed([7; 32]).id();
        assert_eq!(id.did().parse(), Ok(id));
        assert_eq!(hex::encode(id.as_bytes()).parse(), Ok(id));
        // The identity point: any signature of zeros would verify under a lax check.
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        assert_eq!(PeerId::from_bytes(identity_point), Err(BadKey::Weak));
    }

    #[test]
    fn signatures_bind_message_and_key() {
        let me = Identity::from_seed([1; 32]);
        let signature = me.sign(b"out");
        assert!(me.id().verifies(b"out", &signature));
        assert!(!me.id().verifies(b"in", &signature));
        assert!(!Identity::from_seed([2; 32]).id().verifies(b"out", &signature));
        assert!(!me.id().verifies(b"out", &signature[..63]));
    }
}
