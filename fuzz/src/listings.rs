//! Strangers' statements about datasets: listings with a good signature and any fields, messages of a reconciliation, words of a
//! search, Croissant files.
use std::{
    cell::OnceCell,
    path::Path,
    time::{Duration, SystemTime},
};

use tidegate_catalog::listings::{Catalogue, Heard, croissant};
use tidegate_protocol::{Envelope, Identity, Listing, Signed, listing::LIFETIME};

thread_local! {
    static CATALOGUE: OnceCell<Catalogue> = const { OnceCell::new() };
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    CATALOGUE.with(|cell| {
        let catalogue =
            cell.get_or_init(|| Catalogue::open(Path::new(":memory:"), Heard { most: 64, ..Heard::everybody(vec![]) }).unwrap());
        let owner = Identity::from_seed([bytes.first().copied().unwrap_or_default(); 32]);
        if let Ok(listing) = serde_json::from_slice::<Listing>(bytes)
            && let Ok(signed) = Signed::sign(listing, &owner)
            && let Ok(checked) = catalogue.check(signed.envelope().clone(), now())
        {
            let (new, _) = catalogue.take(std::slice::from_ref(&checked), now()).unwrap();
            assert!(new <= 1 && catalogue.len().unwrap() <= 64);
            let body = checked.body();
            assert!(!body.name.chars().any(char::is_control), "what is kept can be shown");
            assert!(body.ends() <= body.order() + LIFETIME.as_nanos() as i64);
            if let Ok(kept) = catalogue.find(&checked.id().to_string(), now()) {
                assert_eq!(croissant::import(&croissant::export(&kept).unwrap()).unwrap(), *checked.envelope());
            }
        }
        if let Ok(envelope) = Envelope::from_canonical_unchecked(bytes) {
            let _ = catalogue.check(envelope, now());
        }
        if let Ok(value) = serde_json::from_slice(bytes) {
            let _ = (croissant::import(&value), croissant::about(&value));
        }
        let _ = catalogue.answer(bytes, now());
        let (mut reconciliation, _) = catalogue.reconcile(now()).unwrap();
        let _ = reconciliation.read(bytes);
        let text = String::from_utf8_lossy(bytes);
        catalogue.search(&text, now(), 3).unwrap();
        let _ = catalogue.find(&text, now());
    });
}
