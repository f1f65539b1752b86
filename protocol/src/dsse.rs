//! Signed documents: DSSE v1 envelopes around JSON payloads (<https://github.com/secure-systems-lab/dsse>).

use std::marker::PhantomData;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ContentHash, Identity, PeerId, Sha256Digest, limits};

/// A JSON document that travels signed.
pub trait Document: Serialize + DeserializeOwned {
    /// DSSE payload type, a media type.
    const PAYLOAD_TYPE: &'static str;
    /// Whether the document is shown to people wherever it goes.
    ///
    /// If so, no text in it may have characters that change how others are shown ([`crate::shown::repaints`]).
    const SHOWN: bool = false;
}

/// Reason why an envelope or its payload was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadDocument {
    /// The document is longer than [`limits::DOCUMENT_BYTES`] or [`limits::ENTRY_BYTES`].
    #[error("the document has {got} bytes, the limit is {limit}")]
    TooLong {
        /// Number of bytes seen.
        got: usize,
        /// Number of bytes allowed.
        limit: usize,
    },
    /// The bytes are not an envelope in canonical form.
    #[error("not a DSSE envelope in canonical form: {0}")]
    Form(String),
    /// The envelope holds another kind of document.
    #[error("expected payload type {expected}, got {got}")]
    PayloadType {
        /// Type asked for.
        expected: &'static str,
        /// Type found.
        got: String,
    },
    /// The signature is not valid under the key named by `keyid`.
    #[error("the signature of {0} is invalid")]
    Signature(String),
    /// The payload is not the JSON of its type.
    #[error("payload: {0}")]
    Payload(String),
}

/// A signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// The signer's `did:key`.
    pub keyid: String,
    /// Base64 of the 64-byte ed25519 signature over the PAE.
    pub sig: String,
}

/// A DSSE envelope with exactly one ed25519 signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    /// Base64 of the payload bytes.
    pub payload: String,
    /// Media type of the payload.
    pub payload_type: String,
    /// Signatures: exactly one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// Encodes the bytes to sign: DSSE's pre-authentication encoding.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// Returns whether JSON writes `text` unescaped.
fn is_plain(text: &str) -> bool {
    // No early exit, so that the loop can be vectorized.
    text.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b) & (b != b'"') & (b != b'\\'))
}

impl Envelope {
    /// Signs `payload` as `payload_type`.
    pub fn sign(payload_type: &str, payload: &[u8], identity: &Identity) -> Self {
        Self {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: identity.id().did(),
                sig: STANDARD.encode(identity.sign(&pae(payload_type, payload))),
            }],
        }
    }

    /// Builds an envelope from a payload and a claimed signature (base64) of `signer`.
    pub fn of_parts(payload_type: &str, payload: &[u8], signer: &PeerId, sig: &str) -> Self {
        let signature = EnvelopeSignature { keyid: signer.did(), sig: sig.to_owned() };
        Self { payload: STANDARD.encode(payload), payload_type: payload_type.to_owned(), signatures: vec![signature] }
    }

    /// Returns the canonical bytes (RFC 8785), which the log commits to.
    ///
    /// # Errors
    /// Returns an error if the JSON library cannot write the envelope, which strings alone cannot cause.
    pub fn to_canonical(&self) -> Result<Vec<u8>, BadDocument> {
        if let [EnvelopeSignature { keyid, sig }] = self.signatures.as_slice()
            && [&self.payload, &self.payload_type, keyid, sig].into_iter().all(|text| is_plain(text))
        {
            // Keys in canonical order, and texts that need no escaping.
            let (payload, kind) = (&self.payload, &self.payload_type);
            let text = format!(
                "{{\"payload\":\"{payload}\",\"payloadType\":\"{kind}\",\"signatures\":[{{\"keyid\":\"{keyid}\",\"sig\":\"{sig}\"}}]}}"
            );
            return Ok(text.into_bytes());
        }
        serde_json_canonicalizer::to_vec(self).map_err(|e| BadDocument::Form(e.to_string()))
    }

    /// Reads an envelope from canonical bytes.
    ///
    /// Any other form of the same envelope is refused, so that nothing is malleable.
    ///
    /// # Errors
    /// Returns [`BadDocument::TooLong`] or [`BadDocument::Form`], or [`BadDocument::Signature`] if the signature is not valid.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, BadDocument> {
        let envelope = Self::from_canonical_unchecked(bytes)?;
        envelope.check()?;
        Ok(envelope)
    }

    /// Reads as [`Envelope::from_canonical`], but leaves the check of the signature to the caller.
    ///
    /// # Errors
    /// Returns [`BadDocument::TooLong`] or [`BadDocument::Form`].
    pub fn from_canonical_unchecked(bytes: &[u8]) -> Result<Self, BadDocument> {
        if bytes.len() > limits::ENTRY_BYTES {
            return Err(BadDocument::TooLong { got: bytes.len(), limit: limits::ENTRY_BYTES });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|e| BadDocument::Form(e.to_string()))?;
        if envelope.to_canonical()? != bytes {
            return Err(BadDocument::Form("the bytes are not in RFC 8785 canonical form".into()));
        }
        Ok(envelope)
    }

    /// Returns the SHA-256 of the payload's bytes.
    ///
    /// If the payload is not base64, which a checked envelope's always is, this is the digest of no bytes.
    pub fn payload_sha256(&self) -> Sha256Digest {
        Sha256Digest::of(&STANDARD.decode(&self.payload).unwrap_or_default())
    }

    /// Checks the signature and returns its key and the payload.
    ///
    /// # Errors
    /// Returns [`BadDocument::Form`] or [`BadDocument::Signature`].
    pub fn check(&self) -> Result<(PeerId, Vec<u8>), BadDocument> {
        let [signature] = self.signatures.as_slice() else {
            return Err(BadDocument::Form(format!("{} signatures; exactly one is required", self.signatures.len())));
        };
        let form = |what: &str| BadDocument::Form(what.to_owned());
        // The standard engine refuses non-canonical trailing bits, so the text form is unique too.
        let payload = STANDARD.decode(&self.payload).map_err(|_| form("payload is not base64"))?;
        let sig = STANDARD.decode(&signature.sig).map_err(|_| form("sig is not base64"))?;
        let peer: PeerId = signature.keyid.parse().map_err(|_| form("keyid is not a did:key"))?;
        if peer.did() != signature.keyid {
            return Err(form("keyid is not in did:key form"));
        }
        if !peer.verifies(&pae(&self.payload_type, &payload), &sig) {
            return Err(BadDocument::Signature(signature.keyid.clone()));
        }
        Ok((peer, payload))
    }
}

/// Checks a shown document for characters that change how others are shown, in every field, including fields added later.
fn may_be_shown<T: Document>(payload: &[u8]) -> Result<(), BadDocument> {
    if !T::SHOWN {
        return Ok(());
    }
    let value = serde_json::from_slice(payload).map_err(|e| BadDocument::Payload(e.to_string()))?;
    if crate::shown::is_plain_json(&value) {
        return Ok(());
    }
    Err(BadDocument::Payload("a string has control characters, or characters that change how it is displayed".into()))
}

/// A document with a checked signature. Only [`Signed::sign`] and [`Signed::open`] create it.
#[derive(Debug, Clone)]
pub struct Signed<T> {
    envelope: Envelope,
    signer: PeerId,
    id: ContentHash,
    body: T,
    _private: PhantomData<()>,
}

impl<T: Document> Signed<T> {
    /// Signs `body` as canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// Returns [`BadDocument::TooLong`] past [`limits::DOCUMENT_BYTES`], and [`BadDocument::Payload`] for numbers that JSON
    /// cannot hold.
    pub fn sign(body: T, identity: &Identity) -> Result<Self, BadDocument> {
        Self::sign_within(body, identity, limits::DOCUMENT_BYTES)
    }

    /// Signs as [`Signed::sign`], with a limit of `limit` bytes.
    ///
    /// # Errors
    /// Returns the errors of [`Signed::sign`], with `limit` in place of its limit.
    pub fn sign_within(body: T, identity: &Identity, limit: usize) -> Result<Self, BadDocument> {
        let payload = serde_json_canonicalizer::to_vec(&body).map_err(|e| BadDocument::Payload(e.to_string()))?;
        if payload.len() > limit {
            return Err(BadDocument::TooLong { got: payload.len(), limit });
        }
        may_be_shown::<T>(&payload)?;
        let envelope = Envelope::sign(T::PAYLOAD_TYPE, &payload, identity);
        Ok(Self { envelope, signer: identity.id(), id: ContentHash::of(&payload), body, _private: PhantomData })
    }

    /// Opens an envelope after checking its signature, type, size and JSON.
    ///
    /// # Errors
    /// Returns any [`BadDocument`].
    pub fn open(envelope: Envelope) -> Result<Self, BadDocument> {
        if envelope.payload_type != T::PAYLOAD_TYPE {
            let got = envelope.payload_type.chars().take(120).collect();
            return Err(BadDocument::PayloadType { expected: T::PAYLOAD_TYPE, got });
        }
        if envelope.payload.len() > limits::DOCUMENT_BYTES / 3 * 4 + 4 {
            let got = envelope.payload.len() / 4 * 3;
            return Err(BadDocument::TooLong { got, limit: limits::DOCUMENT_BYTES });
        }
        let (signer, payload) = envelope.check()?;
        may_be_shown::<T>(&payload)?;
        let body = serde_json::from_slice(&payload).map_err(|e| BadDocument::Payload(e.to_string()))?;
        Ok(Self { envelope, signer, id: ContentHash::of(&payload), body, _private: PhantomData })
    }

    /// Returns the document's id: BLAKE3 of the payload bytes as signed.
    pub fn id(&self) -> ContentHash {
        self.id
    }

    /// Returns the signer.
    pub fn signer(&self) -> PeerId {
        self.signer
    }

    /// Returns the signed document.
    pub fn body(&self) -> &T {
        &self.body
    }

    /// Returns the signed document without its envelope.
    pub fn into_body(self) -> T {
        self.body
    }

    /// Returns the envelope, to be sent or stored.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Note {
        text: String,
    }
    impl Document for Note {
        const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.note+json";
    }

    fn note() -> Signed<Note> {
        Signed::sign(Note { text: "low water".into() }, &Identity::from_seed([3; 32])).unwrap()
    }

    #[test]
    fn pae_is_the_one_of_the_specification() {
        // The example of DSSE's protocol.md.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn the_short_way_to_the_canonical_form_is_the_library_s() {
        for text in ["", "plain", "a\"b", "back\\slash", "\u{7f}", "\n", "\u{e9}", "~ !"] {
            for field in 0..4 {
                let mut envelope = note().envelope().clone();
                let signature = &mut envelope.signatures[0];
                let fields = [&mut envelope.payload, &mut envelope.payload_type, &mut signature.keyid, &mut signature.sig];
                *fields.into_iter().nth(field).unwrap() = text.into();
                assert_eq!(envelope.to_canonical().unwrap(), serde_json_canonicalizer::to_vec(&envelope).unwrap(), "{text:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = note().envelope().to_canonical().unwrap();
        assert_eq!(Envelope::from_canonical(&bytes).unwrap(), *note().envelope());
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[i] ^= 1 << bit;
                assert!(Envelope::from_canonical(&bad).is_err(), "byte {i} bit {bit}");
            }
        }
    }

    #[test]
    fn other_forms_of_the_same_envelope_are_refused() {
        let text = String::from_utf8(note().envelope().to_canonical().unwrap()).unwrap();
        for other in [
            text.replace("{\"payload\"", "{ \"payload\""),
            text.replace("}]}", "}],\"x\":1}"),
            text.replace("\"signatures\":[", "\"signatures\":[],\"signatures\":["),
        ] {
            assert!(Envelope::from_canonical(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_document_of_another_type_or_signer_is_refused() {
        let mut envelope = note().envelope().clone();
        envelope.payload_type = "text/plain".into();
        assert!(matches!(Signed::<Note>::open(envelope), Err(BadDocument::PayloadType { .. })));
        let mut envelope = note().envelope().clone();
        envelope.signatures[0].keyid = Identity::from_seed([4; 32]).id().did();
        assert!(matches!(Signed::<Note>::open(envelope), Err(BadDocument::Signature(_))));
        let mut envelope = note().envelope().clone();
        envelope.signatures.push(envelope.signatures[0].clone());
        assert!(matches!(Signed::<Note>::open(envelope), Err(BadDocument::Form(_))));
    }
}
