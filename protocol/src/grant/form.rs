//! Forms of blocks, as written by issuing and narrowing. A block may state nothing else.
//!
//! A token's block is whatever its writer liked, and whoever holds any token may add one. No block is evaluated. Each is read,
//! and refused unless its statements have these forms. So the cost of a decision is the cost of reading a token of bounded
//! length, and statements of a token are never joined with anything.

use std::collections::BTreeSet;

use biscuit_auth::{
    datalog::SymbolTable,
    format::schema::{
        self,
        op::Content as Op,
        op_binary::Kind::{self, Contains, LessOrEqual, LessThan},
        public_key::Algorithm,
        term::Content as Term,
    },
};

use super::{Action, Ask, BadGrant, Narrowing, Scope};
use crate::{ContentHash, PeerId, limits};

/// Fact with the keys of encrypted files, encrypted to the party that the grant belongs to from this block on.
pub(super) const FILES_KEY: &str = "files_key";

/// Demand of a block on a request. Each kind occurs at most once in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Demand {
    /// The action is one of these.
    Actions(BTreeSet<Action>),
    /// The cost in ρ is at most this, in millionths.
    Rho(i64),
    /// The cost in pure ε is at most this, in millionths.
    Epsilon(i64),
    /// The time is before this second.
    Before(u64),
    /// The program is one of these, or there is none.
    Programs(BTreeSet<ContentHash>),
    /// All reducers are among these.
    Reducers(BTreeSet<String>),
    /// Fewer jobs than this in the hour before.
    Used(i64),
}

fn list(words: impl IntoIterator<Item = String>) -> String {
    format!("{{{}}}", words.into_iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
}

/// Datalog's integers are signed.
fn most(micro: u64) -> i64 {
    i64::try_from(micro).unwrap_or(i64::MAX)
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Returns whether `text` can be the keys of encrypted files: base64, of either alphabet.
pub(super) fn is_files_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b))
}

impl Demand {
    /// Returns the demands of a block with the remaining rights `left`.
    ///
    /// # Errors
    /// Returns [`BadGrant::Field`] if a field is not valid.
    pub(super) fn of(left: &Narrowing) -> Result<Vec<Self>, BadGrant> {
        let mut demands = Vec::new();
        if let Some(actions) = &left.actions {
            if actions.is_empty() {
                return Err(BadGrant::Field("actions: give at least one action"));
            }
            demands.push(Self::Actions(actions.iter().copied().collect()));
        }
        demands.extend(left.rho_ceiling.map(|rho| Self::Rho(most(rho.0))));
        demands.extend(left.epsilon_ceiling.map(|epsilon| Self::Epsilon(most(epsilon.0))));
        if let Some(expires) = &left.expires {
            let time: jiff::Timestamp = expires.parse().map_err(|_| BadGrant::Field("expires: write an RFC 3339 time"))?;
            let second = u64::try_from(time.as_second()).map_err(|_| BadGrant::Field("expires: write a time after 1969"))?;
            demands.push(Self::Before(second));
        }
        if !left.programs.is_empty() {
            demands.push(Self::Programs(left.programs.clone()));
        }
        if !left.reducers.is_empty() {
            if !left.reducers.iter().all(|word| is_plain(word)) {
                return Err(BadGrant::Field("reducers: use the names in receipts, such as `mean` or `count`"));
            }
            demands.push(Self::Reducers(left.reducers.clone()));
        }
        if let Some(per_hour) = left.per_hour {
            if per_hour == 0 || per_hour > limits::GRANT_PER_HOUR {
                return Err(BadGrant::Field("per_hour: must be at least 1, and at most the number that a node counts"));
            }
            demands.push(Self::Used(per_hour.into()));
        }
        Ok(demands)
    }

    /// Returns the demand in biscuit's Datalog.
    pub(super) fn datalog(&self) -> String {
        match self {
            Self::Actions(actions) => {
                format!("check if action($a), {}.contains($a)", list(actions.iter().map(|a| a.word().to_owned())))
            }
            Self::Rho(most) => format!("check if rho($r), $r <= {most}"),
            Self::Epsilon(most) => format!("check if epsilon($e), $e <= {most}"),
            Self::Before(second) => {
                let time = i64::try_from(*second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
                format!("check if time($t), $t < {}", time.unwrap_or(jiff::Timestamp::MAX))
            }
            // A request that is no job has no program.
            Self::Programs(programs) => {
                let programs = list(programs.iter().map(ToString::to_string).chain([String::new()]));
                format!("check if program($p), {programs}.contains($p)")
            }
            Self::Reducers(reducers) => format!("check if reducers($r), {}.contains($r)", list(reducers.iter().cloned())),
            Self::Used(fewer) => format!("check if used($n), $n < {fewer}"),
        }
    }

    /// Returns whether the demand allows a request at `now`, in seconds.
    pub(super) fn allows(&self, ask: &Ask, now: u64) -> bool {
        match self {
            Self::Actions(actions) => actions.contains(&ask.action),
            Self::Rho(ceiling) => most(ask.cost.rho_micro.0) <= *ceiling,
            Self::Epsilon(ceiling) => most(ask.cost.epsilon_micro.0) <= *ceiling,
            Self::Before(second) => now < *second,
            Self::Programs(programs) => ask.program.is_none_or(|program| programs.contains(&program)),
            Self::Reducers(reducers) => ask.reducers.is_subset(reducers),
            Self::Used(fewer) => i64::from(ask.used) < *fewer,
        }
    }

    fn read(query: &schema::Rule, symbols: &Symbols<'_>) -> Option<Self> {
        let ([fact], [expression]) = (&query.body[..], &query.expressions[..]) else { return None };
        let [schema::Term { content: Some(Term::Variable(variable)) }] = fact.terms[..] else { return None };
        let [first, second, operation] = &expression.ops[..] else { return None };
        let (Some(Op::Value(first)), Some(Op::Value(second)), Some(Op::Binary(operation))) =
            (&first.content, &second.content, &operation.content)
        else {
            return None;
        };
        let of_variable = |term: &schema::Term| matches!(term.content, Some(Term::Variable(v)) if v == variable);
        let (name, kind) = (symbols.get(fact.name)?, Kind::from_i32(operation.kind)?);
        if operation.ffi_name.is_some() {
            return None;
        }
        let integer = || match second.content {
            Some(Term::Integer(value)) if of_variable(first) => Some(value),
            _ => None,
        };
        let words = || match &first.content {
            Some(Term::Set(set)) if of_variable(second) => symbols.words(set),
            _ => None,
        };
        Some(match (name, kind) {
            ("action", Contains) => Self::Actions(words()?.into_iter().map(|word| word.parse().ok()).collect::<Option<_>>()?),
            ("rho", LessOrEqual) => Self::Rho(integer()?),
            ("epsilon", LessOrEqual) => Self::Epsilon(integer()?),
            ("time", LessThan) => match second.content {
                Some(Term::Date(second)) if of_variable(first) => Self::Before(second),
                _ => return None,
            },
            ("program", Contains) => {
                let mut words = words()?;
                if !words.remove("") || words.is_empty() {
                    return None;
                }
                Self::Programs(words.into_iter().map(|word| word.parse().ok()).collect::<Option<_>>()?)
            }
            ("reducers", Contains) => {
                let words = words()?;
                if !words.iter().all(|word| is_plain(word)) {
                    return None;
                }
                Self::Reducers(words.into_iter().map(str::to_owned).collect())
            }
            ("used", LessThan) => Self::Used(integer()?),
            _ => return None,
        })
    }
}

/// Texts referred to by number in a block.
pub(super) struct Symbols<'a> {
    known: SymbolTable,
    own: Vec<&'a str>,
}

/// First number of a token's own texts. Lower numbers stand for biscuit's default texts.
const OWN: u64 = 1024;

impl<'a> Symbols<'a> {
    pub(super) fn new() -> Self {
        Self { known: SymbolTable::new(), own: vec![] }
    }

    pub(super) fn add(&mut self, block: &'a schema::Block) {
        self.own.extend(block.symbols.iter().map(String::as_str));
    }

    fn get(&self, number: u64) -> Option<&str> {
        match number.checked_sub(OWN) {
            None => self.known.get_symbol(number),
            Some(own) => self.own.get(usize::try_from(own).ok()?).copied(),
        }
    }

    fn word(&self, term: &schema::Term) -> Option<&str> {
        match term.content {
            Some(Term::String(number)) => self.get(number),
            _ => None,
        }
    }

    /// Returns the texts of a set, or `None` if the set is empty.
    fn words(&self, set: &schema::TermSet) -> Option<BTreeSet<&str>> {
        let words: BTreeSet<_> = set.set.iter().map(|term| self.word(term)).collect::<Option<_>>()?;
        (!words.is_empty()).then_some(words)
    }
}

/// Content of a narrowing block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Narrowed {
    pub(super) demands: Vec<Demand>,
    /// New party of the token from this block on, and the keys of encrypted files for this party, as signed by the holder itself.
    pub(super) to: Option<(PeerId, Option<String>)>,
}

/// Content of the owner's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) holder: PeerId,
    pub(super) owner: PeerId,
    pub(super) population: ContentHash,
    pub(super) actions: BTreeSet<Action>,
    /// Terms of the grant. Earlier tokens do not have them.
    pub(super) scope: Option<Box<Scope>>,
    pub(super) files_key: Option<String>,
    pub(super) demands: Vec<Demand>,
}

/// Reason why a block is refused.
type Odd = &'static str;

const TWICE: Odd = "it states a fact or check twice";
const FACT: Odd = "it has an unknown fact";
const CHECK: Odd = "it has an unknown check";

/// Returns the queries of a check, or `None` for a check of another kind.
fn queries(check: &schema::Check) -> Option<&[schema::Rule]> {
    let plain = |query: &schema::Rule| query.head.terms.is_empty();
    (check.kind.is_none() && check.queries.iter().all(plain)).then_some(&check.queries[..])
}

/// Reads a block's facts: their names and texts.
fn facts<'a>(block: &schema::Block, symbols: &'a Symbols<'_>) -> Result<Vec<(&'a str, Vec<&'a str>)>, Odd> {
    let read = |fact: &schema::Fact| {
        let words = fact.predicate.terms.iter().map(|term| symbols.word(term));
        Some((symbols.get(fact.predicate.name)?, words.collect::<Option<Vec<_>>>()?))
    };
    block.facts.iter().map(|fact| read(fact).ok_or(FACT)).collect()
}

/// Sets `place`, which must not be set yet.
fn once<T>(place: &mut Option<T>, said: Option<T>) -> Result<(), Odd> {
    match (place.is_some(), said) {
        (true, _) => Err(TWICE),
        (false, None) => Err(FACT),
        (false, said) => {
            *place = said;
            Ok(())
        }
    }
}

/// Adds the demand of a check.
fn demand(demands: &mut Vec<Demand>, query: &schema::Rule, symbols: &Symbols<'_>) -> Result<(), Odd> {
    if !query.scope.is_empty() {
        return Err(CHECK);
    }
    let new = Demand::read(query, symbols).ok_or(CHECK)?;
    if demands.iter().any(|before| std::mem::discriminant(before) == std::mem::discriminant(&new)) {
        return Err(TWICE);
    }
    demands.push(new);
    Ok(())
}

fn no_more_than_facts_and_checks(block: &schema::Block) -> Result<(), Odd> {
    match block {
        _ if !block.rules.is_empty() => Err("it has a rule, which no block of a grant may have"),
        _ if !block.scope.is_empty() || block.context.is_some() => {
            Err("it has a scope or a context, which no block of a grant may have")
        }
        _ => Ok(()),
    }
}

/// Reads the party of a `peer("…")` query.
fn asks_for_peer(query: &schema::Rule, symbols: &Symbols<'_>) -> Option<PeerId> {
    let ([fact], [], []) = (&query.body[..], &query.expressions[..], &query.scope[..]) else { return None };
    let [term] = &fact.terms[..] else { return None };
    (symbols.get(fact.name)? == "peer").then_some(())?;
    symbols.word(term)?.parse().ok()
}

/// Reads an added block. Only a block signed by the holder's key (`of_party`) may name the next party of the token.
pub(super) fn narrowed(block: &schema::Block, symbols: &Symbols<'_>, of_party: bool) -> Result<Narrowed, Odd> {
    no_more_than_facts_and_checks(block)?;
    let (mut to, mut key, mut demands, mut peer) = (None, None, vec![], None);
    for (name, words) in facts(block, symbols)? {
        match (name, &words[..]) {
            ("delegate", [did]) if of_party => once(&mut to, did.parse::<PeerId>().ok())?,
            (FILES_KEY, [text]) if of_party => once(&mut key, is_files_key(text).then(|| (*text).to_owned()))?,
            _ => return Err(FACT),
        }
    }
    for check in &block.checks {
        let [query] = queries(check).ok_or(CHECK)? else { return Err(CHECK) };
        match asks_for_peer(query, symbols) {
            Some(did) => once(&mut peer, Some(did))?,
            None => demand(&mut demands, query, symbols)?,
        }
    }
    if peer != to || of_party != to.is_some() {
        return Err("it does not name its new holder exactly once and consistently");
    }
    Ok(Narrowed { demands, to: to.map(|to| (to, key)) })
}

/// Reads the owner's block.
pub(super) fn granted(block: &schema::Block, symbols: &Symbols<'_>) -> Result<Granted, Odd> {
    no_more_than_facts_and_checks(block)?;
    let (mut holder, mut owner, mut scope, mut files_key, mut population) = (None, None, None, None, None);
    let (mut actions, mut demands, mut bound) = (BTreeSet::new(), vec![], None);
    for (name, words) in facts(block, symbols)? {
        match (name, &words[..]) {
            ("right", [of, action]) => {
                let of: ContentHash = of.parse().map_err(|_| FACT)?;
                if *population.get_or_insert(of) != of || !actions.insert(action.parse().map_err(|_| FACT)?) {
                    return Err("it has rights on two dataset lineages, or the same right twice");
                }
            }
            ("holder", [did]) => once(&mut holder, did.parse::<PeerId>().ok())?,
            ("owner", [did]) => once(&mut owner, did.parse::<PeerId>().ok())?,
            ("scope", [json]) => once(&mut scope, serde_json::from_str::<Box<Scope>>(json).ok())?,
            (FILES_KEY, [text]) => once(&mut files_key, is_files_key(text).then(|| (*text).to_owned()))?,
            _ => return Err(FACT),
        }
    }
    let missing = "it lacks the issuer, the rights or the holder";
    let (holder, owner, population) = (holder.ok_or(missing)?, owner.ok_or(missing)?, population.ok_or(missing)?);
    for check in &block.checks {
        match queries(check).ok_or(CHECK)? {
            [query] => demand(&mut demands, query, symbols)?,
            [own, named] => once(&mut bound, binds(own, named, block, symbols, &holder).then_some(()))?,
            _ => return Err(CHECK),
        }
    }
    bound.ok_or("it is not bound to its holder")?;
    Ok(Granted { holder, owner, population, actions, scope, files_key, demands })
}

/// Writes the check binding a token to its holder, or to the party named by the holder's own key.
pub(super) fn bound_to(holder: &PeerId) -> String {
    let key = hex::encode(holder.as_bytes());
    format!("check if peer($p), holder($p) or peer($p), delegate($p) trusting ed25519/{key}")
}

fn binds(own: &schema::Rule, named: &schema::Rule, block: &schema::Block, symbols: &Symbols<'_>, holder: &PeerId) -> bool {
    let one_of = |query: &schema::Rule, second: &str| {
        let [peer, other] = &query.body[..] else { return false };
        let variable = |fact: &schema::Predicate| match fact.terms[..] {
            [schema::Term { content: Some(Term::Variable(variable)) }] => Some(variable),
            _ => None,
        };
        let names = (symbols.get(peer.name), symbols.get(other.name)) == (Some("peer"), Some(second));
        names && query.expressions.is_empty() && variable(peer).is_some() && variable(peer) == variable(other)
    };
    let [schema::Scope { content: Some(schema::scope::Content::PublicKey(number)) }] = named.scope[..] else { return false };
    let key = usize::try_from(number).ok().and_then(|number| block.public_keys.get(number));
    let of_holder = key.is_some_and(|key| is_key_of(key, holder));
    one_of(own, "holder") && own.scope.is_empty() && one_of(named, "delegate") && of_holder
}

/// Returns whether a token's key is the key of `party`.
pub(super) fn is_key_of(key: &schema::PublicKey, party: &PeerId) -> bool {
    key.algorithm == Algorithm::Ed25519 as i32 && key.key == party.as_bytes()
}
