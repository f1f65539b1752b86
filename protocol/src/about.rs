//! What people are told of a dataset, in words, and which texts may be shown.

use serde::{Deserialize, Serialize};

use crate::limits;

/// What people are told of a dataset, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Under which licence results may be used: a name or an address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub license: String,
}

impl About {
    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sizes, and no characters that lie about what is shown.
    ///
    /// # Errors
    /// [`BadListing`] naming the field.
    pub fn check(&self) -> Result<(), BadListing> {
        text("description", &self.description, limits::DESCRIPTION_BYTES)?;
        text("license", &self.license, limits::NAME_BYTES)?;
        if self.keywords.len() > limits::KEYWORDS {
            return Err(BadListing { field: "keywords", why: "there are too many" });
        }
        self.keywords.iter().try_for_each(|word| text("keywords", word, limits::NAME_BYTES))
    }
}

/// A listing was turned down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("listing field `{field}`: {why}")]
pub struct BadListing {
    /// The field.
    pub field: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Characters that are not seen, or change how others are: controls, formats, and marks of direction (Unicode's general categories Cc and Cf, and what
/// Unicode Technical Report 36 warns of).
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
        return Err(BadListing { field, why: "has characters that are not seen, or change how others are" });
    }
    Ok(())
}
