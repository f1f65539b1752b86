//! Grants and identities as text: nothing that this owner did not sign is a grant.
use std::time::{Duration, SystemTime};

use tidegate_protocol::{
    ContentHash, Cost, Identity, MicroRho, PeerId,
    cost::FemtoDelta,
    grant::{self, Action, Ask},
};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let owner = Identity::from_seed([7; 32]);
    let key = grant::public_key(&owner).unwrap();
    let ask = Ask {
        peer: Identity::from_seed([8; 32]).id(),
        population: ContentHash([0; 32]),
        action: Action::Compute,
        cost: Cost::dp(MicroRho(1), FemtoDelta(0)),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    assert!(grant::authorize(text, &key, &ask).is_err(), "this owner granted nothing");
    let _ = grant::authorize(text, text, &ask);
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.did().parse::<PeerId>().ok(), Some(id), "an identity reads back");
    }
    let _ = text.parse::<ContentHash>();
}
