//! Tokens: everything that issuing and narrowing make is read and means what it says, and nothing else is, however it was made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use biscuit_auth::{
    BiscuitBuilder, KeyPair, PrivateKey, UnverifiedBiscuit,
    builder::{Algorithm, BlockBuilder},
};
use tidegate_protocol::{
    Code, ContentHash, Cost, Identity, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    grant::{self, Action, Ask, BadGrant, Issued, Narrowing, Scope, Terms, Token},
    limits,
};

/// Numbers that look like chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 += 1;
        let hash = ContentHash::of(&self.0.to_le_bytes()).0;
        u64::from_le_bytes(hash[..8].try_into().unwrap()) % n
    }

    fn some(&mut self) -> bool {
        self.below(2) == 0
    }

    fn subset<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let chosen: Vec<T> = all.iter().filter(|_| self.some()).cloned().collect();
        if chosen.is_empty() { vec![all[self.below(all.len() as u64) as usize].clone()] } else { chosen }
    }
}

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn time(seconds: u64) -> String {
    grant::ends(at(seconds)).unwrap()
}

fn party(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn population() -> ContentHash {
    ContentHash::of(b"population")
}

fn programs() -> Vec<ContentHash> {
    (0..4u8).map(|i| ContentHash::of(&[i])).collect()
}

const REDUCERS: [&str; 4] = ["count", "mean", "sum", "quantile"];

fn words(some: &[&str]) -> BTreeSet<String> {
    some.iter().map(|word| (*word).to_owned()).collect()
}

fn narrowing(dice: &mut Dice) -> Narrowing {
    Narrowing {
        to: None,
        files_key: None,
        actions: dice.some().then(|| dice.subset(&Action::ALL)),
        rho_ceiling: dice.some().then(|| MicroRho(if dice.below(9) == 0 { u64::MAX } else { dice.below(100) })),
        epsilon_ceiling: dice.some().then(|| MicroEpsilon(dice.below(100))),
        expires: dice.some().then(|| time(NOW - 1 + dice.below(9))),
        programs: if dice.below(4) == 0 { dice.subset(&programs()).into_iter().collect() } else { BTreeSet::new() },
        reducers: if dice.below(4) == 0 { words(&dice.subset(&REDUCERS)) } else { BTreeSet::new() },
        per_hour: dice.some().then(|| 1 + dice.below(5) as u32),
    }
}

fn scope(dice: &mut Dice) -> Scope {
    let Narrowing { actions, rho_ceiling, epsilon_ceiling, expires, programs, reducers, per_hour, .. } = narrowing(dice);
    Scope {
        actions: actions.unwrap_or_else(|| Action::ALL.to_vec()),
        rho_ceiling: rho_ceiling.unwrap_or(MicroRho(100)),
        epsilon_ceiling: epsilon_ceiling.unwrap_or(MicroEpsilon(100)),
        expires: expires.unwrap_or_else(|| time(NOW + 100)),
        programs,
        reducers,
        per_hour,
    }
}

/// The log has a program, reducers and a price for jobs alone.
fn ask(dice: &mut Dice) -> Ask {
    let action = Action::ALL[dice.below(7) as usize];
    let cost = match dice.some() {
        true => Cost::dp(MicroRho(dice.below(40)), FemtoDelta(0)),
        false => Cost::pure(MicroEpsilon(dice.below(40)), FemtoDelta(0)),
    };
    let job = Ask {
        cost,
        program: Some(programs()[dice.below(4) as usize]),
        reducers: if dice.some() { words(&dice.subset(&REDUCERS)) } else { BTreeSet::new() },
        used: dice.below(6) as u32,
        ..Ask::of(Action::Compute, at(NOW))
    };
    if action == Action::Compute { job } else { Ask::of(action, at(NOW)) }
}

/// Whether what a block leaves lets this be done, as the log's own rules say it.
fn lets(left: &Narrowing, ask: &Ask) -> bool {
    let scope = Scope {
        actions: left.actions.clone().unwrap_or_else(|| Action::ALL.to_vec()),
        rho_ceiling: left.rho_ceiling.unwrap_or(MicroRho(u64::MAX)),
        epsilon_ceiling: left.epsilon_ceiling.unwrap_or(MicroEpsilon(u64::MAX)),
        expires: left.expires.clone().unwrap_or_else(|| time(NOW + 1000)),
        programs: left.programs.clone(),
        reducers: left.reducers.clone(),
        per_hour: left.per_hour,
    };
    scope.covers(ask).is_ok()
}

#[test]
fn whatever_narrowing_makes_is_read_and_lets_do_what_all_its_blocks_let() {
    let key = grant::public_key(&party(1)).unwrap();
    let (mut allowed, mut refused) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice(seed << 32);
        let scope = scope(&mut dice);
        let files_key = dice.some().then(|| "aGVsbG8+/w==".to_owned());
        let terms = Terms { holder: party(2).id(), population: population(), scope: scope.clone(), files_key };
        let Issued { mut token, .. } = grant::issue(&party(1), &terms).unwrap();
        let (mut all, mut peer) = (vec![Narrowing::from(&scope)], 2);
        for _ in 0..dice.below(4) {
            let mut next = narrowing(&mut dice);
            // A holder hands on; whoever has it from there narrows it for itself.
            if peer == 2 && dice.some() {
                (next.to, peer) = (Some(party(3).id()), 3);
                next.files_key = dice.some().then(|| "d29ybGQ_-A".to_owned());
            }
            let by = if next.to.is_some() { 2 } else { peer };
            let narrowed = grant::narrow(&token, &next, &party(by)).unwrap();
            assert_eq!(grant::ids(&narrowed.token).unwrap().last(), Some(&narrowed.id));
            token = narrowed.token;
            all.push(next);
        }
        let read = Token::read(&token).unwrap();
        assert!(read.signed_by(&key) && !read.signed_by(&grant::public_key(&party(4)).unwrap()));
        let shown = grant::show(&token, Some(&key)).unwrap();
        assert_eq!((shown.signed, shown.blocks.len()), (Some(true), all.len()));
        let in_time = all.iter().all(|left| left.expires.as_ref().is_none_or(|end| *end > time(NOW)));
        assert_eq!(read.is_held(&key, party(peer).id(), population(), at(NOW)).is_some(), in_time, "{all:?}");
        assert!(read.is_held(&key, party(9).id(), population(), at(0)).is_none());
        for _ in 0..40 {
            let ask = ask(&mut dice);
            let said = read.authorize(&key, party(peer).id(), population(), &ask);
            let expected = all.iter().all(|left| lets(left, &ask));
            assert_eq!(said.is_ok(), expected, "{all:?} {ask:?} {said:?}");
            *(if expected { &mut allowed } else { &mut refused }) += 1;
            for other in [1, 2, 3, 4].into_iter().filter(|other| *other != peer) {
                assert!(read.authorize(&key, party(other).id(), population(), &ask).is_err());
            }
        }
    }
    assert!(allowed > 100 && refused > 100, "{allowed} allowed, {refused} refused");
}

fn issued() -> String {
    let scope = Scope {
        actions: vec![Action::Compute],
        rho_ceiling: MicroRho(10),
        epsilon_ceiling: MicroEpsilon(10),
        expires: time(NOW + 100),
        programs: BTreeSet::new(),
        reducers: BTreeSet::new(),
        per_hour: None,
    };
    grant::issue(&party(1), &Terms { holder: party(2).id(), population: population(), scope, files_key: None }).unwrap().token
}

/// The token with a block written as anybody likes: signed as a party's, where one is named.
fn with(token: &str, block: BlockBuilder, by: Option<u8>) -> String {
    let before = UnverifiedBiscuit::from_base64(token).unwrap();
    let Some(by) = by else { return before.append(block).unwrap().to_base64().unwrap() };
    let key = PrivateKey::from_bytes(&party(by).seed(), Algorithm::Ed25519).unwrap();
    let signed = before.third_party_request().unwrap().create_block(&key, block).unwrap();
    before.append_third_party(&signed.serialize().unwrap()).unwrap().to_base64().unwrap()
}

fn code(text: &str) -> BlockBuilder {
    BlockBuilder::new().code(text).unwrap()
}

/// Two hundred facts, and a check that joins them five times.
fn join() -> String {
    let facts: String = (0..200).map(|i| format!("f({i});\n")).collect();
    format!("{facts}check if f($a), f($b), f($c), f($d), f($e), $a > 1000;")
}

fn decide(token: &str) -> Result<grant::Authority, tidegate_protocol::Refusal> {
    let key = grant::public_key(&party(1)).unwrap();
    let ask = Ask { program: Some(population()), ..Ask::of(Action::Compute, at(NOW)) };
    grant::authorize(token, &key, party(2).id(), population(), &ask)
}

#[test]
fn a_block_that_is_costly_to_evaluate_is_not_evaluated() {
    let begun = Instant::now();
    for by in [None, Some(2), Some(5)] {
        let token = with(&issued(), code(&join()), by);
        assert!(matches!(Token::read(&token), Err(BadGrant::Form { block: 1, .. })));
        let said = decide(&token).unwrap_err();
        assert!(said.code == Code::NotGranted && said.message.contains("block 1 of this grant was not written by"), "{said:?}");
        assert!(grant::show(&token, None).is_err() && grant::narrow(&token, &Narrowing::default(), &party(2)).is_err());
        // Whose it is can be said, so that it can be revoked.
        assert_eq!(grant::ids(&token).unwrap().len(), 2);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

const ODD: [&str; 34] = [
    "check if true",
    "check if rho($r)",
    "check if rho($r), $r < 3",
    "check if rho($r), $r <= 3, $r <= 4",
    "check if rho($r), $r <= 3 or rho($r), $r <= 4",
    "check if rho($r), rho($s), $r <= 3",
    "check if rho($r), epsilon($r), $r <= 3",
    "check if rho($r), $r <= \"3\"",
    "check if rho($r), 3 <= $r",
    "check if rho($r), $r <= 1 + 2",
    "check if rho($r, $s), $r <= 3",
    "check if rho(3)",
    "check all rho($r), $r <= 3",
    "reject if rho($r), $r <= 3",
    "check if rho($r), $r <= 3 trusting previous",
    "check if rho($r), $r <= 3; check if rho($q), $q <= 2",
    "check if price($r), $r <= 3",
    "check if time($t), $t <= 2030-01-01T00:00:00Z",
    "check if time($t), $t < 7",
    "check if action($a), [\"compute\"].contains($a)",
    "check if action($a), {\"compute\", \"fly\"}.contains($a)",
    "check if action($a), {\"fly\"}.contains($a)",
    "check if action($a), {1, 2}.contains($a)",
    "check if program($p), {\"\"}.contains($p)",
    "check if program($p), {\"abc\", \"\"}.contains($p)",
    "check if reducers($r), {\"a b\"}.contains($r)",
    "check if reducers($r), $r.matches(\"(a*)*b\")",
    "check if action($a), action($b), {\"compute\"}.contains($b)",
    "action(\"compute\")",
    "delegate(\"x\")",
    "holder(\"x\")",
    "f(1)",
    "f(\"x\")",
    "peer($p) <- delegate($p)",
];

#[test]
fn no_other_block_is_taken() {
    let three = party(3).id().did();
    let given = format!("delegate(\"{three}\"); check if peer(\"{three}\");");
    let deep = |n: usize| format!("check if rho($r), {}$r{} <= 3", "(".repeat(n), ")".repeat(n));
    let mut odd: Vec<String> = ODD.iter().map(|text| format!("{text};")).collect();
    odd.extend([format!("{};", deep(1)), format!("{};", deep(10)), format!("check if peer(\"{three}\");"), join()]);
    for text in &odd {
        for by in [None, Some(2), Some(3)] {
            let text = if by.is_some() { format!("{given} {text}") } else { text.clone() };
            let token = with(&issued(), code(&text), by);
            assert!(matches!(Token::read(&token), Err(BadGrant::Form { block: 1, .. })), "{text}: {:?}", Token::read(&token));
            assert!(decide(&token).is_err());
        }
    }
    // What is of a party, said by nobody; and what is said twice, unlike, or by another than the holder.
    for (text, by) in [
        (given.clone(), None),
        (given.clone(), Some(3)),
        (format!("{given} delegate(\"{}\");", party(4).id()), Some(2)),
        (format!("delegate(\"{three}\"); check if peer(\"{}\");", party(4).id()), Some(2)),
        (format!("{given} files_key(\"not base64!\");"), Some(2)),
        ("check if rho($r), $r <= 3;".into(), Some(2)),
    ] {
        assert!(matches!(Token::read(&with(&issued(), code(&text), by)), Err(BadGrant::Form { .. })), "{text}");
    }
    let rho = || code("check if rho($r), $r <= 3;");
    assert!(Token::read(&with(&issued(), rho(), None)).is_ok() && Token::read(&with(&issued(), code(&given), Some(2))).is_ok());
    for block in [rho().context("c".into()), rho().scope(biscuit_auth::builder::Scope::Previous)] {
        assert!(matches!(Token::read(&with(&issued(), block, None)), Err(BadGrant::Form { .. })));
    }
    let sealed = UnverifiedBiscuit::from_base64(issued()).unwrap().seal().unwrap().to_base64().unwrap();
    assert!(matches!(Token::read(&sealed), Err(BadGrant::Form { block: 0, .. })));
}

/// Blocks with keys that are slow to verify with, and more blocks than one has.
#[test]
fn signatures_are_of_one_kind_and_bounded_number() {
    let slow = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    let before = UnverifiedBiscuit::from_base64(issued()).unwrap();
    let token = before.append_with_keypair(&slow, code("check if rho($r), $r <= 3;")).unwrap().to_base64().unwrap();
    assert!(matches!(Token::read(&token), Err(BadGrant::Form { block: 1, .. })));
    let mut token = issued();
    for block in 1..limits::GRANT_BLOCKS {
        assert!(decide(&token).is_ok(), "{block} blocks");
        token = with(&token, BlockBuilder::new(), None);
    }
    assert!(decide(&token).is_ok());
    assert!(matches!(grant::narrow(&token, &Narrowing::default(), &party(2)), Err(BadGrant::TooLong)));
    assert!(matches!(Token::read(&with(&token, BlockBuilder::new(), None)), Err(BadGrant::TooLong)));
}

/// An owner's own key may have signed anything: no more of it is taken.
#[test]
fn the_owners_block_has_one_form_too() {
    let owner = PrivateKey::from_bytes(&party(1).derive("grant signing key"), Algorithm::Ed25519).unwrap();
    let (two, three) = (party(2).id(), party(3).id());
    let build = |text: &str| {
        let token = BiscuitBuilder::new().code(text).unwrap().build(&KeyPair::from(&owner)).unwrap();
        decide(&token.to_base64().unwrap()).is_ok()
    };
    let bound = |party: &tidegate_protocol::PeerId| {
        let key = hex::encode(party.as_bytes());
        format!("check if peer($p), holder($p) or peer($p), delegate($p) trusting ed25519/{key};")
    };
    let right = format!("right(\"{}\", \"compute\");", population());
    let facts = format!("{right} holder(\"{two}\"); owner(\"{}\");", party(1).id());
    assert!(build(&format!("{facts} {}", bound(&two))));
    for (what, text) in [
        ("not bound", facts.clone()),
        ("bound to another", format!("{facts} {}", bound(&three))),
        ("bound twice", format!("{facts} {0} {0}", bound(&two))),
        ("of another population too", format!("{facts} right(\"{}\", \"list\"); {}", ContentHash::of(b"q"), bound(&two))),
        ("two holders", format!("{facts} holder(\"{three}\"); {}", bound(&two))),
        ("no rights", format!("holder(\"{two}\"); owner(\"{two}\"); {}", bound(&two))),
        ("a rule", format!("{facts} {} a($x) <- b($x);", bound(&two))),
        ("a scope that is none", format!("{facts} scope(\"none\"); {}", bound(&two))),
        ("costly", format!("{facts} {} {}", bound(&two), join())),
    ] {
        assert!(!build(&text), "{what}");
    }
}

/// Whichever letter of a token is changed, it is none, or gives no more than before.
#[test]
fn a_changed_token_gives_no_more() {
    let token = grant::narrow(&issued(), &Narrowing { per_hour: Some(3), ..Default::default() }, &party(2)).unwrap().token;
    let before = decide(&token).unwrap();
    for at in (0..token.len()).step_by(7) {
        for to in [b'A', b'_', b'9'] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = to;
            let changed = String::from_utf8(bytes).unwrap();
            if let Ok(authority) = decide(&changed) {
                assert_eq!(authority, before, "{at}");
            }
        }
    }
}
