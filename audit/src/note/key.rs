//! Signers of notes: a name, a kind of signature and an ed25519 key.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use tidegate_protocol::{Identity, PeerId};

use super::{BadNote, bad, signed::is_name};

/// Kind of signature made by a key. The values are C2SP's signature types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A log's own signature over the note's text: ed25519, type 0x01 (signed-note).
    Log = 0x01,
    /// A witness's timestamped cosignature: ed25519, type 0x04 (tlog-cosignature, `cosignature/v1`).
    Cosigner = 0x04,
}

/// Forbidden name prefixes: they begin messages signed elsewhere by ed25519 keys, for which a note of this origin could be taken.
const TAKEN: [&str; 3] = ["DSSEv1", "cosignature/v1", "subtree/v1"];

/// A signer's name and public key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verifier {
    /// Name of the signer; for a log, its origin.
    pub name: String,
    /// Kind of signature.
    pub kind: Kind,
    /// Public key.
    pub key: PeerId,
}

impl Verifier {
    /// Returns the verifier of `owner`'s log.
    pub fn log(owner: &PeerId) -> Self {
        Self { name: origin(owner), kind: Kind::Log, key: *owner }
    }

    /// Returns the first bytes of SHA-256 over name, type and key.
    pub fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.kind as u8])
            .chain_update(self.key.as_bytes())
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Formats the verifier key in C2SP's text form: `name+id+base64`.
    pub fn vkey(&self) -> String {
        let id: String = self.id().iter().map(|b| format!("{b:02x}")).collect();
        let mut material = vec![self.kind as u8];
        material.extend_from_slice(self.key.as_bytes());
        format!("{}+{id}+{}", self.name, STANDARD.encode(material))
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// Returns [`BadNote`] naming the bad part.
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let text = text.trim();
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
            return bad("a verifier key has the form name+id+base64");
        };
        if !is_name(name) || TAKEN.iter().any(|taken| name.starts_with(taken)) {
            return bad(format!("{:?} cannot name a signer of notes", name.chars().take(80).collect::<String>()));
        }
        let material = STANDARD.decode(material).map_err(|_| BadNote("the verifier key is not base64".into()))?;
        let (kind, key) = match material.split_first() {
            Some((0x01, key)) => (Kind::Log, key),
            Some((0x04, key)) => (Kind::Cosigner, key),
            Some((kind, _)) => return bad(format!("key type 0x{kind:02x} is not supported")),
            None => return bad("the verifier key is empty"),
        };
        let key = key.try_into().ok().and_then(|key| PeerId::from_bytes(key).ok());
        let Some(key) = key else { return bad("the verifier key holds no usable ed25519 key") };
        let verifier = Self { name: name.to_owned(), kind, key };
        if verifier.vkey() == text { Ok(verifier) } else { bad("the verifier key's id does not match its name and key") }
    }
}

/// Returns the origin of an owner's log, which is also the name of its note key.
pub fn origin(owner: &PeerId) -> String {
    format!("tidegate.dev/log/{}", owner.did())
}

/// Returns the verifier key of an owner's log.
pub fn vkey(owner: &PeerId) -> String {
    Verifier::log(owner).vkey()
}

/// Returns the owner of the log with this verifier key.
///
/// # Errors
/// Returns [`BadNote`] if it is not a key made by [`vkey`].
pub fn owner_of_vkey(text: &str) -> Result<PeerId, BadNote> {
    let verifier = Verifier::parse(text)?;
    if verifier == Verifier::log(&verifier.key) { Ok(verifier.key) } else { bad("not a verifier key of a tidegate log") }
}

/// Derives a party's key for cosigning others' checkpoints. A separate key signs the party's own log: C2SP requires that no key
/// serves both.
pub fn cosigner(party: &Identity) -> (Verifier, Identity) {
    let key = Identity::from_seed(party.derive("witness cosignature key"));
    (Verifier { name: format!("tidegate.dev/witness/{}", party.id().did()), kind: Kind::Cosigner, key: key.id() }, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_key_is_read_back_and_nothing_like_it_is() {
        let party = Identity::from_seed([5; 32]);
        for verifier in [Verifier::log(&party.id()), cosigner(&party).0] {
            let text = verifier.vkey();
            assert_eq!(Verifier::parse(&format!("{text}\n")), Ok(verifier));
            for i in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[i] ^= 1;
                assert!(Verifier::parse(&String::from_utf8_lossy(&bytes)).is_err(), "byte {i}");
            }
        }
        assert_eq!(owner_of_vkey(&vkey(&party.id())), Ok(party.id()));
        assert!(owner_of_vkey(&cosigner(&party).0.vkey()).is_err(), "a witness has no log of that name");
    }

    #[test]
    fn log_and_witness_never_share_a_key() {
        let party = Identity::from_seed([5; 32]);
        let (witness, key) = cosigner(&party);
        assert_ne!(witness.key, party.id());
        assert_eq!(witness.key, key.id());
    }

    #[test]
    fn names_that_begin_like_other_signed_messages_are_refused() {
        let key = Identity::from_seed([5; 32]).id();
        for name in ["DSSEv1", "cosignature/v1/x", "subtree/v1"] {
            assert!(Verifier::parse(&Verifier { name: name.into(), kind: Kind::Log, key }.vkey()).is_err(), "{name}");
        }
    }
}
