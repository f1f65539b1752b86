//! A governed fetch over loopback against a raw iroh stream of the same bytes.

use std::{future::Future, net::Ipv4Addr, ops::ControlFlow, pin::Pin, sync::Arc, time::Instant};

use tidegate_exchange::{Handler, bind, blobs, local_address, serve};
use tidegate_protocol::{
    Code, ContentHash, Identity, PeerId, Refusal,
    frame::{Reply, Request},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Silent;
impl Handler for Silent {
    fn fetching<'a>(
        &'a self,
        _: PeerId,
        _: ContentHash,
        _: Vec<blobs::ByteRange>,
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
    let hash = ContentHash::of(&bytes);
    let (owner, peer) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let served = blobs::Served::open(&dir.path().join("blobs")).await?;
    let start = Instant::now();
    served.add(&path, hash).await?;
    let import = start.elapsed().as_secs_f64();
    served.access().allow(peer.id(), [hash], std::time::Duration::from_secs(3600), &[]);
    let endpoint = bind(&owner, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = local_address(&endpoint, &owner, &Default::default());
    let _router = serve(endpoint, Arc::new(Silent), &served);
    let client = bind(&peer, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let start = Instant::now();
    blobs::fetch(&client, &dir.path().join("fetched"), &address, hash, &dir.path().join("copy"), &mut |_| {
        ControlFlow::Continue(())
    })
    .await?;
    let fetch = start.elapsed().as_secs_f64();
    let raw = raw_stream(bytes).await?;
    println!(
        "blobs: {mib} MiB: import by reference {:.0} MiB/s, governed fetch to a file {:.0} MiB/s, raw iroh stream {:.0} MiB/s: {:.2}×",
        mib as f64 / import,
        mib as f64 / fetch,
        mib as f64 / raw,
        raw / fetch
    );
    Ok(())
}

/// Seconds to send `bytes` over one iroh stream on loopback and drop them.
async fn raw_stream(bytes: Vec<u8>) -> anyhow::Result<f64> {
    const ALPN: &[u8] = b"tidegate-bench/raw";
    let identity = Identity::from_seed([3; 32]);
    let from = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    from.set_alpns(vec![ALPN.to_vec()]);
    let address = local_address(&from, &identity, &Default::default());
    let addr = iroh::EndpointAddr {
        id: iroh::EndpointId::from_bytes(address.peer.as_bytes())?,
        addrs: address.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect(),
    };
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
