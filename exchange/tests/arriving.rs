//! What is on its way is believed of nobody: not of a peer that lies about lengths, not of what lies in the folder. Many small files come together.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    net::Ipv4Addr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use common::{Files, granted};
use iroh::Endpoint;
use tidegate_exchange::{Address, NetError, Router, bind, blobs, local_address, serve};
use tidegate_protocol::{ContentHash, Identity};

fn grantee() -> Identity {
    Identity::from_seed([3; 32])
}

async fn loopback(identity: &Identity) -> Endpoint {
    bind(identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

struct Owner {
    address: Address,
    served: blobs::Served,
    _router: Router,
}

async fn owner(folder: &Path) -> Owner {
    let identity = Identity::from_seed([1; 32]);
    let served = blobs::Served::open(&folder.join("blobs")).await.unwrap();
    let endpoint = loopback(&identity).await;
    let address = local_address(&endpoint, &identity, &Default::default());
    let _router = serve(endpoint, Arc::new(Files), &served);
    Owner { address, served, _router }
}

/// An owner with a file of so many numbers, which the grantee may have.
async fn sharing(folder: &Path, numbers: u32) -> (Owner, Vec<u8>, ContentHash) {
    let bytes: Vec<u8> = (0..numbers).flat_map(u32::to_le_bytes).collect();
    let (path, hash) = (folder.join("data"), ContentHash::of(&bytes));
    std::fs::write(&path, &bytes).unwrap();
    let owner = owner(folder).await;
    owner.served.add(&path, hash).await.unwrap();
    owner.served.access().allow(grantee().id(), [hash], &granted(&["grant"], None));
    (owner, bytes, hash)
}

/// A peer that answers whatever it is asked with these bytes.
async fn liar(answer: Vec<u8>) -> Address {
    static NEXT: AtomicU8 = AtomicU8::new(100);
    // Each another: a peer of one key is found at every address that it had.
    let identity = Identity::from_seed([NEXT.fetch_add(1, Ordering::Relaxed); 32]);
    let endpoint = loopback(&identity).await;
    endpoint.set_alpns(vec![iroh_blobs::ALPN.to_vec()]);
    let address = local_address(&endpoint, &identity, &Default::default());
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            let answer = answer.clone();
            tokio::spawn(async move {
                while let Ok((mut to, mut from)) = connection.accept_bi().await {
                    drop(from.read_to_end(1 << 16).await);
                    drop(to.write_all(&answer).await);
                    drop(to.finish());
                }
            });
        }
    });
    address
}

fn go(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Files in a folder that holds what is half done.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let entries = entries.map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { kept(&p) } else { vec![p] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_about_lengths_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, bytes, hash) = sharing(dir.path(), 1_000_000).await;
    let (endpoint, cache, target) = (loopback(&grantee()).await, dir.path().join("cache"), dir.path().join("copy"));
    for claim in [0, 1, 16 << 10, 4_000_001, 1 << 40, u64::MAX / 2, u64::MAX] {
        for more in [vec![], vec![7; 100], vec![7; 300_000]] {
            let from = liar([&claim.to_le_bytes()[..], &more].concat()).await;
            let lied = blobs::fetch(&endpoint, &cache, &from, hash, &target, &mut go).await;
            assert!(matches!(lied, Err(NetError::Peer(_))), "{claim}: {lied:?}");
            let what = (hash, bytes.len() as u64);
            let lied = blobs::fetch_from(&endpoint, &cache, &[from], what, &target, &mut go).await;
            assert!(matches!(lied, Err(NetError::Peer(_))), "{claim}: {lied:?}");
            assert!(!target.exists());
        }
        // Who says what is so is believed at once, whatever was said before.
        let lied = liar(claim.to_le_bytes().to_vec()).await;
        assert!(blobs::fetch(&endpoint, &cache, &lied, hash, &target, &mut go).await.is_err());
        blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.unwrap();
        std::fs::remove_file(&target).unwrap();
    }
    // The file is longer than what may be on its way (some 2 MB) when the receiver says that it stops.
    // Part of it comes from one who says what is so, then another lies: what was right stays.
    let mut stop = |came| if came > 600_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut stop).await;
    assert!(matches!(stopped, Err(NetError::Stopped)), "{stopped:?}");
    let from = liar([&4_000_000u64.to_le_bytes()[..], &[7; 1000]].concat()).await;
    assert!(blobs::fetch(&endpoint, &cache, &from, hash, &target, &mut go).await.is_err());
    let rest = blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.unwrap();
    assert!(rest < 3_500_000, "{rest} came again");
    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    assert_eq!(kept(&cache), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_there_is_proven_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, bytes, hash) = sharing(dir.path(), 2_000_000).await;
    let (endpoint, cache, target) = (loopback(&grantee()).await, dir.path().join("cache"), dir.path().join("copy"));
    for (name, at) in [("part", 5000), ("tree", 0), ("tree", 3000), ("part", 0)] {
        let mut stop = |came| if came > 3_000_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut stop).await;
        assert!(matches!(stopped, Err(NetError::Stopped)), "{stopped:?}");
        let file = kept(&cache).into_iter().find(|p| p.ends_with(name)).unwrap();
        let mut there = std::fs::read(&file).unwrap();
        there[at] ^= 1;
        std::fs::write(&file, &there).unwrap();
        // From one, or from as many as there are.
        let what = (hash, bytes.len() as u64);
        if at == 0 {
            blobs::fetch_from(&endpoint, &cache, std::slice::from_ref(&owner.address), what, &target, &mut go).await.unwrap();
        } else {
            blobs::fetch(&endpoint, &cache, &owner.address, hash, &target, &mut go).await.unwrap();
        }
        assert!(std::fs::read(&target).unwrap() == bytes, "{name} {at}");
        assert_eq!(kept(&cache), Vec::<PathBuf>::new());
        std::fs::remove_file(&target).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_come_together_each_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let owner = owner(dir.path()).await;
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    std::fs::create_dir(&to).unwrap();
    let mut files = vec![];
    for (number, size) in (0..300).map(|i| (i, i * 131 % 40_000)).chain([(300, 0), (301, 1 << 20), (302, 16 << 10), (303, 16385)])
    {
        let (path, bytes) = (from.join(number.to_string()), vec![number as u8; size]);
        std::fs::write(&path, &bytes).unwrap();
        let (hash, size) = owner.served.import(&path, &mut |_| {}).await.unwrap();
        assert_eq!(hash, ContentHash::of(&bytes));
        files.push((hash, size, to.join(number.to_string())));
    }
    owner.served.access().allow(grantee().id(), files.iter().map(|file| file.0), &granted(&["grant"], None));
    let endpoint = loopback(&grantee()).await;
    let mut told = vec![];
    let mut tell = |number| {
        told.push(number);
        ControlFlow::Continue(())
    };
    blobs::fetch_small(&endpoint, &owner.address, &files, &mut tell).await.unwrap();
    told.sort_unstable();
    assert_eq!(told, (0..304).collect::<Vec<_>>());
    for number in 0..304 {
        let name = number.to_string();
        assert!(std::fs::read(to.join(&name)).unwrap() == std::fs::read(from.join(&name)).unwrap(), "{number}");
    }
    // Stopped; said to be longer; changed since; not allowed.
    let again = |i: usize, bytes: u64| vec![(files[i].0, bytes, to.join("again"))];
    let mut stop = |_| ControlFlow::Break(());
    assert!(matches!(blobs::fetch_small(&endpoint, &owner.address, &files[..4], &mut stop).await, Err(NetError::Stopped)));
    let mut go = |_| ControlFlow::Continue(());
    for bytes in [0, files[7].1 + 1, u64::MAX] {
        assert!(blobs::fetch_small(&endpoint, &owner.address, &again(7, bytes), &mut go).await.is_err());
    }
    std::fs::write(from.join("302"), vec![9; 16 << 10]).unwrap();
    assert!(blobs::fetch_small(&endpoint, &owner.address, &again(302, 16 << 10), &mut go).await.is_err());
    let stranger = loopback(&Identity::from_seed([4; 32])).await;
    assert!(blobs::fetch_small(&stranger, &owner.address, &again(5, files[5].1), &mut go).await.is_err());
    assert!(std::fs::read_dir(&to).unwrap().count() == 304, "nothing half-written");
}
