//! Peers that take what they can get: idle, slow and many of them. Others are served meanwhile, and memory is bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    net::Ipv4Addr,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Files, granted};
use iroh::{Endpoint, EndpointAddr, EndpointId, TransportAddr, endpoint::Connection, protocol::Router};
use tidegate_exchange::{Address, ask, bind, blobs, local_address, serve};
use tidegate_protocol::{
    Identity, PeerId,
    frame::{self, Reply, Request},
    limits,
};

struct Owner {
    address: Address,
    served: blobs::Served,
    _router: Router,
    _dir: tempfile::TempDir,
}

async fn loopback(seed: u16) -> Endpoint {
    let mut bytes = [9; 32];
    bytes[..2].copy_from_slice(&seed.to_le_bytes());
    bind(&Identity::from_seed(bytes), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

async fn owner() -> Owner {
    let (identity, dir) = (Identity::from_seed([1; 32]), tempfile::tempdir().unwrap());
    let served = blobs::Served::open(&dir.path().join("blobs")).await.unwrap();
    let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = local_address(&endpoint, &identity, &Default::default());
    let _router = serve(endpoint, Arc::new(Files), &served);
    Owner { address, served, _router, _dir: dir }
}

async fn connect(from: &Endpoint, to: &Address, alpn: &[u8]) -> Connection {
    let id = EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = EndpointAddr { id, addrs: to.sockets.iter().map(|s| TransportAddr::Ip(*s)).collect() };
    from.connect(addr, alpn).await.unwrap()
}

/// Resident memory of this process, both sides of everything, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn is_served(owner: &Owner, seed: u16) {
    let (endpoint, request) = (loopback(seed).await, Request::Listings { grant: String::new() });
    let reply = tokio::time::timeout(Duration::from_secs(20), ask(&endpoint, &owner.address, &request, &[]));
    assert!(matches!(reply.await.expect("others wait").unwrap(), Reply::Listings(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_hold_nobody_up() {
    let owner = owner().await;
    let before = resident();
    let (mut kept, mut endpoints) = (Vec::new(), Vec::new());
    let parties: Vec<_> = (0..40)
        .map(|peer| {
            let address = owner.address.clone();
            tokio::spawn(async move {
                let (endpoint, mut open) = (loopback(100 + peer).await, Vec::new());
                for _ in 0..25 {
                    open.push(connect(&endpoint, &address, frame::ALPN).await);
                }
                (endpoint, open)
            })
        })
        .collect();
    for party in parties {
        let (endpoint, open) = party.await.unwrap();
        endpoints.push(endpoint);
        kept.extend(open);
    }
    is_served(&owner, 1).await;
    let open = kept.iter().filter(|connection| connection.close_reason().is_none()).count();
    assert_eq!(open, 1000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 400, "{grown} MiB for both sides of 1000 connections");
    // One peer does not get more than its part.
    let greedy = loopback(2).await;
    let mut many = Vec::new();
    for _ in 0..limits::CONNECTIONS_PER_PEER + 8 {
        many.push(connect(&greedy, &owner.address, frame::ALPN).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let open = many.iter().filter(|connection| connection.close_reason().is_none()).count();
    assert_eq!(open, limits::CONNECTIONS_PER_PEER);
    // Who may have nothing keeps no connection for blobs.
    let endpoint = loopback(3).await;
    let stranger = connect(&endpoint, &owner.address, iroh_blobs::ALPN).await;
    let closed = tokio::time::timeout(Duration::from_secs(10), stranger.closed()).await.expect("a stranger's is closed");
    assert!(format!("{closed:?}").contains("permission"), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_hold_nobody_up_and_no_memory() {
    let owner = owner().await;
    let before = resident();
    let (mut held, mut endpoints) = (Vec::new(), Vec::new());
    for peer in 0..20 {
        let endpoint = loopback(200 + peer).await;
        let connection = connect(&endpoint, &owner.address, frame::ALPN).await;
        for stream in 0..20u32 {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            // A length that promises much, and a byte now and then; or a length over the limit.
            let length = if stream % 2 == 0 { limits::REQUEST_BYTES as u32 } else { u32::MAX };
            send.write_all(&length.to_be_bytes()).await.unwrap();
            let _ = send.write_all(b"{").await;
            held.push((send, recv));
        }
        endpoints.push((endpoint, connection));
    }
    is_served(&owner, 4).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 300, "{grown} MiB for {} requests that never end", held.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_fetch_at_the_same_time_and_others_are_answered() {
    let owner = owner().await;
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = (dir.path().join("data"), (0..64_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    std::fs::write(&path, &bytes).unwrap();
    let (hash, _) = owner.served.import(&path, &mut |_| {}).await.unwrap();
    let fetchers: Vec<_> = (0..200u16)
        .map(|i| {
            let (access, address, dir) = (owner.served.access().clone(), owner.address.clone(), dir.path().to_owned());
            tokio::spawn(async move {
                let endpoint = loopback(1000 + i).await;
                let peer = PeerId::from_bytes(*endpoint.id().as_bytes()).unwrap();
                access.allow(peer, [hash], &granted(&["grant"], None));
                let target = dir.join(format!("copy {i}"));
                let mut go = |_| ControlFlow::Continue(());
                blobs::fetch(&endpoint, &dir.join(format!("cache {i}")), &address, hash, &target, &mut go).await.unwrap();
                std::fs::read(target).unwrap().len()
            })
        })
        .collect();
    let start = Instant::now();
    is_served(&owner, 5).await;
    eprintln!("answered after {:?} while 200 fetch", start.elapsed());
    for fetcher in fetchers {
        assert_eq!(fetcher.await.unwrap(), bytes.len());
    }
}
