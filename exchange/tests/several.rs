//! One file from several peers: what one lacks, has wrong or may not send comes from the others, and nothing half-written appears.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{net::Ipv4Addr, ops::ControlFlow, path::PathBuf, sync::Arc};

use common::{Files, granted};
use tidegate_exchange::{Address, NetError, Router, bind, blobs, local_address, serve};
use tidegate_protocol::{ContentHash, Identity};

struct Source {
    address: Address,
    path: PathBuf,
    _served: blobs::Served,
    _router: Router,
}

struct World {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    hash: ContentHash,
}

fn grantee() -> Identity {
    Identity::from_seed([3; 32])
}

impl World {
    fn new(size: u32) -> Self {
        let bytes: Vec<u8> = (0..size / 4).flat_map(u32::to_le_bytes).collect();
        Self { dir: tempfile::tempdir().unwrap(), hash: ContentHash::of(&bytes), bytes }
    }

    async fn source(&self, seed: u8, may: bool) -> Source {
        let folder = self.dir.path().join(format!("source {seed}"));
        std::fs::create_dir(&folder).unwrap();
        let (identity, path) = (Identity::from_seed([seed; 32]), folder.join("data"));
        std::fs::write(&path, &self.bytes).unwrap();
        let served = blobs::Served::open(&folder.join("blobs")).await.unwrap();
        served.add(&path, self.hash).await.unwrap();
        if may {
            served.access().allow(grantee().id(), [self.hash], &granted(&["grant"], None));
        }
        let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = local_address(&endpoint, &identity, &Default::default());
        let _router = serve(endpoint, Arc::new(Files), &served);
        Source { address, path, _served: served, _router }
    }

    /// Fetches it; the bytes that came, where it is whole then.
    async fn fetch(&self, from: &[&Source], stop_at: u64) -> Result<u64, NetError> {
        let endpoint = bind(&grantee(), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let (folder, target) = (self.dir.path().join("fetched"), self.dir.path().join("copy"));
        let from: Vec<_> = from.iter().map(|source| source.address.clone()).collect();
        let mut report = |bytes| if bytes >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let what = (self.hash, self.bytes.len() as u64);
        let fetched = blobs::fetch_from(&endpoint, &folder, &from, what, &target, &mut report).await;
        endpoint.close().await;
        match fetched {
            Ok(came) => {
                assert!(std::fs::read(&target).unwrap() == self.bytes);
                std::fs::remove_file(&target).unwrap();
                Ok(came)
            }
            Err(e) => {
                assert!(!target.exists(), "{e}");
                Err(e)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_wrong_the_others_send() {
    let world = World::new(40 << 20);
    let (good, other, stranger) = (world.source(1, true).await, world.source(2, true).await, world.source(4, false).await);
    assert_eq!(world.fetch(&[&good, &other], u64::MAX).await.unwrap(), 40 << 20);
    assert_eq!(world.fetch(&[&stranger, &good], u64::MAX).await.unwrap(), 40 << 20);
    assert!(world.fetch(&[&stranger], u64::MAX).await.is_err());
    // Another byte in the middle; then only half of it.
    let mut changed = world.bytes.clone();
    changed[20 << 20] ^= 1;
    std::fs::write(&other.path, &changed).unwrap();
    assert!(world.fetch(&[&other], u64::MAX).await.is_err());
    let rest = world.fetch(&[&other, &good], u64::MAX).await.unwrap();
    assert!(rest < 40 << 20, "what was right of it came before, and is kept: {rest}");
    std::fs::write(&other.path, &changed[..10 << 20]).unwrap();
    assert!(world.fetch(&[&other], u64::MAX).await.is_err());
    world.fetch(&[&other, &good], u64::MAX).await.unwrap();
    // Nobody is there.
    drop(good._router.shutdown().await);
    assert!(world.fetch(&[], u64::MAX).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_was() {
    let world = World::new(64 << 20);
    let (one, two) = (world.source(1, true).await, world.source(2, true).await);
    assert!(matches!(world.fetch(&[&one, &two], 20 << 20).await, Err(NetError::Stopped)));
    let rest = world.fetch(&[&two, &one], u64::MAX).await.unwrap();
    assert!(rest <= 48 << 20, "{rest} came again");
}

/// A peer that says nothing is waited for no longer than is said, and the others send its parts.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_gone_round() {
    let world = World::new(40 << 20);
    let good = world.source(1, true).await;
    let mut silent = world.source(2, true).await;
    let identity = Identity::from_seed([7; 32]);
    let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    endpoint.set_alpns(vec![iroh_blobs::ALPN.to_vec()]);
    silent.address = local_address(&endpoint, &identity, &Default::default());
    let listening = tokio::spawn(async move {
        let mut held = vec![];
        while let Some(incoming) = endpoint.accept().await {
            held.push(incoming.await);
        }
    });
    let start = std::time::Instant::now();
    assert_eq!(world.fetch(&[&silent, &good], u64::MAX).await.unwrap(), 40 << 20);
    let waited = start.elapsed().as_secs();
    assert!((29..55).contains(&waited), "{waited} s");
    listening.abort();
}
