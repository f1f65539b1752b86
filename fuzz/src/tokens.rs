//! Grants and identities as text: nothing that this owner did not sign is a grant.
use std::time::{Duration, SystemTime};

use tidegate_protocol::{
    ContentHash, Cost, Identity, MicroRho, PeerId,
    cost::FemtoDelta,
    grant::{self, Action, Ask, Narrowing},
};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let owner = Identity::from_seed([7; 32]);
    let key = grant::public_key(&owner).unwrap();
    let (holder, population) = (Identity::from_seed([8; 32]), ContentHash([0; 32]));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ask = Ask { cost: Cost::dp(MicroRho(1), FemtoDelta(0)), ..Ask::of(Action::Compute, now) };
    assert!(grant::authorize(text, &key, holder.id(), population, &ask).is_err(), "this owner granted nothing");
    let _ = grant::authorize(text, text, holder.id(), population, &ask);
    let _ = grant::show(text, Some(&key));
    if let Ok(narrowed) = grant::narrow(text, &Narrowing { to: Some(owner.id()), ..Narrowing::default() }, &holder) {
        assert!(grant::show(&narrowed.token, None).is_ok(), "what was narrowed can be shown");
    }
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.did().parse::<PeerId>().ok(), Some(id), "an identity reads back");
    }
    let _ = text.parse::<ContentHash>();
}
