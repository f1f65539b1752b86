//! A node that shows nothing, and sends what was allowed.

use std::{future::Future, pin::Pin, time::SystemTime};

use tidegate_exchange::{Handler, blobs};
use tidegate_protocol::{
    ContentHash, Identity, PeerId, Refusal,
    frame::{Reply, Request},
    grant::Authority,
};
use tokio_util::sync::CancellationToken;

/// What a grant gives whose blocks have these revocation ids, until it ends.
pub(crate) fn granted(ids: &[&str], ends: Option<SystemTime>) -> Authority {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Authority { ids, holder: Identity::from_seed([2; 32]).id(), scope: None, ends }
}

#[derive(Debug)]
pub(crate) struct Files;

impl Handler for Files {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Ok(())
    }

    fn fetching<'a>(
        &'a self,
        _: PeerId,
        _: Vec<(ContentHash, Vec<blobs::ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { true })
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        _: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async { Reply::Listings(vec![]) })
    }
}
