//! No byte of a dataset is served to anybody who was not allowed exactly it, by any request that iroh-blobs knows.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    net::Ipv4Addr,
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use common::{Files, granted};
use iroh::{Endpoint, protocol::Router};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRangesSeq, GetManyRequest, GetRequest, ObserveRequest, PushRequest},
    store::mem::MemStore,
};
use tidegate_exchange::{Address, NetError, bind, blobs, local_address, serve};
use tidegate_protocol::{ContentHash, Identity, grant::Authority};

struct Owner {
    address: Address,
    served: blobs::Served,
    _router: Router,
}

async fn loopback(identity: &Identity) -> Endpoint {
    bind(identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

async fn owner(folder: &Path) -> Owner {
    let identity = Identity::from_seed([1; 32]);
    let served = blobs::Served::open(&folder.join("blobs")).await.unwrap();
    let endpoint = loopback(&identity).await;
    let address = local_address(&endpoint, &identity, &Default::default());
    let _router = serve(endpoint, Arc::new(Files), &served);
    Owner { address, served, _router }
}

/// A grant that a holder narrowed.
fn by() -> Authority {
    granted(&["owner", "block"], None)
}

/// So long from now.
fn after(time: Duration) -> Option<SystemTime> {
    Some(SystemTime::now() + time)
}

/// Writes `bytes` to a file, serves it, and says its hash.
async fn add(owner: &Owner, folder: &Path, name: &str, bytes: &[u8]) -> ContentHash {
    let (path, hash) = (folder.join(name), ContentHash::of(bytes));
    std::fs::write(&path, bytes).unwrap();
    owner.served.add(&path, hash).await.unwrap();
    hash
}

/// Every request there is, spoken by `peer` for `hash`; returns what was got.
async fn everything(peer: &Identity, to: &Address, hash: ContentHash) -> Vec<&'static str> {
    let endpoint = loopback(peer).await;
    let id = iroh::EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: to.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let hash = Hash::from_bytes(hash.0);
    let mut got = Vec::new();
    let connect = || endpoint.connect(addr.clone(), iroh_blobs::ALPN);
    for (name, request) in [
        ("get blob", GetRequest::blob(hash)),
        ("get as hash sequence", GetRequest::all(hash)),
        (
            "get first chunk",
            GetRequest::builder().root(iroh_blobs::protocol::ChunkRanges::from(..iroh_blobs_chunk(1))).build(hash),
        ),
    ] {
        let store = MemStore::new();
        let connection = connect().await.unwrap();
        if store.remote().execute_get(connection, request).complete().await.is_ok() || store.has(hash).await.unwrap() {
            got.push(name);
        }
    }
    let store = MemStore::new();
    let many = GetManyRequest::new(vec![hash], ChunkRangesSeq::all());
    if store.remote().execute_get_many(connect().await.unwrap(), many).complete().await.is_ok() || store.has(hash).await.unwrap()
    {
        got.push("get many");
    }
    let store = MemStore::new();
    let mut observed = Box::pin(store.remote().observe(connect().await.unwrap(), ObserveRequest::new(hash)));
    if let Some(Ok(_)) = futures_lite::StreamExt::next(&mut observed).await {
        got.push("observe");
    }
    got
}

fn iroh_blobs_chunk(n: u64) -> bao_tree::ChunkNum {
    bao_tree::ChunkNum(n)
}

#[tokio::test]
async fn a_stranger_gets_nothing_by_any_request() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let small = add(&owner, dir.path(), "small", b"one person's row").await;
    let large = add(&owner, dir.path(), "large", &vec![7; 100_000]).await;
    let stranger = Identity::from_seed([2; 32]);
    for hash in [small, large] {
        assert_eq!(everything(&stranger, &owner.address, hash).await, Vec::<&str>::new());
    }
}

#[tokio::test]
async fn a_grantee_gets_exactly_the_allowed_blob_and_loses_it_when_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let secret = add(&owner, dir.path(), "secret", &vec![9; 50_000]).await;
    // A granted blob whose bytes are the hash of one that is not: as a hash sequence it would open the other.
    let trojan = add(&owner, dir.path(), "trojan", &secret.0).await;
    let grantee = Identity::from_seed([3; 32]);
    owner.served.access().allow(grantee.id(), [trojan], &by());
    let got = everything(&grantee, &owner.address, trojan).await;
    assert!(got.contains(&"get blob") && got.contains(&"get many"), "{got:?}");
    assert!(!got.contains(&"get as hash sequence") && !got.contains(&"observe"), "{got:?}");
    assert_eq!(everything(&grantee, &owner.address, secret).await, Vec::<&str>::new());
    // Another peer gains nothing from it.
    assert_eq!(everything(&Identity::from_seed([4; 32]), &owner.address, trojan).await, Vec::<&str>::new());
    owner.served.access().revoke("block");
    assert_eq!(everything(&grantee, &owner.address, trojan).await, Vec::<&str>::new());
    // Allowed until the grant ends, however long what is allowed may be begun.
    let end = after(Duration::from_secs(3));
    owner.served.access().allow(grantee.id(), [trojan], &granted(&["owner", "block"], end));
    assert!(everything(&grantee, &owner.address, trojan).await.contains(&"get blob"));
    while end > Some(SystemTime::now()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(everything(&grantee, &owner.address, trojan).await, Vec::<&str>::new(), "the grant has ended");
}

#[tokio::test]
async fn a_transfer_is_cut_where_its_grant_is_revoked_in_the_middle_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let bytes: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    let hash = add(&owner, dir.path(), "data", &bytes).await;
    let copy = |seed: u8, revoked: Option<&'static str>| {
        let (access, target) = (owner.served.access().clone(), dir.path().join(format!("copy {seed}")));
        let (cache, address) = (dir.path().join(format!("cache {seed}")), owner.address.clone());
        async move {
            let grantee = Identity::from_seed([seed; 32]);
            let by = |ends| granted(&[&format!("grant {seed}"), "narrowed"], ends);
            access.allow(grantee.id(), [hash], &by(None));
            let mut revoke = |got| {
                if let Some(id) = revoked.filter(|_| got > 1_000_000) {
                    // The time in which it could begin is over, and is forgotten.
                    access.allow(grantee.id(), [hash], &by(Some(SystemTime::UNIX_EPOCH)));
                    access.allow(Identity::from_seed([99; 32]).id(), [hash], &granted(&[], None));
                    access.revoke(id);
                }
                ControlFlow::Continue(())
            };
            let endpoint = loopback(&grantee).await;
            let fetched = blobs::fetch(&endpoint, &cache, &address, hash, &target, &mut revoke).await;
            (fetched, target.exists())
        }
    };
    // Another's grant is no concern of this one.
    let (whole, there) = copy(2, Some("grant 9")).await;
    assert!(whole.is_ok() && there, "{whole:?}");
    let (cut, there) = copy(3, Some("grant 3")).await;
    assert!(matches!(cut, Err(NetError::Peer(_))) && !there, "{cut:?}");
    assert_eq!(everything(&Identity::from_seed([3; 32]), &owner.address, hash).await, Vec::<&str>::new());
    let (again, there) = copy(4, None).await;
    assert!(again.is_ok() && there, "{again:?}");
}

/// What had come when nothing came any more, which is nothing where the owner closes the connection, of an answer of which a piece is read now and then until `pause` is over, and the rest at once; and when.
async fn slowly(peer: &Identity, to: &Address, hash: ContentHash, pause: Duration) -> (usize, Instant) {
    let endpoint = loopback(peer).await;
    let id = iroh::EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: to.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let connection = endpoint.connect(addr, iroh_blobs::ALPN).await.unwrap();
    let closed = || assert!(connection.close_reason().is_some(), "open, and yet nothing can be asked");
    let Ok((mut ask, mut answer)) = connection.open_bi().await else {
        closed();
        return (0, Instant::now());
    };
    let request = GetRequest::blob(Hash::from_bytes(hash.0));
    if ask.write_all(&postcard::to_extend(&request, vec![GET]).unwrap()).await.is_err() {
        closed();
        return (0, Instant::now());
    }
    let _ = ask.finish();
    let (begun, mut came, mut piece) = (Instant::now(), 0, vec![0; 8192]);
    while let Ok(Some(n)) = answer.read(&mut piece).await {
        came += n;
        if begun.elapsed() < pause {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    (came, Instant::now())
}

/// One that takes what is sent it bit by bit is in the middle of it when the grant ends: no more is sent then, of a large file or of a small one. Who has a
/// grant without an end goes on, or with a later one.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_cut_where_its_grant_ends_in_the_middle_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let long = Duration::from_secs(4);
    for (name, numbers) in [("large", 16_000_000_u32), ("small", 225_000)] {
        let bytes: Vec<u8> = (0..numbers).flat_map(u32::to_le_bytes).collect();
        let hash = add(&owner, dir.path(), name, &bytes).await;
        let (end, begun) = (after(Duration::from_secs(2)), Instant::now());
        let grantee = |seed: u8| Identity::from_seed([seed; 32]);
        for (seed, ends) in [(3, end), (4, None), (5, after(Duration::from_secs(60)))] {
            owner.served.access().allow(grantee(seed).id(), [hash], &granted(&[&format!("grant {seed}")], ends));
        }
        let [three, four, five] = [3, 4, 5].map(grantee);
        let read = |who| slowly(who, &owner.address, hash, long);
        let ((cut, at), (whole, _), (also, _)) = tokio::join!(read(&three), read(&four), read(&five));
        assert!(cut > 0 && cut < bytes.len(), "{name}: {cut} of {} came", bytes.len());
        assert!(at - begun < Duration::from_secs(3), "{name}: cut after {:?}", at - begun);
        assert!(whole > bytes.len() && also > bytes.len(), "{name}: {whole} and {also} of {} came", bytes.len());
        assert_eq!(slowly(&three, &owner.address, hash, Duration::ZERO).await.0, 0, "{name}: begun after the end");
    }
}

#[tokio::test]
async fn nobody_can_push() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let pusher = Identity::from_seed([5; 32]);
    let bytes = vec![1; 20_000];
    let hash = ContentHash::of(&bytes);
    owner.served.access().allow(pusher.id(), [hash], &by());
    let endpoint = loopback(&pusher).await;
    let id = iroh::EndpointId::from_bytes(owner.address.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: owner.address.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let store = MemStore::new();
    store.add_bytes(bytes).await.unwrap();
    let connection = endpoint.connect(addr, iroh_blobs::ALPN).await.unwrap();
    let _ = store
        .remote()
        .execute_push(connection, PushRequest::new(Hash::from_bytes(hash.0), ChunkRangesSeq::root()))
        .complete()
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    // Had the push been taken, the allowed hash could be fetched now.
    assert_eq!(everything(&pusher, &owner.address, hash).await, Vec::<&str>::new());
}

#[tokio::test]
async fn fetch_verifies_and_writes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let hash = add(&owner, dir.path(), "data", &bytes).await;
    let grantee = Identity::from_seed([3; 32]);
    let endpoint = loopback(&grantee).await;
    let target = dir.path().join("fetched");
    let cache = dir.path().join("cache");
    let mut go = |_| ControlFlow::Continue(());
    assert!(blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.is_err());
    assert!(!target.exists(), "nothing half-written");
    owner.served.access().allow(grantee.id(), [hash], &by());
    // Stopped in the middle, then resumed: what had come is not sent again.
    let mut stop = |bytes| if bytes > 400_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut stop).await;
    assert!(matches!(stopped, Err(NetError::Stopped)), "{stopped:?}");
    assert!(!target.exists(), "nothing half-written");
    let resumed = blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.unwrap();
    assert!(resumed <= bytes.len() as u64 - 300_000, "{resumed} of {} came again", bytes.len());
    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    assert!(std::fs::read_dir(&cache).unwrap().next().is_none(), "no second copy is kept");
}

/// All bytes that come when `peer` asks so.
async fn answer(peer: &Identity, to: &Address, kind: u8, request: &impl serde::Serialize) -> Vec<u8> {
    let endpoint = loopback(peer).await;
    let id = iroh::EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: to.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let connection = endpoint.connect(addr, iroh_blobs::ALPN).await.unwrap();
    let (mut ask, mut answer) = connection.open_bi().await.unwrap();
    ask.write_all(&postcard::to_extend(request, vec![kind]).unwrap()).await.unwrap();
    ask.finish().unwrap();
    let (mut came, mut piece) = (vec![], vec![0; 65_536]);
    while let Ok(Some(n)) = answer.read(&mut piece).await {
        came.extend_from_slice(&piece[..n]);
    }
    came
}

/// Numbers of iroh-blobs' requests.
const GET: u8 = 0;
const GET_MANY: u8 = 9;

/// Many are asked for at once by who may have each of them, and by nobody else.
#[tokio::test]
async fn of_many_none_comes_unless_all_are_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let (mut mine, mut all) = (vec![], 0);
    for number in 0..65_u8 {
        let bytes = vec![number; 300 * usize::from(number)];
        all += bytes.len();
        mine.push(Hash::from_bytes(add(&owner, dir.path(), &number.to_string(), &bytes).await.0));
    }
    let other = Hash::from_bytes(add(&owner, dir.path(), "other", b"one person's row").await.0);
    let grantee = Identity::from_seed([3; 32]);
    owner.served.access().allow(grantee.id(), mine.iter().map(|hash| ContentHash(*hash.as_bytes())), &by());
    let ask = async |hashes: Vec<Hash>, ranges| {
        let endpoint = &owner.address;
        answer(&grantee, endpoint, GET_MANY, &GetManyRequest { hashes, ranges }).await.len()
    };
    // Each with its size; the last is the 65th, and one more than a request may have.
    assert!(ask(mine[..64].to_vec(), ChunkRangesSeq::all()).await >= all - 300 * 64 + 64 * 8);
    for refused in [mine.clone(), vec![mine[64], other], vec![other, mine[64]], vec![mine[64], Hash::from_bytes([7; 32])]] {
        assert_eq!(ask(refused, ChunkRangesSeq::all()).await, 0);
    }
    // Of nothing there is nothing to decide, nor to log.
    assert_eq!(ask(vec![], ChunkRangesSeq::all()).await + ask(vec![mine[64]], ChunkRangesSeq::empty()).await, 0);
    // Parts that are counted together.
    let mut many = iroh_blobs::protocol::ChunkRanges::empty();
    (0..9).for_each(|at| many |= (iroh_blobs_chunk(2 * at)..iroh_blobs_chunk(2 * at + 1)).into());
    assert!(ask(vec![mine[64]; 7], ChunkRangesSeq::from_ranges_infinite([many.clone()])).await > 0);
    assert_eq!(ask(vec![mine[64]; 8], ChunkRangesSeq::from_ranges_infinite([many])).await, 0);
    owner.served.access().revoke("block");
    assert_eq!(ask(vec![mine[64]], ChunkRangesSeq::all()).await, 0);
}

/// What a published file is known by is its BLAKE3; a large one lies where it lay, and one that was changed is never sent.
#[tokio::test]
async fn a_file_is_imported_by_reference_and_not_served_once_changed() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let bytes: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    let path = dir.path().join("large");
    std::fs::write(&path, &bytes).unwrap();
    let mut seen = 0;
    let (hash, size) = owner.served.import(&path, &mut |done| seen = done).await.unwrap();
    assert_eq!((hash, size, seen), (ContentHash::of(&bytes), bytes.len() as u64, bytes.len() as u64));
    let kept: u64 = walk(&dir.path().join("blobs")).iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
    assert!(kept < bytes.len() as u64 / 2, "{kept} bytes are kept beside a file of {}", bytes.len());
    let grantee = Identity::from_seed([3; 32]);
    owner.served.access().allow(grantee.id(), [hash], &by());
    let (mut changed, secret) = (bytes.clone(), b"another person's row");
    changed[4_000_000..4_000_000 + secret.len()].copy_from_slice(secret);
    std::fs::write(&path, &changed).unwrap();
    // Not that it is found out where it arrives: it does not leave.
    let sent = answer(&grantee, &owner.address, GET, &GetRequest::blob(Hash::from_bytes(hash.0))).await;
    assert!(sent.len() < 4_100_000, "{} bytes were sent", sent.len());
    assert!(!sent.windows(secret.len()).any(|window| window == secret));
    let (endpoint, target) = (loopback(&grantee).await, dir.path().join("copy"));
    let mut go = |_| ControlFlow::Continue(());
    let fetched = blobs::fetch(&endpoint, &dir.path().join("cache"), &owner.address, hash, &target, &mut go).await;
    assert!(fetched.is_err() && !target.exists());
}

/// By a damaged tree nothing is sent, and it is made anew while the node runs: a loss of power may have left it so.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tree_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let bytes: Vec<u8> = (0..500_000u32).flat_map(u32::to_le_bytes).collect();
    let hash = add(&owner, dir.path(), "data", &bytes).await;
    let grantee = Identity::from_seed([3; 32]);
    owner.served.access().allow(grantee.id(), [hash], &by());
    let tree = dir.path().join("blobs").join(format!("{hash}.tree"));
    let right = std::fs::read(&tree).unwrap();
    std::fs::write(&tree, vec![0; right.len()]).unwrap();
    let (endpoint, cache, target) = (loopback(&grantee).await, dir.path().join("cache"), dir.path().join("copy"));
    let mut go = |_| ControlFlow::Continue(());
    assert!(blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.is_err());
    let mended = async {
        while std::fs::read(&tree).ok().as_ref() != Some(&right) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), mended).await.unwrap();
    blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == bytes);
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}
