//! Fits a description written for another catalogue into a listing.

use std::collections::BTreeSet;

use crate::about::{About, is_hidden};
use crate::limits;

impl About {
    /// Shortens all texts to fit a listing, on a single line and without invisible characters.
    ///
    /// Also returns notes for the author on everything cut.
    #[must_use]
    pub fn fitted(self) -> (Self, Vec<String>) {
        let mut cut = Vec::new();
        let description = fit("description", &self.description, limits::DESCRIPTION_BYTES, &mut cut);
        let license = fit("license", &self.license, limits::NAME_BYTES, &mut cut);
        let mut seen = BTreeSet::new();
        let words = self.keywords.iter().map(|word| fit("keyword", word, limits::NAME_BYTES, &mut cut));
        let mut keywords: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        keywords.retain(|word| seen.insert(word.clone()));
        if keywords.len() > limits::KEYWORDS {
            cut.push(format!("{} keywords, of which a listing holds the first {}", keywords.len(), limits::KEYWORDS));
            keywords.truncate(limits::KEYWORDS);
        }
        (Self { description, keywords, license }, cut)
    }
}

/// Puts a text on a single line of at most `most` bytes, cut between words if possible.
fn fit(what: &str, text: &str, most: usize, cut: &mut Vec<String>) -> String {
    const MORE: &str = " …";
    let seen: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_hidden(*c)).collect();
    let line = seen.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.len() <= most {
        return line;
    }
    let mut kept = String::new();
    for c in line.chars() {
        if kept.len() + c.len_utf8() + MORE.len() > most {
            break;
        }
        kept.push(c);
    }
    if let Some((whole, _)) = kept.rsplit_once(' ').filter(|(whole, _)| whole.len() * 2 > kept.len()) {
        kept.truncate(whole.len());
    }
    cut.push(format!("the {what} has {} bytes and is cut to {most}, the limit of a listing", line.len()));
    kept + MORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_written_fits() {
        let long = About {
            description: format!("Two lines\nof words,\r\n\tan 👩\u{200d}🚀 and \u{1b}[31mred. {}", "größer ".repeat(2000)),
            keywords: (0..40).map(|i| format!("k{}\n{}", i % 30, "x".repeat(i * 10))).chain(["".into(), "\n".into()]).collect(),
            license: "https://creativecommons.org/".to_owned() + &"a".repeat(300),
        };
        let (fits, cut) = long.fitted();
        assert_eq!(fits.check(), Ok(()));
        assert!(
            fits.description.starts_with("Two lines of words, an 👩🚀 and [31mred. größer")
                && fits.description.ends_with("größer …")
        );
        assert!(fits.description.len() > limits::DESCRIPTION_BYTES - 20 && fits.keywords.len() == limits::KEYWORDS);
        assert!(
            cut.iter().any(|word| word.contains("description")) && cut.iter().any(|word| word.contains("keywords")),
            "{cut:?}"
        );
        let short = About { description: "About towns.".into(), keywords: vec!["health".into()], license: String::new() };
        assert_eq!(short.clone().fitted(), (short, vec![]));
    }
}
