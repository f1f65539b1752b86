//! Grants and identities as text: nothing that this owner did not sign is a grant.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use tidegate_protocol::{
    ContentHash, Identity, MicroRho, PeerId,
    grant::{self, Action, Ask},
};

fuzz_target!(|text: &str| {
    let owner = Identity::from_seed([7; 32]);
    let key = grant::public_key(&owner).unwrap();
    let ask = Ask {
        peer: Identity::from_seed([8; 32]).id(),
        population: ContentHash([0; 32]),
        action: Action::Compute,
        rho: MicroRho(1),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    assert!(grant::authorize(text, &key, &ask).is_err(), "this owner granted nothing");
    let _ = grant::authorize(text, text, &ask);
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.did().parse::<PeerId>().ok(), Some(id), "an identity reads back");
    }
    let _ = text.parse::<ContentHash>();
});
