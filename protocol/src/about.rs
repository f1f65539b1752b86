//! Human-readable description of a dataset, and the check of which texts may be shown.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Human-readable description of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Description of the dataset.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Search keywords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Licence under which results may be used: a name or an address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub license: String,
}

impl About {
    /// Returns whether every field is empty.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the sizes of all texts, and the absence of characters that misrepresent the text.
    ///
    /// # Errors
    /// Returns [`BadListing`] with the name of the bad field.
    pub fn check(&self) -> Result<(), BadListing> {
        text("description", &self.description, limits::DESCRIPTION_BYTES)?;
        text("license", &self.license, limits::NAME_BYTES)?;
        if self.keywords.len() > limits::KEYWORDS {
            return Err(BadListing { field: "keywords", why: "has too many entries" });
        }
        self.keywords.iter().try_for_each(|word| text("keywords", word, limits::NAME_BYTES))
    }
}

/// Error of a rejected listing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("listing field `{field}`: {why}")]
pub struct BadListing {
    /// Name of the field.
    pub field: &'static str,
    /// Reason.
    pub why: &'static str,
}

/// Returns whether `c` is invisible or changes how other characters are shown.
///
/// These are controls, format characters and direction marks (Unicode's general categories Cc and Cf, and the ones that Unicode
/// Technical Report 36 warns of).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1345F}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

pub(crate) fn text(field: &'static str, text: &str, most: usize) -> Result<(), BadListing> {
    if text.len() > most {
        return Err(BadListing { field, why: "is too long" });
    }
    if text.chars().any(is_hidden) {
        return Err(BadListing { field, why: "has invisible characters, or characters that change how others are displayed" });
    }
    Ok(())
}
