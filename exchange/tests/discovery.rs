//! Peers that have no address of each other's: over a relay, by their keys on the local network, by their keys at a pkarr relay.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router as Web,
    body::Bytes,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    routing::get,
};
use common::{Files, granted};
use tidegate_exchange::{Address, Endpoint, Reach, Router, ask, bind_reaching, blobs, local_address, serve};
use tidegate_protocol::{
    ContentHash, Identity,
    frame::{Reply, Request},
};

fn owner() -> Identity {
    Identity::from_seed([1; 32])
}

fn grantee() -> Identity {
    Identity::from_seed([3; 32])
}

/// An owner who serves one file to the grantee; where it is, the file, and what must live on.
async fn owner_at(folder: &Path, listen: SocketAddr, reach: &Reach) -> (Address, ContentHash, (Router, blobs::Served)) {
    let served = blobs::Served::open(&folder.join("blobs")).await.unwrap();
    let endpoint = bind_reaching(&owner(), &[listen], reach).await.unwrap();
    let address = local_address(&endpoint, &owner(), reach);
    let path = folder.join("data");
    std::fs::write(&path, vec![7; 4 << 20]).unwrap();
    let (hash, _) = served.import(&path, &mut |_| {}).await.unwrap();
    served.access().allow(grantee().id(), [hash], &granted(&["grant"], None));
    if reach.relay.is_some() {
        endpoint.online().await;
    }
    let router = serve(endpoint, Arc::new(Files), &served);
    (address, hash, (router, served))
}

async fn speaks_and_fetches(endpoint: &Endpoint, folder: &Path, to: &Address, hash: ContentHash) {
    let reply = tokio::time::timeout(Duration::from_secs(30), ask(endpoint, to, &Request::Catalogue { ids: vec![] }, &[])).await;
    assert!(matches!(reply.unwrap().unwrap(), Reply::Listings(_)));
    let target = folder.join("copy");
    blobs::fetch(endpoint, &folder.join("fetched"), to, hash, &target, &mut |_| ControlFlow::Continue(())).await.unwrap();
    assert_eq!(std::fs::read(target).unwrap(), vec![7; 4 << 20]);
}

fn only(address: &Address, relay: bool) -> Address {
    Address { sockets: vec![], relay: address.relay.clone().filter(|_| relay), ..address.clone() }
}

/// One listens on IPv6 alone and the other on IPv4 alone: there is no direct way between them.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_relay_alone() {
    let config = iroh_relay::server::RelayConfig::new((Ipv4Addr::LOCALHOST, 0));
    let mut server = iroh_relay::server::ServerConfig::default();
    server.relay = Some(config);
    let server = iroh_relay::server::Server::spawn(server).await.unwrap();
    let url = format!("http://{}/", server.http_addr().unwrap());
    let reach = Reach { relay: Some(url.parse().unwrap()), ..Reach::default() };
    let dir = tempfile::tempdir().unwrap();
    let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !v6 {
        assert!(std::env::var_os("REQUIRE_NETNS").is_none(), "no IPv6 here");
        eprintln!("skipped: no IPv6 here, so that a direct way cannot be ruled out");
        return;
    }
    let (address, hash, _serving) = owner_at(dir.path(), (Ipv6Addr::LOCALHOST, 0).into(), &reach).await;
    let endpoint = bind_reaching(&grantee(), &[(Ipv4Addr::LOCALHOST, 0).into()], &reach).await.unwrap();
    speaks_and_fetches(&endpoint, dir.path(), &only(&address, true), hash).await;
    endpoint.close().await;
    // Nor is anybody reached over it who is not on it.
    let endpoint = bind_reaching(&grantee(), &[(Ipv4Addr::LOCALHOST, 0).into()], &Reach::default()).await.unwrap();
    let asked = ask(&endpoint, &only(&address, false), &Request::Catalogue { ids: vec![] }, &[]).await;
    assert!(asked.is_err(), "{asked:?}");
    let through: u64 = server.metrics().server.bytes_sent.get();
    assert!(through > 4 << 20, "{through} bytes went through the relay");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_key_on_the_local_network() {
    if let Err(why) = multicast() {
        assert!(std::env::var_os("REQUIRE_MDNS").is_none(), "no multicast here: {why}");
        eprintln!("skipped: no multicast here: {why}");
        return;
    }
    let (dir, reach) = (tempfile::tempdir().unwrap(), Reach { local: true, ..Reach::default() });
    let (address, hash, _serving) = owner_at(dir.path(), (Ipv4Addr::UNSPECIFIED, 0).into(), &reach).await;
    let endpoint = bind_reaching(&grantee(), &[(Ipv4Addr::UNSPECIFIED, 0).into()], &reach).await.unwrap();
    speaks_and_fetches(&endpoint, dir.path(), &only(&address, false), hash).await;
}

/// Whether what is said to mDNS's group is heard here.
fn multicast() -> std::io::Result<()> {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let hears = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    hears.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    hears.set_read_timeout(Some(Duration::from_secs(2)))?;
    let says = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    says.send_to(b"is anybody there?", (group, hears.local_addr()?.port()))?;
    hears.recv_from(&mut [0; 64]).map(|_| ())
}

type Records = Arc<Mutex<HashMap<String, Bytes>>>;

/// A pkarr relay: keeps what is put under a key, and gives it back.
async fn pkarr() -> (String, Records) {
    let records = Records::default();
    let give = |State(records): State<Records>, UrlPath(key): UrlPath<String>| async move {
        records.lock().unwrap().get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
    };
    let take = |State(records): State<Records>, UrlPath(key): UrlPath<String>, body: Bytes| async move {
        records.lock().unwrap().insert(key, body);
    };
    let web = Web::new().route("/pkarr/{key}", get(give).put(take)).with_state(records.clone());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/pkarr", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, web).await.unwrap() });
    (url, records)
}

#[tokio::test(flavor = "multi_thread")]
async fn by_key_at_a_pkarr_relay() {
    let (url, records) = pkarr().await;
    let (dir, reach) = (tempfile::tempdir().unwrap(), Reach { lookup: Some(url.parse().unwrap()), ..Reach::default() });
    let (address, hash, _serving) = owner_at(dir.path(), (Ipv4Addr::LOCALHOST, 0).into(), &reach).await;
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while records.lock().unwrap().is_empty() {
        assert!(std::time::Instant::now() < until, "nothing was published");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let endpoint = bind_reaching(&grantee(), &[(Ipv4Addr::LOCALHOST, 0).into()], &reach).await.unwrap();
    speaks_and_fetches(&endpoint, dir.path(), &only(&address, false), hash).await;
    // Whoever keeps the records cannot say that a key is where another is.
    let kept = records.lock().unwrap().values().next().cloned().unwrap();
    let other = Identity::from_seed([9; 32]).id();
    let of_owner = records.lock().unwrap().keys().next().cloned().unwrap();
    let endpoint = bind_reaching(&Identity::from_seed([5; 32]), &[(Ipv4Addr::LOCALHOST, 0).into()], &reach).await.unwrap();
    for key in [of_owner, hex::encode(other.as_bytes())] {
        records.lock().unwrap().insert(key, kept.clone());
    }
    let asked = ask(&endpoint, &Address { peer: other, ..only(&address, false) }, &Request::Catalogue { ids: vec![] }, &[]).await;
    assert!(asked.is_err(), "{asked:?}");
}
