//! Text patterns (regular expressions and LIKE), compiled once at admission within public bounds, with a known search time.
//!
//! A search takes time in proportion to the text if its automaton is small ([`Pattern::per_byte`]): every state that any text can
//! lead to is built once, at admission, and all of them fit the engine's cache. If they do not, the engine follows all states of
//! the pattern at each byte, and each is charged.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray, BooleanArray, StringArrayType},
    compute::cast,
    datatypes::DataType,
};
use datafusion::{
    error::Result as Made,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use regex::{Regex, RegexBuilder};
use regex_automata::{
    Anchored,
    hybrid::{LazyStateID, dfa::DFA},
    nfa::thompson,
    util::start,
};
use tidegate_protocol::Refusal;

use super::refuse;

/// Name of the function, and of DataFusion's function that it replaces.
pub(super) const MATCHES: &str = "regexp_like";

/// Maximum bytes of a compiled pattern.
const SIZE: usize = 1 << 20;
/// Maximum bytes of states kept by a search: half of the engine's limit ([`RegexBuilder::dfa_size_limit`]).
const STATES: usize = 1 << 20;
/// Maximum number of state transitions followed at admission.
const STEPS: usize = 1 << 17;
/// Operations per byte if all states fit; a search may go through a text forwards and backwards.
const BY_STATES: u64 = 4;
/// Operations per byte and state of a pattern whose states do not fit.
const BY_STATE: u64 = 40;

/// A search pattern for texts.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// Maximum number of operations of a search per byte of text.
    pub(super) per_byte: u64,
    /// Operator and pattern as a buyer writes them.
    pub(super) written: String,
    /// Operations for finding the states, once per thread.
    pub(super) once: u64,
}

impl Pattern {
    /// Compiles a regular expression of the `regex` crate's syntax.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the expression is invalid or too large.
    pub(super) fn regex(text: &str, insensitive: bool) -> Result<Self, Refusal> {
        let compiled = Self::new(&if insensitive { format!("(?i){text}") } else { text.to_owned() })?;
        let operator = if insensitive { "~*" } else { "~" };
        Ok(Self { written: format!("{operator} '{text}'"), ..compiled })
    }

    /// Compiles a LIKE pattern: `%` is any text, `_` any character, and `\` takes the next character literally.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the pattern is too large.
    pub(super) fn like(text: &str, insensitive: bool) -> Result<Self, Refusal> {
        let mut made = String::from(if insensitive { "(?is)" } else { "(?s)" });
        let inner = text.strip_prefix('%').unwrap_or_else(|| {
            made.push('^');
            text
        });
        let (mut chars, mut open) = (inner.chars().peekable(), text.starts_with('%') && inner.is_empty());
        while let Some(c) = chars.next() {
            open = false;
            match c {
                '\\' => made.push_str(&regex::escape(chars.next().unwrap_or('\\').encode_utf8(&mut [0; 4]))),
                '%' if chars.peek().is_none() => open = true,
                '%' => made.push_str(".*"),
                '_' => made.push('.'),
                c => made.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        if !open {
            made.push('$');
        }
        let operator = if insensitive { "ILIKE" } else { "LIKE" };
        Ok(Self { written: format!("{operator} '{text}'"), ..Self::new(&made)? })
    }

    /// Returns whether a LIKE pattern is a plain text with at most `%` at its ends, which needs no search.
    pub(super) fn is_simple(like: &str) -> bool {
        let inner = like.strip_prefix('%').unwrap_or(like);
        let inner = inner.strip_suffix('%').unwrap_or(inner);
        !inner.contains(['%', '_', '\\'])
    }

    fn new(text: &str) -> Result<Self, Refusal> {
        let bad = |e: String| refuse(e.chars().take(300).collect::<String>());
        let large =
            || refuse("the regular expression is too large").fix("Write fewer and smaller repetitions: {0,200} is 200 copies");
        let compiled = RegexBuilder::new(text).size_limit(SIZE).build();
        let regex = compiled.map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => large(),
            e => bad(format!("the regular expression is none: {e}")),
        })?;
        let nfa = |reverse| {
            let none = thompson::WhichCaptures::None;
            let config = thompson::Config::new().nfa_size_limit(Some(SIZE)).reverse(reverse).which_captures(none);
            thompson::Compiler::new().configure(config).build(text).map_err(|_| large())
        };
        let (forward, reverse) = (nfa(false)?, nfa(true)?);
        let states = forward.states().len().max(reverse.states().len()) as u64;
        let (per_byte, once) = match (steps(forward), steps(reverse)) {
            (Some(a), Some(b)) => (BY_STATES, 1000 * (a + b)),
            _ => (BY_STATES + BY_STATE * states, 0),
        };
        Ok(Self { regex, per_byte, written: String::new(), once })
    }

    /// Builds the match of `text` against the pattern.
    pub(super) fn matches(self, text: Expr) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::new_from_impl(Matches { pattern: self, signature }).call(vec![text])
    }
}

/// Counts the transitions between states; `None` if not all states fit.
fn steps(nfa: thompson::NFA) -> Option<u64> {
    let config = DFA::config().cache_capacity(STATES).minimum_cache_clear_count(Some(0));
    let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
    let mut cache = dfa.create_cache();
    let bytes: Vec<u8> = dfa.byte_classes().representatives(0..=255).filter_map(|unit| unit.as_u8()).collect();
    let (mut seen, mut open, mut taken) = (HashSet::<LazyStateID>::new(), Vec::new(), 0usize);
    for before in [None, Some(b'a'), Some(b'\n'), Some(b'\r'), Some(b' ')] {
        for anchored in [Anchored::No, Anchored::Yes] {
            let from = start::Config::new().look_behind(before).anchored(anchored);
            let state = dfa.start_state(&mut cache, &from).ok()?;
            if seen.insert(state) {
                open.push(state);
            }
        }
    }
    while let Some(state) = open.pop() {
        taken += bytes.len() + 1;
        if taken > STEPS {
            return None;
        }
        dfa.next_eoi_state(&mut cache, state).ok()?;
        for byte in &bytes {
            let next = dfa.next_state(&mut cache, state, *byte).ok()?;
            if next.is_quit() {
                return None;
            }
            if !next.is_dead() && seen.insert(next) {
                open.push(next);
            }
        }
    }
    Some(taken as u64)
}

#[derive(Debug)]
struct Matches {
    pattern: Pattern,
    signature: Signature,
}

impl PartialEq for Matches {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.regex.as_str() == other.pattern.regex.as_str()
    }
}
impl Eq for Matches {}
impl Hash for Matches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.regex.as_str().hash(state);
    }
}

/// Returns the search pattern of a function, if any.
pub(super) fn pattern(function: &ScalarUDF) -> Option<&Pattern> {
    function.inner().downcast_ref::<Matches>().map(|matches| &matches.pattern)
}

impl Matches {
    fn texts<'a>(&self, texts: impl StringArrayType<'a>) -> BooleanArray {
        texts.iter().map(|text| text.map(|text| self.pattern.regex.is_match(text))).collect()
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        MATCHES
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Made<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Made<ColumnarValue> {
        let texts: ArrayRef = args.args[0].to_array(args.number_rows)?;
        let found = match texts.data_type() {
            DataType::Utf8 => self.texts(texts.as_string::<i32>()),
            DataType::LargeUtf8 => self.texts(texts.as_string::<i64>()),
            DataType::Utf8View => self.texts(texts.as_string_view()),
            _ => self.texts(cast(&texts, &DataType::Utf8)?.as_string::<i32>()),
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
