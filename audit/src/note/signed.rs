//! A note and its signature lines, as text.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Maximum length of a note in bytes.
const NOTE_BYTES: usize = 1 << 20;
/// Maximum number of signatures on a note: a stranger may add any number.
const SIGNATURES: usize = 100;
/// Prefix of a signature line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Reason for refusing a note, checkpoint, cosignature or proof.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadNote(pub String);

pub(super) fn bad<T>(what: impl Into<String>) -> Result<T, BadNote> {
    Err(BadNote(what.into()))
}

/// Returns whether `name` can name a signer: nonempty, without spaces, control characters and `+`.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// Signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the claimed signer.
    pub name: String,
    /// Key id.
    pub id: [u8; 4],
    /// Bytes after the key id.
    pub bytes: Vec<u8>,
}

impl NoteSignature {
    /// Parses a line, without its newline.
    ///
    /// # Errors
    /// Returns [`BadNote`] if the line is malformed.
    pub fn parse(line: &str) -> Result<Self, BadNote> {
        let malformed = || BadNote("a signature line is malformed".into());
        let (name, encoded) = line.strip_prefix(DASH).and_then(|l| l.split_once(' ')).ok_or_else(malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed())?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        if !is_name(name) || bytes.is_empty() {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }

    /// Formats the line, with its newline.
    pub fn line(&self) -> String {
        let mut bytes = self.id.to_vec();
        bytes.extend_from_slice(&self.bytes);
        format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// Parsed note, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Signed text, with its last newline.
    pub text: String,
    /// Signatures, in order.
    pub signatures: Vec<NoteSignature>,
}

impl Note {
    /// Parses a note.
    ///
    /// # Errors
    /// Returns [`BadNote`] naming the problem with its form.
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        if note.len() > NOTE_BYTES {
            return bad(format!("the note is longer than {NOTE_BYTES} bytes"));
        }
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return bad("the note has a control character");
        }
        // The last empty line separates: the text may have others.
        let Some((text, signatures)) = note.rsplit_once("\n\n") else { return bad("the note has no signature block") };
        let Some(signatures) = signatures.strip_suffix('\n') else { return bad("the note is truncated") };
        let signatures = signatures.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES {
            return bad(format!("the note has more than {SIGNATURES} signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Adds signatures by signers not on the note yet, up to `most` signatures in all.
    pub fn merge(&mut self, signatures: impl IntoIterator<Item = NoteSignature>, most: usize) {
        for signature in signatures {
            let known = self.signatures.iter().any(|s| (&s.name, s.id) == (&signature.name, signature.id));
            if !known && self.signatures.len() < most {
                self.signatures.push(signature);
            }
        }
    }

    /// Formats the note as text.
    pub fn to_text(&self) -> String {
        let lines: String = self.signatures.iter().map(NoteSignature::line).collect();
        format!("{}\n{lines}", self.text)
    }
}
