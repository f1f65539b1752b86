//! Grants and identities as text, and blocks of grants as bytes: nothing unsigned by this owner is a grant, and no appended block
//! makes a grant give more.
use std::{
    collections::BTreeSet,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use biscuit_auth::{
    KeyPair, PrivateKey,
    builder::Algorithm,
    format::schema::{self, proof::Content},
};
use biscuit_prost::Message as _;
use tidegate_protocol::{
    ContentHash, Cost, Identity, MicroRho, PeerId,
    cost::{FemtoDelta, MicroEpsilon},
    grant::{self, Action, Ask, Narrowing, Presented, Scope, Terms},
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn party(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

/// A grant by party 7 for party 8 to run jobs.
static GRANT: LazyLock<String> = LazyLock::new(|| {
    let scope = Scope {
        actions: vec![Action::Compute],
        rho_ceiling: MicroRho(10),
        epsilon_ceiling: MicroEpsilon(10),
        expires: grant::ends(now() + Duration::from_secs(60)).unwrap(),
        programs: BTreeSet::new(),
        reducers: BTreeSet::new(),
        per_hour: None,
    };
    let terms = Terms { holder: party(8).id(), population: ContentHash([0; 32]), scope, files_key: None };
    grant::issue(&party(7), &terms).unwrap().token
});

/// Appends these bytes to the grant as a block with a valid signature: the signing key comes with the grant.
fn with(block: &[u8]) -> String {
    let mut token = schema::Biscuit::decode(&URL_SAFE.decode(&*GRANT).unwrap()[..]).unwrap();
    let Some(Content::NextSecret(secret)) = &token.proof.content else { panic!("it is not sealed") };
    let key = KeyPair::from(&PrivateKey::from_bytes(secret, Algorithm::Ed25519).unwrap());
    let next = PrivateKey::from_bytes(&party(9).seed(), Algorithm::Ed25519).unwrap();
    let next_key = schema::PublicKey { algorithm: 0, key: KeyPair::from(&next).public().to_bytes() };
    let said = [block, &0_i32.to_le_bytes(), &next_key.key].concat();
    let signature = key.sign(&said).unwrap().to_bytes().to_vec();
    let block = block.to_vec();
    token.blocks.push(schema::SignedBlock { block, next_key, signature, external_signature: None, version: None });
    token.proof.content = Some(Content::NextSecret(next.to_bytes().to_vec()));
    URL_SAFE.encode(token.encode_to_vec())
}

/// Appends these bytes as a block; returns whether the token is still valid.
pub fn append(block: &[u8]) -> bool {
    let (token, key) = (with(block), grant::public_key(&party(7)).unwrap());
    let shown = Presented::read(&token);
    let job = |rho| Ask { cost: Cost::dp(MicroRho(rho), FemtoDelta(0)), ..Ask::of(Action::Compute, now()) };
    let lets = |peer: u8, population, ask: &Ask| shown.authorize(&key, party(peer).id(), population, ask).is_ok();
    let population = ContentHash([0; 32]);
    assert!(!lets(8, population, &job(11)) && !lets(9, population, &job(1)), "more than was granted, or to another");
    assert!(!lets(8, ContentHash([1; 32]), &job(1)) && !lets(8, population, &Ask::of(Action::Replicate, now())));
    let Some(token) = shown.token() else { return false };
    assert!(token.signed_by(&key), "it is signed as it should be");
    // Biscuit prints no block of an unknown version; decisions do not depend on printing.
    assert!(grant::show(token.text(), Some(&key)).map_or(true, |shown| shown.blocks.len() == 2), "as many as there are");
    true
}

/// Makes a block as narrowing does.
pub fn right() -> Vec<u8> {
    let left = Narrowing { per_hour: Some(3), actions: Some(vec![Action::Compute]), ..Narrowing::default() };
    let token = grant::narrow(&GRANT, &left, &party(8)).unwrap().token;
    schema::Biscuit::decode(&URL_SAFE.decode(token).unwrap()[..]).unwrap().blocks.remove(0).block
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    append(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (owner, holder, population) = (party(7), party(8), ContentHash([0; 32]));
    let key = grant::public_key(&owner).unwrap();
    let ask = Ask { cost: Cost::dp(MicroRho(1), FemtoDelta(0)), ..Ask::of(Action::Compute, now()) };
    assert!(grant::authorize(text, &key, holder.id(), population, &ask).is_err(), "this owner granted nothing");
    let _ = grant::authorize(text, text, holder.id(), population, &ask);
    let _ = grant::show(text, Some(&key));
    let _ = grant::ids(text);
    if let Ok(narrowed) = grant::narrow(text, &Narrowing { to: Some(owner.id()), ..Narrowing::default() }, &holder) {
        assert!(grant::show(&narrowed.token, None).is_ok(), "what was narrowed can be shown");
    }
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.did().parse::<PeerId>().ok(), Some(id), "an identity reads back");
    }
    let _ = text.parse::<ContentHash>();
}
