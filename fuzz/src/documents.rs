//! Frames and signed documents: any input gives an error, or a document that reads back the same.
use std::time::SystemTime;

use tidegate_catalog::sealed::{self, Keys};
use tidegate_protocol::{
    Countersignature, Envelope, Identity, Job, Lease, Listing, Revocations, Sealed, Settlement,
    dsse::Signed,
    frame, limits,
    manifest::{Files, Manifest},
    policy::Policy,
    receipt::Statement,
    result::ResultDoc,
    revocations,
};

thread_local! {
    static KEYS: Keys = Keys::generate();
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::from_canonical(bytes) {
        assert_eq!(envelope.to_canonical().ok().as_deref(), Some(bytes), "one document, one form");
        let _ = envelope.check();
        let _ = Signed::<Job>::open(envelope.clone());
        let _ = Signed::<Manifest>::open(envelope.clone());
        let _ = Signed::<Policy>::open(envelope.clone());
        let _ = Signed::<Listing>::open(envelope.clone());
        let _ = Signed::<Sealed>::open(envelope.clone()).map(|sealed| sealed.body().check());
        let _ = Signed::<Revocations>::open(envelope.clone());
        let _ = Signed::<Countersignature>::open(envelope.clone());
        let _ = Signed::<Lease>::open(envelope.clone());
        let _ = Signed::<Settlement>::open(envelope.clone());
        let _ = Signed::<Statement>::open(envelope);
    }
    if let Ok(files) = serde_json::from_slice::<Files>(bytes) {
        let _ = (files.count(), files.bytes());
    }
    let _ = serde_json::from_slice::<frame::Request>(bytes);
    let _ = serde_json::from_slice::<frame::Reply>(bytes);
    let _ = serde_json::from_slice::<ResultDoc>(bytes);
    if let Ok(sealed) = serde_json::from_slice::<Sealed>(bytes) {
        assert!(sealed.check().is_err() || sealed.all().count() <= limits::FILES + 1);
    }
    if let Ok(list) = serde_json::from_slice::<Revocations>(bytes) {
        let (now, ids) = (SystemTime::UNIX_EPOCH, [String::from_utf8_lossy(bytes).into_owned()]);
        assert!(list.check(now).is_err() || list.good(&ids, now + revocations::LONGEST * 2).is_err(), "no list is good for ever");
    }
    if let Ok(lease) = serde_json::from_slice::<Lease>(bytes) {
        assert!(lease.check().is_err() || lease.until().is_some(), "no lease lasts for ever");
        assert!(lease.check().is_err() || (lease.amount.reviewed == 0 && lease.per_buyer.within(lease.amount)));
    }
    if let Ok((lease, settlement)) = serde_json::from_slice::<(Lease, Settlement)>(bytes) {
        assert!(settlement.check(&lease).is_err() || settlement.spent.within(lease.amount), "nothing comes of nothing");
    }
    // A mirror's data, and the keys that come with a grant.
    KEYS.with(|keys| assert!(sealed::open(keys, bytes, Vec::new(), u64::MAX, &mut |_| {}).is_err(), "nobody else can write it"));
    let _ = Keys::unwrap(&String::from_utf8_lossy(bytes), &Identity::from_seed([1; 32]));
    let _ = serde_json::from_slice::<Statement>(bytes);
    if let Ok(job) = serde_json::from_slice::<Job>(bytes) {
        let _ = job.check();
    }
}
