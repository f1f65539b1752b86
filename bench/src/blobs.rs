//! File transfers over loopback: a governed fetch, from one and from two peers, against iroh-blobs by itself, a raw iroh stream
//! and a local copy; and publishing against hashing alone.

use std::{future::Future, net::Ipv4Addr, ops::ControlFlow, path::Path, pin::Pin, sync::Arc, time::Instant};

use iroh_blobs::{
    BlobFormat, BlobsProtocol,
    api::blobs::{AddPathOptions, ImportMode},
    store::fs::FsStore,
};
use tidegate_exchange::{Address, Handler, Router, bind, blobs, local_address, serve};
use tidegate_protocol::{
    Code, ContentHash, Identity, PeerId, Refusal,
    frame::{Reply, Request},
    grant::Authority,
};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Silent;
impl Handler for Silent {
    fn fetching<'a>(
        &'a self,
        _: PeerId,
        _: Vec<(ContentHash, Vec<blobs::ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { true })
    }

    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Ok(())
    }
    fn handle<'a>(
        &'a self,
        _: PeerId,
        _: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async { Reply::Refused(Refusal::new(Code::NotFound, "nothing")) })
    }
}

pub(crate) fn run(mib: usize) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(mib))
}

async fn measure(mib: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("data");
    let bytes: Vec<u8> =
        (0..(mib << 20) / 8).flat_map(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    std::fs::write(&path, &bytes)?;
    // No writes are pending during the measurement.
    std::fs::File::open(&path)?.sync_all()?;
    let rate = |seconds: f64| mib as f64 / seconds;
    let (mut hashing, mut by_parts, mut import) = (vec![], vec![], vec![]);
    let mut hash = ContentHash([0; 32]);
    for turn in 0..3 * TURNS {
        let start = Instant::now();
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(&path)?;
        hash = ContentHash(*hasher.finalize().as_bytes());
        hashing.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let (ours, _) = tidegate_catalog::dataset::hash(&path, &mut |_| {})?;
        by_parts.push(start.elapsed().as_secs_f64());
        let served = blobs::Served::open(&dir.path().join(format!("imported {turn}"))).await?;
        let start = Instant::now();
        let (imported, _) = served.import(&path, &mut |_| {}).await?;
        import.push(start.elapsed().as_secs_f64());
        anyhow::ensure!(ours == hash && imported == hash, "another hash");
    }
    let (hashing, by_parts, import) = (median(hashing), median(by_parts), median(import));
    let (one, two) = (source(dir.path(), 1, &path).await?, source(dir.path(), 5, &path).await?);
    println!(
        "publish: {mib} MiB: what nobody may copy {:.0} MiB/s, what may be copied {:.0}, hashing as b3sum does {:.0}: {:.2}× and {:.2}×",
        rate(by_parts),
        rate(import),
        rate(hashing),
        hashing / by_parts,
        hashing / import
    );
    let start = Instant::now();
    std::fs::copy(&path, dir.path().join("cp"))?;
    let cp = start.elapsed().as_secs_f64();
    let client = bind(&peer(), (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let (mut fetch, mut both, mut bare, mut raw) = (vec![], vec![], vec![], vec![]);
    for turn in 0..TURNS {
        let (cache, target) = (dir.path().join("fetched"), dir.path().join(format!("copy {turn}")));
        let start = Instant::now();
        let (from, what) = ([one.address.clone(), two.address.clone()], (hash, bytes.len() as u64));
        blobs::fetch_from(&client, &cache, &from[..1], what, &target, &mut |_| ControlFlow::Continue(())).await?;
        fetch.push(start.elapsed().as_secs_f64());
        std::fs::remove_file(&target)?;
        let start = Instant::now();
        blobs::fetch_from(&client, &cache, &from, what, &target, &mut |_| ControlFlow::Continue(())).await?;
        both.push(start.elapsed().as_secs_f64());
        std::fs::remove_file(&target)?;
        bare.push(bare_blobs(dir.path(), &path, turn).await?);
        raw.push(raw_stream(bytes.clone()).await?);
    }
    let (fetch, both, bare, raw) = (median(fetch), median(both), median(bare), median(raw));
    println!(
        "fetch: {mib} MiB to a file, median of {TURNS}: governed {:.0} MiB/s, from two peers {:.0}; bare iroh-blobs {:.0} ({:.2}×), raw iroh stream {:.0} ({:.2}×), cp {:.0} ({:.2}×)",
        rate(fetch),
        rate(both),
        rate(bare),
        bare / fetch,
        rate(raw),
        raw / fetch,
        rate(cp),
        cp / fetch,
    );
    let (small, copied) = many(dir.path(), &client).await?;
    println!(
        "fetch: {SMALL_FILES} files of 16 KiB: {small:.0} MiB/s, {:.2}× the rate of one large file, {:.2}× that of cp -r",
        small / rate(fetch),
        small / copied
    );
    Ok(())
}

const SMALL_FILES: usize = 10_000;

/// Measures fetching many small files, each verified, each to its own place, and copying them locally: MiB per second, medians
/// over the turns.
///
/// Nothing is removed in between: for minutes afterwards ext4 would look for other inodes than those.
async fn many(folder: &Path, client: &tidegate_exchange::Endpoint) -> anyhow::Result<(f64, f64)> {
    let (from, owner) = (folder.join("small"), Identity::from_seed([8; 32]));
    std::fs::create_dir(&from)?;
    let served = blobs::Served::open(&folder.join("blobs of small ones")).await?;
    let mut files = vec![];
    for number in 0..SMALL_FILES {
        let path = from.join(number.to_string());
        std::fs::write(&path, (number as u64).to_le_bytes().repeat(2048))?;
        files.push((served.import(&path, &mut |_| {}).await?.0, 16 << 10));
    }
    served.access().allow(peer().id(), files.iter().map(|(hash, _)| *hash), &granted());
    let endpoint = bind(&owner, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = local_address(&endpoint, &owner, &Default::default());
    let _router = serve(endpoint, Arc::new(Silent), &served);
    let (mut seconds, mut copies) = (vec![], vec![]);
    for turn in 0..TURNS {
        let to = folder.join(format!("small {turn}"));
        std::fs::create_dir(&to)?;
        let files: Vec<_> = files.iter().enumerate().map(|(i, (hash, bytes))| (*hash, *bytes, to.join(i.to_string()))).collect();
        let start = Instant::now();
        blobs::fetch_small(client, &address, &files, &mut |_| ControlFlow::Continue(())).await?;
        seconds.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        anyhow::ensure!(
            std::process::Command::new("cp").arg("-r").args([&to, &folder.join(format!("cp {turn}"))]).status()?.success()
        );
        copies.push(start.elapsed().as_secs_f64());
    }
    let mib = (SMALL_FILES * 16) as f64 / 1024.0;
    Ok((mib / median(seconds), mib / median(copies)))
}

/// Number of alternating turns.
const TURNS: usize = 5;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Returns a permanent permission for [`peer`] to copy files.
fn granted() -> Authority {
    Authority { ids: vec!["grant".into()], holder: peer().id(), scope: None, ends: None }
}

fn peer() -> Identity {
    Identity::from_seed([2; 32])
}

struct Source {
    address: Address,
    _serving: (Router, blobs::Served),
}

/// Starts a peer with the file, permitted to [`peer`].
async fn source(folder: &Path, seed: u8, path: &Path) -> anyhow::Result<Source> {
    let owner = Identity::from_seed([seed; 32]);
    let served = blobs::Served::open(&folder.join(format!("blobs {seed}"))).await?;
    let (hash, _) = served.import(path, &mut |_| {}).await?;
    served.access().allow(peer().id(), [hash], &granted());
    let endpoint = bind(&owner, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = local_address(&endpoint, &owner, &Default::default());
    let router = serve(endpoint, Arc::new(Silent), &served);
    Ok(Source { address, _serving: (router, served) })
}

/// Measures iroh-blobs by itself, in seconds: from file store to file store and out of it, as in its own documentation.
async fn bare_blobs(folder: &Path, path: &Path, turn: usize) -> anyhow::Result<f64> {
    let from = FsStore::load(folder.join("bare from")).await?;
    let options = AddPathOptions { path: path.to_owned(), format: BlobFormat::Raw, mode: ImportMode::TryReference };
    let tag = from.blobs().add_path_with_opts(options).await?;
    let endpoint = bind(&Identity::from_seed([6; 32]), (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = local_address(&endpoint, &Identity::from_seed([6; 32]), &Default::default());
    let router = Router::builder(endpoint).accept(iroh_blobs::ALPN, BlobsProtocol::new(&from, None)).spawn();
    let to = bind(&Identity::from_seed([7; 32]), (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let store = FsStore::load(folder.join(format!("bare to {turn}"))).await?;
    let target = folder.join("bare copy");
    let start = Instant::now();
    let connection = to.connect(place(&address)?, iroh_blobs::ALPN).await?;
    store.remote().fetch(connection, tag.hash_and_format()).await?;
    store.blobs().export(tag.hash, &target).await?;
    let seconds = start.elapsed().as_secs_f64();
    store.shutdown().await?;
    // This also shuts down the store that it serves.
    router.shutdown().await?;
    std::fs::remove_file(target)?;
    std::fs::remove_dir_all(folder.join(format!("bare to {turn}")))?;
    Ok(seconds)
}

fn place(address: &Address) -> anyhow::Result<iroh::EndpointAddr> {
    let id = iroh::EndpointId::from_bytes(address.peer.as_bytes())?;
    Ok(iroh::EndpointAddr { id, addrs: address.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() })
}

/// Measures sending `bytes` over an iroh stream on loopback and dropping them, in seconds.
async fn raw_stream(bytes: Vec<u8>) -> anyhow::Result<f64> {
    const ALPN: &[u8] = b"tidegate-bench/raw";
    let identity = Identity::from_seed([3; 32]);
    let from = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    from.set_alpns(vec![ALPN.to_vec()]);
    let address = local_address(&from, &identity, &Default::default());
    let addr = place(&address)?;
    let length = bytes.len();
    let sender = tokio::spawn(async move {
        let Some(incoming) = from.accept().await else { return };
        let Ok(connection) = incoming.await else { return };
        let Ok((mut send, _)) = connection.accept_bi().await else { return };
        let _ = send.write_all(&bytes).await;
        let _ = send.finish();
        connection.closed().await;
    });
    let to = bind(&Identity::from_seed([4; 32]), (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let connection = to.connect(addr, ALPN).await?;
    let start = Instant::now();
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(b"go").await?;
    let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
    while let Some(n) = recv.read(&mut buffer).await? {
        got += n;
    }
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(got == length, "{got} of {length} bytes");
    connection.close(0u32.into(), b"done");
    sender.await?;
    Ok(seconds)
}
