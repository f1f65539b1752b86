//! The network as it is: a wire that loses, delays, is cut and gives one side another address. The owner has an IPv6 socket alone and the grantee one of IPv4,
//! so that no datagram finds another way than through the wire between; that they went through it is counted. No privilege is needed. Where a machine has
//! no IPv6 of its own, this is skipped aloud, and fails under `REQUIRE_IPV6=1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{Files, granted};
use iroh::protocol::Router;
use tidegate_exchange::{Address, bind, blobs, local_address, serve};
use tidegate_protocol::{ContentHash, Identity};
use tokio::net::UdpSocket;

/// How a wire is.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Of a thousand datagrams, how many are lost, each way.
    lost: u64,
    /// How long each takes.
    delay: Duration,
    /// Bytes that it carries in a second, each way together; as many as come, where it does not say.
    rate: Option<u64>,
}

/// A wire to one endpoint, and where its other end is.
#[derive(Clone)]
struct Wire {
    near: Arc<UdpSocket>,
    /// Replaced where the far side sees another address.
    far: Arc<Mutex<Arc<UdpSocket>>>,
    to: SocketAddr,
    client: Arc<Mutex<Option<SocketAddr>>>,
    weather: Weather,
    cut: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
    /// When it has carried what waits.
    free: Arc<Mutex<Option<tokio::time::Instant>>>,
}

async fn socket(at: impl Into<IpAddr>) -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind((at.into(), 0)).await.unwrap())
}

/// Whether the machine has an IPv6 loopback.
fn has_ipv6() -> bool {
    let here = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    assert!(here || std::env::var_os("REQUIRE_IPV6").is_none(), "no IPv6 on this machine");
    if !here {
        eprintln!("SKIPPED: no IPv6 on this machine, and without it there is another way than through the wire");
    }
    here
}

impl Wire {
    async fn to(to: SocketAddr, weather: Weather) -> Self {
        let wire = Self {
            near: socket(Ipv4Addr::LOCALHOST).await,
            far: Arc::new(Mutex::new(socket(Ipv6Addr::LOCALHOST).await)),
            to,
            client: Arc::default(),
            weather,
            cut: Arc::default(),
            bytes: Arc::default(),
            count: Arc::default(),
            free: Arc::default(),
        };
        let near = wire.clone();
        tokio::spawn(async move {
            let mut datagram = [0; 65_536];
            loop {
                let Ok((n, from)) = near.near.recv_from(&mut datagram).await else { continue };
                *near.client.lock().unwrap() = Some(from);
                let far = near.far.lock().unwrap().clone();
                near.carry(datagram[..n].to_vec(), far, near.to);
            }
        });
        wire.listen();
        wire
    }

    /// Carries what comes back to the far socket of now.
    fn listen(&self) {
        let (wire, far) = (self.clone(), self.far.lock().unwrap().clone());
        tokio::spawn(async move {
            let mut datagram = [0; 65_536];
            loop {
                let Ok((n, _)) = far.recv_from(&mut datagram).await else { continue };
                let client = *wire.client.lock().unwrap();
                if let Some(client) = client {
                    wire.carry(datagram[..n].to_vec(), wire.near.clone(), client);
                }
            }
        });
    }

    /// The far side sees another address from now on; what it sends to the old one is lost.
    async fn move_away(&self) {
        let new = socket(Ipv6Addr::LOCALHOST).await;
        *self.far.lock().unwrap() = new;
        self.listen();
    }

    fn carry(&self, datagram: Vec<u8>, over: Arc<UdpSocket>, to: SocketAddr) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // The same ones in every run, and spread as chance would have it.
        let chance = ContentHash::of(&number.to_le_bytes()).0;
        if self.cut.load(Ordering::Relaxed) || u64::from(u16::from_le_bytes([chance[0], chance[1]])) % 1000 < self.weather.lost {
            return;
        }
        self.bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
        let now = tokio::time::Instant::now();
        let carried = self.weather.rate.map_or(now, |rate| {
            let mut free = self.free.lock().unwrap();
            let start = free.map_or(now, |free| free.max(now));
            *free.insert(start + Duration::from_secs_f64(datagram.len() as f64 / rate as f64))
        });
        let there = carried + self.weather.delay;
        tokio::spawn(async move {
            tokio::time::sleep_until(there).await;
            let _ = over.send_to(&datagram, to).await;
        });
    }
}

struct World {
    dir: tempfile::TempDir,
    address: Address,
    access: blobs::Access,
    _router: Router,
    hash: ContentHash,
    bytes: Vec<u8>,
}

fn grantee() -> Identity {
    Identity::from_seed([3; 32])
}

/// An owner with a file of so many bytes, which the grantee may have.
async fn world(size: u32) -> World {
    world_of(1, size).await
}

async fn world_of(seed: u8, size: u32) -> World {
    let (identity, dir) = (Identity::from_seed([seed; 32]), tempfile::tempdir().unwrap());
    let served = blobs::Served::open(&dir.path().join("blobs")).await.unwrap();
    let endpoint = bind(&identity, (Ipv6Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = local_address(&endpoint, &identity, &Default::default());
    let bytes: Vec<u8> = (0..size / 4).flat_map(u32::to_le_bytes).collect();
    let path = dir.path().join("data");
    std::fs::write(&path, &bytes).unwrap();
    let (hash, _) = served.import(&path, &mut |_| {}).await.unwrap();
    served.access().allow(grantee().id(), [hash], &granted(&["grant"], None));
    let _router = serve(endpoint, Arc::new(Files), &served);
    World { dir, address, access: served.access().clone(), _router, hash, bytes }
}

impl World {
    async fn fetch(&self, wire: &Wire, mut progress: impl FnMut(u64) + Send) -> Result<u64, tidegate_exchange::NetError> {
        let endpoint = bind(&grantee(), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let through = Address { peer: self.address.peer, sockets: vec![wire.near.local_addr().unwrap()], relay: None };
        let (cache, target): (&Path, _) = (&self.dir.path().join("cache"), self.dir.path().join("copy"));
        let mut report = |bytes| {
            progress(bytes);
            ControlFlow::Continue(())
        };
        let fetched = blobs::fetch(&endpoint, cache, &through, self.hash, &target, &mut report).await;
        endpoint.close().await;
        fetched
    }

    fn is_whole(&self) -> bool {
        std::fs::read(self.dir.path().join("copy")).is_ok_and(|copy| copy == self.bytes)
    }
}

async fn through(size: u32, weather: Weather) {
    if !has_ipv6() {
        return;
    }
    let world = world(size).await;
    let wire = Wire::to(world.address.sockets[0], weather).await;
    let came = world.fetch(&wire, |_| {}).await.unwrap();
    assert!(came >= u64::from(size) && world.is_whole());
    let carried = wire.bytes.load(Ordering::Relaxed);
    assert!(carried >= u64::from(size), "{carried} bytes went through the wire of {size}: there is another way");
}

/// All of it was handed to the network when the grant ends, and most has not left yet: it does not leave any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_slow_wire_ends_with_its_grant() {
    if !has_ipv6() {
        return;
    }
    let world = world(1 << 20).await;
    let wire = Wire::to(world.address.sockets[0], Weather { rate: Some(100_000), ..Default::default() }).await;
    let end = std::time::SystemTime::now() + Duration::from_secs(2);
    world.access.allow(grantee().id(), [world.hash], &granted(&["grant"], Some(end)));
    let cut = world.fetch(&wire, |_| {}).await;
    assert!(matches!(cut, Err(tidegate_exchange::NetError::Peer(_))) && !world.is_whole(), "{cut:?}");
    let carried = wire.bytes.load(Ordering::Relaxed);
    assert!(carried > 50_000 && carried < 800_000, "{carried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_percent_lost() {
    through(4 << 20, Weather { lost: 10, delay: Duration::ZERO, ..Default::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_percent_lost() {
    through(1 << 20, Weather { lost: 50, delay: Duration::ZERO, ..Default::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_milliseconds_and_one_percent_lost() {
    through(1 << 20, Weather { lost: 10, delay: Duration::from_millis(25), ..Default::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_milliseconds() {
    through(1 << 20, Weather { lost: 0, delay: Duration::from_millis(100), ..Default::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_was_cut_goes_on_where_it_was() {
    if !has_ipv6() {
        return;
    }
    let world = world(8 << 20).await;
    let first = Wire::to(world.address.sockets[0], Weather::default()).await;
    let (cut, arrived) = (first.cut.clone(), AtomicU64::new(0));
    let broken = world.fetch(&first, |bytes| {
        arrived.store(bytes, Ordering::Relaxed);
        if bytes > 3 << 20 {
            cut.store(true, Ordering::Relaxed);
        }
    });
    let broken = tokio::time::timeout(Duration::from_secs(90), broken).await.expect("a dead wire is noticed");
    assert!(broken.is_err() && !world.dir.path().join("copy").exists(), "{broken:?}");
    let arrived = arrived.load(Ordering::Relaxed);
    let second = Wire::to(world.address.sockets[0], Weather::default()).await;
    let came = world.fetch(&second, |_| {}).await.unwrap();
    assert!(world.is_whole());
    let again = (arrived + came).saturating_sub(world.bytes.len() as u64);
    assert!(again * 100 < arrived, "{again} bytes of {arrived} that had arrived came again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_in_the_middle_loses_nothing() {
    if !has_ipv6() {
        return;
    }
    let world = world(8 << 20).await;
    let wire = Wire::to(world.address.sockets[0], Weather::default()).await;
    let moved = Arc::new(AtomicBool::new(false));
    let (wish, watched) = (moved.clone(), wire.clone());
    let mover = tokio::spawn(async move {
        while !wish.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        watched.move_away().await;
    });
    let flag = moved.clone();
    let fetched = world.fetch(&wire, move |bytes| {
        if bytes > 2 << 20 {
            flag.store(true, Ordering::Relaxed);
        }
    });
    let fetched = tokio::time::timeout(Duration::from_secs(90), fetched).await.expect("it ends");
    assert!(moved.load(Ordering::Relaxed));
    mover.await.unwrap();
    if fetched.is_err() {
        // A new connection goes on where the old one was.
        let came = world.fetch(&wire, |_| {}).await.unwrap();
        assert!(came < 7 << 20, "{came} bytes came again");
    }
    assert!(world.is_whole());
}

/// Where links are what holds it up, two sources are faster than one: each link carries about half.
#[tokio::test(flavor = "multi_thread")]
async fn two_sources_share_what_links_can_carry() {
    if !has_ipv6() {
        return;
    }
    const SIZE: u32 = 32 << 20;
    let weather = Weather { rate: Some(8 << 20), ..Default::default() };
    let (one, two) = (world_of(1, SIZE).await, world_of(2, SIZE).await);
    let mut seconds = vec![];
    for worlds in [vec![&one], vec![&one, &two]] {
        // Knows no wire from before.
        let endpoint = bind(&grantee(), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let (mut wires, mut from) = (vec![], vec![]);
        for world in &worlds {
            let wire = Wire::to(world.address.sockets[0], weather).await;
            let through = vec![wire.near.local_addr().unwrap()];
            from.push(Address { peer: world.address.peer, sockets: through, relay: None });
            wires.push(wire);
        }
        let (cache, target) = (one.dir.path().join("cache"), one.dir.path().join("copy"));
        let start = std::time::Instant::now();
        let mut go = |_| ControlFlow::Continue(());
        blobs::fetch_from(&endpoint, &cache, &from, (one.hash, u64::from(SIZE)), &target, &mut go).await.unwrap();
        seconds.push(start.elapsed().as_secs_f64());
        assert!(one.is_whole());
        std::fs::remove_file(&target).unwrap();
        for wire in wires {
            let carried = wire.bytes.load(Ordering::Relaxed) as f64 / f64::from(SIZE);
            let share = 1.0 / worlds.len() as f64;
            assert!((0.5 * share..1.5 * share).contains(&carried), "{carried} of the file over one of {} links", worlds.len());
        }
    }
    eprintln!("one source {:.2} s, two {:.2} s", seconds[0], seconds[1]);
}
