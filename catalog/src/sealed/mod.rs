//! Datasets as held by mirrors: encrypted files, and the keys to open them.
//!
//! A dataset lineage (`population`) has an age key pair (<https://age-encryption.org/v1>, X25519). Its files are encrypted to it,
//! in chunks of 64 KiB, each of them authenticated, and are named by the hash of the encrypted file. A party that is granted a
//! copy gets the secret half, encrypted to the party's own key: an ed25519 key is an X25519 key too ([`PeerId::agreement_key`]).
//!
//! The plaintext is padded with zeros ([`Padding`]), so that a mirror does not see its exact size.
//!
//! # Path
//! [`Keys::generate`] → [`seal`] → (mirrors) → [`Keys::unwrap`] of the output of [`Keys::wrap`] → [`open`].

use std::io::{self, BufReader, BufWriter, Read, Write};

use age::{Decryptor, Encryptor, secrecy::ExposeSecret as _, x25519};
use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_protocol::{ContentHash, Identity, PeerId, sealed::SealedFile, size};

/// Maximum number of successive keys of a dataset lineage's files.
const KEYS: usize = 16;
/// Number of bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Error of encryption or decryption.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The text does not hold keys.
    #[error("invalid keys: {0}")]
    Keys(&'static str),
    /// The data is encrypted to others, or was changed since.
    #[error("cannot decrypt: {0}")]
    Open(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The plaintext is longer than the bound to which it is to be padded.
    #[error("it is longer than the {most} bytes that the policy allows (files.max_mib)")]
    Long {
        /// Bound in bytes.
        most: u64,
    },
    /// A file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Keys to which a dataset lineage's files are encrypted, the current key first. `Debug` shows only their number.
#[derive(Clone)]
pub struct Keys(Vec<x25519::Identity>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// Formats a raw X25519 key in age's text form: Bech32 (BIP 173).
fn bech32(kind: &str, key: &[u8; 32]) -> Option<String> {
    bech32::encode::<bech32::Bech32>(bech32::Hrp::parse(kind).ok()?, key).ok()
}

fn recipient(of: &PeerId) -> Option<x25519::Recipient> {
    bech32("age", &of.agreement_key()?)?.parse().ok()
}

fn identity(of: &Identity) -> Option<x25519::Identity> {
    bech32("age-secret-key-", &of.agreement_secret())?.to_uppercase().parse().ok()
}

impl Keys {
    /// Generates a fresh key.
    pub fn generate() -> Self {
        Self(vec![x25519::Identity::generate()])
    }

    /// Prepends a fresh key, dropping the oldest if there are too many.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let older = self.0.iter().take(KEYS - 1).cloned();
        Self(std::iter::once(x25519::Identity::generate()).chain(older).collect())
    }

    /// Formats the keys for age's own tools: a secret key per line.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|key| format!("{}\n", key.to_string().expose_secret())).collect()
    }

    /// Returns the public half of the current key.
    pub fn in_use(&self) -> String {
        self.0.first().map(|key| key.to_public().to_string()).unwrap_or_default()
    }

    /// Parses the output of [`Keys::to_text`].
    ///
    /// # Errors
    /// Returns [`SealError::Keys`] if the text does not hold keys.
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        let keys =
            text.lines().take(KEYS + 1).map(str::parse).collect::<Result<Vec<x25519::Identity>, _>>().map_err(SealError::Keys)?;
        if keys.is_empty() || keys.len() > KEYS {
            return Err(SealError::Keys("there are no keys, or too many"));
        }
        Ok(Self(keys))
    }

    /// Encrypts the keys to a party, as base64.
    ///
    /// # Errors
    /// Returns [`SealError`] if the party's key does not allow encryption.
    pub fn wrap(&self, to: &PeerId) -> Result<String, SealError> {
        let to = recipient(to).ok_or(SealError::Keys("the party's key does not allow encryption"))?;
        let wrapped = age::encrypt(&to, self.to_text().as_bytes()).map_err(|e| SealError::Open(e.into()))?;
        Ok(STANDARD.encode(wrapped))
    }

    /// Decrypts keys encrypted to this party.
    ///
    /// # Errors
    /// Returns [`SealError`] if they were encrypted to another party, or changed.
    pub fn unwrap(wrapped: &str, party: &Identity) -> Result<Self, SealError> {
        let wrapped = STANDARD.decode(wrapped).map_err(|_| SealError::Keys("not base64"))?;
        let own = identity(party).ok_or(SealError::Keys("this party's key does not allow decryption"))?;
        let text = age::decrypt(&own, &wrapped).map_err(|e| SealError::Open(e.into()))?;
        Self::from_text(std::str::from_utf8(&text).map_err(|_| SealError::Keys("not text"))?)
    }
}

/// Writer hashing and counting the bytes passing through.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn over(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    fn file(&self) -> SealedFile {
        SealedFile { hash: ContentHash(*self.hasher.finalize().as_bytes()), bytes: self.bytes }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writer passing the first bytes, and refusing anything but zeros after them.
struct Cut<W> {
    inner: W,
    left: u64,
}

impl<W: Write> Write for Cut<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let wanted = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            let zeros = buf.iter().all(|byte| *byte == 0);
            return if zeros {
                Ok(buf.len())
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the data exceed the declared length"))
            };
        }
        let written = self.inner.write(&buf[..wanted])?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Copies everything and returns the number of bytes.
fn copy(from: &mut impl Read, to: &mut impl Write, progress: &mut dyn FnMut(u64)) -> io::Result<u64> {
    let (mut buffer, mut done) = (vec![0; BUFFER], 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        to.write_all(&buffer[..read])?;
        done += read as u64;
        progress(done);
    }
}

/// Length to which a plaintext is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Exactly this many bytes, whatever the plaintext: a public bound.
    To(u64),
    /// As [`size::public`] rounds, with a fresh secret. The length still follows from the plaintext's.
    Rounded,
}

impl Padding {
    /// Returns the padded length of `bytes` bytes.
    fn length(self, bytes: u64) -> Result<u64, SealError> {
        match self {
            Self::To(most) if bytes > most => Err(SealError::Long { most }),
            Self::To(most) => Ok(most),
            Self::Rounded => {
                let mut secret = [0; 8];
                getrandom::fill(&mut secret).map_err(|e| io::Error::other(e.to_string()))?;
                Ok(size::public(bytes, size::SEALED, u64::from_le_bytes(secret)))
            }
        }
    }
}

/// Encrypts `from` to the current key, padded with zeros. Returns hash and size of the encrypted file; `progress` is told the
/// bytes read.
///
/// # Errors
/// Returns [`SealError`] if there is no key, the plaintext is longer than its padded length, or reading or writing fails.
pub fn seal(
    keys: &Keys,
    from: &mut impl Read,
    padding: Padding,
    to: impl Write,
    progress: &mut dyn FnMut(u64),
) -> Result<SealedFile, SealError> {
    let recipient = keys.0.first().map(x25519::Identity::to_public).ok_or(SealError::Keys("there are no keys"))?;
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).map_err(|e| SealError::Open(e.into()))?;
    let mut writer = encryptor.wrap_output(BufWriter::with_capacity(BUFFER, Hashing::over(to)))?;
    let bytes = copy(from, &mut writer, progress)?;
    let padded = padding.length(bytes)?;
    copy(&mut io::repeat(0).take(padded - bytes), &mut writer, &mut |_| {})?;
    let hashing = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(hashing.file())
}

/// Decrypts the output of [`seal`] with any of the keys, up to `bytes` bytes. Returns their hash and size; `progress` is told the
/// bytes decrypted.
///
/// # Errors
/// Returns [`SealError::Open`] if it was encrypted to others, was changed or is cut off, or anything but zeros follows the wanted
/// bytes: the output must not be used then.
pub fn open(
    keys: &Keys,
    from: impl Read,
    to: impl Write,
    bytes: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<SealedFile, SealError> {
    let decryptor = Decryptor::new(BufReader::with_capacity(BUFFER, from)).map_err(|e| SealError::Open(e.into()))?;
    let mut reader = decryptor.decrypt(keys.0.iter().map(|key| key as _)).map_err(|e| SealError::Open(e.into()))?;
    let mut to = Cut { inner: Hashing::over(to), left: bytes };
    copy(&mut reader, &mut to, progress).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => SealError::Open(e.into()),
        _ => e.into(),
    })?;
    to.flush()?;
    Ok(to.inner.file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    fn sealed(keys: &Keys, bytes: &[u8]) -> Vec<u8> {
        padded(keys, bytes, Padding::Rounded)
    }

    fn padded(keys: &Keys, bytes: &[u8], padding: Padding) -> Vec<u8> {
        let mut out = Vec::new();
        let file = seal(keys, &mut &*bytes, padding, &mut out, &mut |_| {}).unwrap();
        assert_eq!((file.hash, file.bytes), (ContentHash::of(&out), out.len() as u64));
        out
    }

    fn opened(keys: &Keys, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        opened_of(keys, sealed, (3 << 16) + 5)
    }

    fn opened_of(keys: &Keys, sealed: &[u8], bytes: u64) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::new();
        let file = open(keys, sealed, &mut out, bytes, &mut |_| {})?;
        assert_eq!(file.hash, ContentHash::of(&out));
        Ok(out)
    }

    #[test]
    fn keys_are_for_the_party_they_were_wrapped_to() {
        let keys = Keys::generate().renewed();
        for seed in 1..20 {
            let wrapped = keys.wrap(&party(seed).id()).unwrap();
            assert_eq!(Keys::unwrap(&wrapped, &party(seed)).unwrap().to_text(), keys.to_text());
            assert!(Keys::unwrap(&wrapped, &party(seed + 1)).is_err());
        }
        for bad in ["", "AAAA", "?", &"A".repeat(1 << 16)] {
            assert!(Keys::unwrap(bad, &party(1)).is_err());
        }
    }

    /// Of a file that is a value longer, a mirror sees the same size, whatever it is.
    #[test]
    fn a_size_that_mirrors_see_is_rounded_and_not_always_alike() {
        let keys = Keys::generate();
        // What age writes before it, of a length drawn at random, is less than an eighth of a step.
        let seen = |bytes: usize| sealed(&keys, &vec![7; bytes]).len() >> 13;
        let least = seen(0);
        for bytes in [1, 1000, 50_000] {
            assert_eq!(seen(bytes), least);
        }
        let steps: std::collections::BTreeSet<_> = (0..60).map(|i| seen(300_000 + i % 2)).collect();
        assert_eq!(steps.len(), 2, "{steps:?}");
    }

    /// Where the owner states a bound, the size does not follow from the plaintext's at all.
    #[test]
    fn a_size_that_is_padded_to_a_bound_says_nothing() {
        let (keys, most) = (Keys::generate(), 300_000);
        // What age writes before it has a length drawn at random, which is less than this.
        let head = 8 << 10;
        let seen = |bytes: usize| padded(&keys, &vec![7; bytes], Padding::To(most)).len() as u64;
        let least = most + (most / (64 << 10) + 1) * 16;
        for bytes in [0, 1, 65_536, 131_072, 131_073, 262_144, 262_145, 300_000] {
            let more = seen(bytes).checked_sub(least).unwrap();
            assert!(more < head, "{bytes}: {more}");
        }
        let whole = padded(&keys, &vec![7; 70_000], Padding::To(most));
        assert_eq!(opened_of(&keys, &whole, 70_000).unwrap(), vec![7; 70_000]);
        let long = seal(&keys, &mut &vec![7u8; 300_001][..], Padding::To(most), io::sink(), &mut |_| {});
        assert!(matches!(long, Err(SealError::Long { most: 300_000 })), "{long:?}");
    }

    #[test]
    fn what_is_sealed_opens_with_its_keys_and_as_a_whole() {
        let (keys, plain) = (Keys::generate(), vec![7; (3 << 16) + 5]);
        let mut bytes = sealed(&keys, &plain);
        assert_eq!(opened(&keys, &bytes).unwrap(), plain);
        assert_eq!(opened_of(&keys, &sealed(&keys, &[]), 0).unwrap(), [0; 0]);
        // Nothing of it is taken for what comes after it.
        assert!(opened_of(&keys, &bytes, plain.len() as u64 - 1).is_err());
        assert!(!bytes.windows(16).any(|w| w == [7; 16]), "something of it is there to read");
        assert!(opened(&Keys::generate(), &bytes).is_err());
        // Of an older key too, as long as it is kept.
        let mut newer = keys.renewed();
        assert_eq!(opened(&newer, &bytes).unwrap(), plain);
        assert!(opened(&keys, &sealed(&newer, &plain)).is_err(), "who has the old key alone");
        for _ in 0..KEYS {
            newer = newer.renewed();
        }
        assert_eq!(newer.0.len(), KEYS);
        assert!(opened(&newer, &bytes).is_err());
        // Cut at a chunk's end too.
        for end in [0, 10, 200, bytes.len() - 1, bytes.len() - 5 - 16, bytes.len() - 5 - 16 - (1 << 16) - 16] {
            assert!(opened(&keys, &bytes[..end]).is_err(), "{end}");
        }
        for at in [50, 180, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert!(opened(&keys, &bytes).is_err(), "{at}");
            bytes[at] ^= 1;
        }
        assert_eq!(Keys::from_text(&newer.to_text()).unwrap().to_text(), newer.to_text());
        for bad in ["", "AGE-SECRET-KEY-1", &keys.to_text().repeat(KEYS + 1)] {
            assert!(Keys::from_text(bad).is_err(), "{bad}");
        }
    }
}
