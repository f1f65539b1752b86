//! Frames and signed documents: whatever comes, an error or a document that reads back the same.
use tidegate_protocol::{
    Countersignature, Envelope, Job, Listing, dsse::Signed, frame, manifest::Manifest, policy::Policy, receipt::Statement,
    result::ResultDoc,
};

/// One input.
pub fn run(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::from_canonical(bytes) {
        assert_eq!(envelope.to_canonical().ok().as_deref(), Some(bytes), "one document, one form");
        let _ = envelope.check();
        let _ = Signed::<Job>::open(envelope.clone());
        let _ = Signed::<Manifest>::open(envelope.clone());
        let _ = Signed::<Policy>::open(envelope.clone());
        let _ = Signed::<Listing>::open(envelope.clone());
        let _ = Signed::<Countersignature>::open(envelope.clone());
        let _ = Signed::<Statement>::open(envelope);
    }
    let _ = serde_json::from_slice::<frame::Request>(bytes);
    let _ = serde_json::from_slice::<frame::Reply>(bytes);
    let _ = serde_json::from_slice::<ResultDoc>(bytes);
    let _ = serde_json::from_slice::<Statement>(bytes);
    if let Ok(job) = serde_json::from_slice::<Job>(bytes) {
        let _ = job.check();
    }
}
