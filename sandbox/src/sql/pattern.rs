//! Normal form of a query without its literals.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};

/// Returns the tokens of `sql` in normal form. Queries with the same pattern run through the same plan.
///
/// White space and comments are dropped, words are in lower case, and a literal (with its sign) or list of literals becomes `?`.
pub fn pattern(sql: &str) -> String {
    // A text that does not tokenize is not admitted, and has no plan.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return sql.to_owned() };
    let mut seen: Vec<String> = Vec::new();
    // For each of the last two tokens, whether a sign after it would belong to a literal: not after an operand.
    let mut signs = [true, true];
    for token in tokens {
        let sign = match &token {
            Token::Whitespace(_) | Token::SemiColon | Token::EOF => continue,
            Token::Word(word) => word.quote_style.is_none() && word.keyword != Keyword::NoKeyword,
            Token::RParen | Token::RBracket => false,
            token => !literal(token),
        };
        match &token {
            Token::Word(word) if word.quote_style.is_none() => seen.push(word.value.to_lowercase()),
            token if literal(token) => {
                if signs[0] && matches!(seen.last().map(String::as_str), Some("-" | "+")) {
                    seen.pop();
                }
                if matches!(seen.as_slice(), [.., first, comma] if first == "?" && comma == ",") {
                    seen.pop();
                } else {
                    seen.push("?".into());
                }
            }
            token => seen.push(token.to_string()),
        }
        signs = [signs[1], sign];
    }
    seen.join(" ")
}

fn literal(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn literals_spacing_case_and_comments_make_no_other_pattern() {
        let one = pattern("SELECT count(*) FROM dataset WHERE city IN ('a', 'b', 'c') AND age > 17");
        assert_eq!(one, "select count ( * ) from dataset where city in ( ? ) and age > ?");
        for same in [
            "select COUNT(*)\nfrom Dataset where city in ('north') and age > 1e3;",
            "select count(*) /* who */ from dataset -- me\n where city in (1, N'x') and age > '17'",
            "select count(*) from dataset where city in (-1, +2) and age > -3",
        ] {
            assert_eq!(pattern(same), one);
        }
        for other in [
            "SELECT count(*) FROM dataset WHERE city IN ('a') AND age < 17",
            "SELECT count(*) FROM dataset WHERE \"City\" IN ('a') AND age > 17",
            "SELECT sum(age) FROM dataset WHERE city IN ('a') AND age > 17",
            "SELECT count(*) FROM dataset WHERE city IN ('a') AND age > n - 17",
            "SELECT 'open",
        ] {
            assert_ne!(pattern(other), one);
        }
    }
}
