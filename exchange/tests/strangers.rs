//! Many keys, which cost nothing: what all strangers together have of a node is bounded, and who has shown a grant is served meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{future::Future, net::Ipv4Addr, pin::Pin, sync::Arc, time::Duration};

use iroh::{Endpoint, EndpointAddr, EndpointId, TransportAddr, endpoint::Connection, protocol::Router};
use tidegate_exchange::{
    Address, Crowd, Handler, ask, bind, blobs,
    gossip::{Heard, Swarm},
    local_address, serve_crowd,
};
use tidegate_protocol::{
    Code, ContentHash, Identity, PeerId, Refusal,
    frame::{ALPN, Reply, Request},
    grant::Authority,
    limits,
};
use tokio_util::sync::CancellationToken;

/// A node that knows who shows the word; it takes its time for those that ask for a file of the log.
#[derive(Debug)]
struct Node;

const WORD: &str = "a grant";

impl Handler for Node {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Err(Refusal::new(Code::NotGranted, "not yours"))
    }

    fn knows(&self, _: PeerId, request: &Request) -> bool {
        request.grant() == WORD
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        request: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            match request {
                Request::LogFile { path } => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Reply::LogFile("x".repeat(path.parse().unwrap_or(1)))
                }
                _ => Reply::Listings(vec![]),
            }
        })
    }
}

struct World {
    address: Address,
    swarm: Swarm,
    access: blobs::Access,
    hash: ContentHash,
    _served: blobs::Served,
    _router: Router,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    world_of(Crowd::default()).await
}

async fn world_of(crowd: Crowd) -> World {
    let (identity, dir) = (Identity::from_seed([1; 32]), tempfile::tempdir().unwrap());
    let served = blobs::Served::open(&dir.path().join("blobs")).await.unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, vec![7; 8 << 20]).unwrap();
    let (hash, _) = served.import(&path, &mut |_| {}).await.unwrap();
    let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = local_address(&endpoint, &identity, &Default::default());
    let swarm = Swarm::new(&endpoint).unwrap();
    let _router = serve_crowd(endpoint, Arc::new(Node), &served, Some(&swarm), crowd);
    World { address, swarm, access: served.access().clone(), hash, _served: served, _router, _dir: dir }
}

async fn party(seed: u16) -> Endpoint {
    let mut bytes = [11; 32];
    bytes[..2].copy_from_slice(&seed.to_le_bytes());
    bind(&Identity::from_seed(bytes), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

async fn connect(from: &Endpoint, to: &Address, alpn: &[u8]) -> Option<Connection> {
    let id = EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = EndpointAddr { id, addrs: to.sockets.iter().map(|s| TransportAddr::Ip(*s)).collect() };
    tokio::time::timeout(Duration::from_secs(60), from.connect(addr, alpn)).await.ok()?.ok()
}

/// Resident memory of this process, both sides of everything, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn asks(from: &Endpoint, to: &Address, grant: &str) -> Reply {
    let request = Request::Listings { grant: grant.into() };
    let asked = tokio::time::timeout(Duration::from_secs(30), ask(from, to, &request, &[]));
    asked.await.expect("others wait").unwrap()
}

/// Four bytes say that 128 KiB come, over and over, and nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_said_takes_no_memory() {
    let world = world().await;
    let friend = party(1).await;
    asks(&friend, &world.address, WORD).await;
    let (mut held, mut kept, before) = (Vec::new(), Vec::new(), resident());
    for key in 0..24 {
        let endpoint = party(100 + key).await;
        let connection = connect(&endpoint, &world.address, ALPN).await.unwrap();
        for _ in 0..100 {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            send.write_all(&(limits::REQUEST_BYTES as u32).to_be_bytes()).await.unwrap();
            held.push((send, recv));
        }
        kept.push((endpoint, connection));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(asks(&friend, &world.address, "").await, Reply::Listings(_)));
    let grown = resident().saturating_sub(before);
    eprintln!("{grown} MiB for {} streams, both sides", held.len());
    assert!(grown < 100, "{grown} MiB for {} streams", held.len());
}

/// What nobody reads does not lie here: streams that are no requests, and what comes after a request.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_part_of_a_request_takes_no_memory() {
    let world = world().await;
    let (mut kept, before) = (Vec::new(), resident());
    let frame = serde_json::to_vec(&Request::LogFile { path: "1".into() }).unwrap();
    for key in 0..8 {
        let endpoint = party(200 + key).await;
        let connection = connect(&endpoint, &world.address, ALPN).await.unwrap();
        assert!(connection.max_datagram_size().is_none(), "nothing reads datagrams");
        let mut sending = tokio::task::JoinSet::new();
        for number in 0..40 {
            let (connection, frame) = (connection.clone(), frame.clone());
            sending.spawn(async move {
                let send = if number % 2 == 0 {
                    connection.open_uni().await
                } else {
                    connection.open_bi().await.map(|(send, recv)| {
                        std::mem::forget(recv);
                        send
                    })
                };
                let Ok(mut send) = send else { return };
                let length = (frame.len() as u32).to_be_bytes();
                let head = if number % 2 == 0 { vec![] } else { [&length[..], &frame].concat() };
                let _ = send.write_all(&head).await;
                let _ = tokio::time::timeout(Duration::from_secs(3), send.write_all(&vec![7; 1 << 20])).await;
            });
        }
        kept.push((endpoint, connection, sending));
    }
    for (_, _, sending) in &mut kept {
        while sending.join_next().await.is_some() {}
    }
    let grown = resident().saturating_sub(before);
    eprintln!("{grown} MiB, both sides");
    assert!(grown < 200, "{grown} MiB");
}

/// Replies that are asked for and never taken.
#[tokio::test(flavor = "multi_thread")]
async fn replies_that_nobody_takes_have_an_end() {
    let world = world().await;
    let friend = party(1).await;
    asks(&friend, &world.address, WORD).await;
    let request = serde_json::to_vec(&Request::LogFile { path: (8 << 20).to_string() }).unwrap();
    let (mut kept, before) = (Vec::new(), resident());
    for key in 0..60 {
        let endpoint = party(300 + key).await;
        let connection = connect(&endpoint, &world.address, ALPN).await.unwrap();
        // It takes no more than what its side takes without being asked.
        for _ in 0..2 {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            send.write_all(&(request.len() as u32).to_be_bytes()).await.unwrap();
            send.write_all(&request).await.unwrap();
            kept.push((send, recv, endpoint.clone(), connection.clone()));
        }
    }
    let mut most = 0;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(resident().saturating_sub(before));
    }
    eprintln!("{most} MiB for {} replies of 8 MiB", kept.len());
    assert!(most < 700, "{most} MiB for {} replies of 8 MiB", kept.len());
    assert!(matches!(asks(&friend, &world.address, "").await, Reply::Listings(_)));
}

/// As many connections of as many keys as strangers have places for, and more.
#[tokio::test(flavor = "multi_thread")]
async fn many_keys_leave_places_for_who_shows_a_grant_and_the_idlest_goes() {
    // Fewer than a node has, so that a slow machine opens them before idle ones are closed.
    let strangers = 3 * limits::CONNECTIONS_PER_PEER;
    let world = world_of(Crowd { connections: 4 * limits::CONNECTIONS_PER_PEER, strangers }).await;
    let friend = party(1).await;
    let request = Request::Listings { grant: WORD.into() };
    let of_friend = connect(&friend, &world.address, ALPN).await.unwrap();
    assert!(matches!(asks(&friend, &world.address, WORD).await, Reply::Listings(_)));
    let (mut send, mut recv) = of_friend.open_bi().await.unwrap();
    let frame = serde_json::to_vec(&request).unwrap();
    send.write_all(&[&(frame.len() as u32).to_be_bytes()[..], &frame].concat()).await.unwrap();
    send.finish().unwrap();
    recv.read_to_end(1 << 20).await.unwrap();
    // Its connection was opened by a stranger, and is a known peer's now.
    let (mut kept, keys) = (Vec::new(), 5);
    for key in 0..keys as u16 {
        let endpoint = party(1000 + key).await;
        let mut opened = Vec::new();
        for _ in 0..limits::CONNECTIONS_PER_PEER {
            opened.push(connect(&endpoint, &world.address, ALPN).await);
        }
        kept.push((endpoint, opened));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let open = |some: &[Option<Connection>]| some.iter().flatten().filter(|c| c.close_reason().is_none()).count();
    let all: usize = kept.iter().map(|(_, some)| open(some)).sum();
    assert!(all <= strangers && all + 20 > strangers, "{all} connections of strangers");
    let (first, last) = (open(&kept[0].1), open(&kept[keys - 1].1));
    assert!(first < 10 && last > 50, "{first} of the first, {last} of the last");
    assert!(of_friend.close_reason().is_none(), "who has shown a grant was told to go");
    assert!(matches!(asks(&friend, &world.address, WORD).await, Reply::Listings(_)));
    // Those who have shown a grant take strangers' places too, and never each other's.
    let mut friends = Vec::new();
    for seed in 10..13 {
        let endpoint = party(seed).await;
        asks(&endpoint, &world.address, WORD).await;
        for _ in 0..limits::CONNECTIONS_PER_PEER - 2 {
            friends.push((endpoint.clone(), connect(&endpoint, &world.address, ALPN).await.unwrap()));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(friends.iter().all(|(_, connection)| connection.close_reason().is_none()));
    let all: usize = kept.iter().map(|(_, some)| open(some)).sum();
    assert!(all < 2 * limits::CONNECTIONS_PER_PEER, "{all} connections of strangers are still there");
    // One more stranger is served, at the idlest's cost.
    assert!(matches!(asks(&party(2).await, &world.address, "").await, Reply::Listings(_)));
}

/// As many requests that never end as strangers have places for, and more.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_give_way_to_others() {
    let world = world().await;
    let (mut kept, keys) = (Vec::new(), limits::STRANGERS_REQUESTS / limits::STRANGER_REQUESTS + 2);
    for key in 0..keys as u16 {
        let endpoint = party(2000 + key).await;
        let connection = connect(&endpoint, &world.address, ALPN).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..limits::STRANGER_REQUESTS {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            send.write_all(&[0, 0]).await.unwrap();
            streams.push((send, recv));
        }
        kept.push((endpoint, connection, streams));
    }
    assert!(matches!(asks(&party(1).await, &world.address, "").await, Reply::Listings(_)));
    let (_, _, streams) = &mut kept[0];
    for (_, recv) in streams.iter_mut().take(8) {
        let ended = tokio::time::timeout(Duration::from_secs(10), recv.read_to_end(10)).await;
        assert!(ended.is_ok(), "the idlest is still there");
    }
    let (_, _, streams) = &mut kept[keys - 1];
    let ended = tokio::time::timeout(Duration::from_secs(1), streams[0].1.read_to_end(10)).await;
    assert!(ended.is_err(), "one that came last was told to go");
}

/// Requests that lack their last byte: what has come of them lies in memory, of one stranger and of all together so much of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_requests_that_never_end_has_an_end() {
    let world = world().await;
    let friend = party(1).await;
    asks(&friend, &world.address, WORD).await;
    let (of_one, of_all) = (limits::STRANGER_BYTES / limits::REQUEST_BYTES, limits::STRANGERS_BYTES / limits::REQUEST_BYTES);
    let (mut kept, mut asking) = (Vec::new(), tokio::task::JoinSet::new());
    for key in 0..of_all / of_one + 2 {
        let endpoint = party(4000 + key as u16).await;
        let connection = connect(&endpoint, &world.address, ALPN).await.unwrap();
        for _ in 0..=of_one {
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            asking.spawn(async move {
                // What is turned away is not taken to its end.
                let _ = send.write_all(&(limits::REQUEST_BYTES as u32).to_be_bytes()).await;
                let _ = send.write_all(&vec![b' '; limits::REQUEST_BYTES - 1]).await;
                let waits = tokio::time::timeout(Duration::from_secs(4), recv.read_to_end(10)).await.is_err();
                (key, waits, send)
            });
        }
        kept.push((endpoint, connection));
    }
    let all = asking.join_all().await;
    let most = (0..kept.len()).map(|of| all.iter().filter(|(key, waits, _)| *waits && *key == of).count()).max().unwrap();
    let together = all.iter().filter(|(_, waits, _)| *waits).count();
    assert!((1..=of_one).contains(&most), "{most} of one");
    assert!((of_all / 2..=of_all).contains(&together), "{together} of all");
    // Who has shown a grant has room meanwhile.
    assert!(matches!(asks(&friend, &world.address, WORD).await, Reply::Listings(_)));
}

/// Gossip connections of many keys: who says nothing goes, and others still hear each other.
#[tokio::test(flavor = "multi_thread")]
async fn gossip_of_many_keys_leaves_places() {
    let world = world().await;
    let mut kept = Vec::new();
    for key in 0..(limits::STRANGERS_GOSSIPS / limits::GOSSIPS_PER_PEER + 4) as u16 {
        let endpoint = party(3000 + key).await;
        for _ in 0..limits::GOSSIPS_PER_PEER + 1 {
            kept.push((endpoint.clone(), connect(&endpoint, &world.address, iroh_gossip::ALPN).await.unwrap()));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let open = kept.iter().filter(|(_, connection)| connection.close_reason().is_none()).count();
    assert!(open <= limits::STRANGERS_GOSSIPS, "{open} connections");
    assert!(kept[0].1.close_reason().is_some(), "the idlest is still there");
    let endpoint = party(5).await;
    let swarm = Swarm::new(&endpoint).unwrap();
    let (teller, mut hears) = world.swarm.join("topic", &[]).await.unwrap();
    let (_, mut other) = swarm.join("topic", std::slice::from_ref(&world.address)).await.unwrap();
    let both = async {
        while !matches!(hears.next().await, Some(Heard::Neighbour)) {}
        teller.tell(b"hello".to_vec()).await.unwrap();
        loop {
            if let Some(Heard::Message(message)) = other.next().await {
                return message;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), both).await.expect("nothing is heard"), b"hello");
}

/// What anybody may fetch is kept for so many keys; those with a grant are not forgotten for them.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_keys_may_ask_for_what_anybody_may_have() {
    let world = world().await;
    let key = |seed: u32| {
        let mut bytes = [13; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        Identity::from_seed(bytes).id()
    };
    let friend = party(1).await;
    let me = PeerId::from_bytes(*friend.id().as_bytes()).unwrap();
    let by = Authority { ids: vec!["grant".into()], holder: me, scope: None, ends: None };
    world.access.allow(me, [world.hash], &by);
    let begun = std::time::Instant::now();
    for seed in 0..limits::STRANGERS_FETCHING as u32 + 2000 {
        world.access.allow_freely(key(seed), [world.hash]);
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(world.access.len(), limits::STRANGERS_FETCHING + 1);
    let connection = connect(&friend, &world.address, iroh_blobs::ALPN).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(connection.close_reason().is_none());
}
