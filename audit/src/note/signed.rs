//! A note and its signature lines, as text.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Longest note that is read.
const NOTE_BYTES: usize = 1 << 20;
/// Most signatures on one note: a stranger may add any number.
const SIGNATURES: usize = 100;
/// What a signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// A note, checkpoint, cosignature or proof was refused.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadNote(pub String);

pub(super) fn bad<T>(what: impl Into<String>) -> Result<T, BadNote> {
    Err(BadNote(what.into()))
}

/// Whether `name` can name a signer: something, without spaces, control characters and `+`.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who is said to have signed.
    pub name: String,
    /// Key id.
    pub id: [u8; 4],
    /// What follows the key id.
    pub bytes: Vec<u8>,
}

impl NoteSignature {
    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// [`BadNote`].
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

    /// The line, with its newline.
    pub fn line(&self) -> String {
        let mut bytes = self.id.to_vec();
        bytes.extend_from_slice(&self.bytes);
        format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// A note that was read and of which nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its last newline.
    pub text: String,
    /// In order.
    pub signatures: Vec<NoteSignature>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`BadNote`] naming what is wrong with its form.
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        if note.len() > NOTE_BYTES {
            return bad(format!("the note is longer than {NOTE_BYTES} bytes"));
        }
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return bad("the note has a control character");
        }
        // The last empty line: the text may have others.
        let Some((text, signatures)) = note.rsplit_once("\n\n") else { return bad("the note has no signature block") };
        let Some(signatures) = signatures.strip_suffix('\n') else { return bad("the note is cut short") };
        let signatures = signatures.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES {
            return bad(format!("the note has more than {SIGNATURES} signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Adds signatures of those who have none on it yet, until it has `most`.
    pub fn merge(&mut self, signatures: impl IntoIterator<Item = NoteSignature>, most: usize) {
        for signature in signatures {
            let known = self.signatures.iter().any(|s| (&s.name, s.id) == (&signature.name, signature.id));
            if !known && self.signatures.len() < most {
                self.signatures.push(signature);
            }
        }
    }

    /// The note as text.
    pub fn to_text(&self) -> String {
        let lines: String = self.signatures.iter().map(NoteSignature::line).collect();
        format!("{}\n{lines}", self.text)
    }
}
