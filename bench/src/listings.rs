//! The catalogue with many listings: word search, and transfer to an empty node over loopback.
//!
//! The floor is the unavoidable part: each listing's signature checked once, on all processors.

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::Pin,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tidegate_catalog::listings::{Catalogue, Heard};
use tidegate_exchange::{Handler, bind, blobs, local_address, serve};
use tidegate_node::discovery::sync;
use tidegate_protocol::{
    Code, ContentHash, Cost, Identity, Listing, PeerId, Refusal, Signed,
    cost::FemtoDelta,
    frame::{Reply, Request},
    listing::{About, LIFETIME, ListedColumn},
    policy::{Access, JobKind},
};
use tokio_util::sync::CancellationToken;

const OF_ONE_OWNER: usize = 50;
/// Number of different words in all listings; the nth is about n times as rare as the first (Zipf).
const WORDS: usize = 5000;

/// Makes a word of syllables.
fn word(number: usize) -> String {
    const SYLLABLES: [&str; 20] =
        ["ba", "che", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "zu"];
    [number % 20, number / 20 % 20, number / 400 % 20, number / 8000].iter().map(|i| SYLLABLES[i % 20]).collect()
}

/// Draws word number `at` of a dataset.
fn drawn(number: usize, at: usize) -> String {
    let hash = ContentHash::of(&[number.to_le_bytes(), at.to_le_bytes()].concat());
    let uniform = f64::from(u32::from_le_bytes([hash.0[0], hash.0[1], hash.0[2], hash.0[3]])) / f64::from(u32::MAX);
    word((WORDS as f64).powf(uniform) as usize - 1)
}

#[derive(Debug)]
struct Node(Arc<Catalogue>);

impl Handler for Node {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Err(Refusal::new(Code::BadRequest, "nothing is taken"))
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        request: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            let refused = |e: tidegate_node::NodeError| Reply::Refused(Refusal::new(Code::BadRequest, e.to_string()));
            sync::answer(&self.0, request).await.unwrap_or_else(refused)
        })
    }
}

fn listing(number: usize, now: SystemTime) -> Listing {
    let text = |time: SystemTime| jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default();
    let id = ContentHash::of(&number.to_le_bytes());
    let word = |at: usize| drawn(number, at);
    let column =
        |i: usize| ListedColumn { name: format!("{}_{i}", word(i)), arrow: "Float64".into(), lo: Some(0.0), hi: Some(1e3) };
    Listing {
        version: 1,
        name: format!("{}-{number}", word(20)),
        about: About {
            description: (21..41).map(word).collect::<Vec<_>>().join(" "),
            keywords: vec![word(41), word(42)],
            license: "CC-BY-4.0".into(),
        },
        manifest: id,
        population: id,
        published: text(now),
        issued: text(now),
        expires: text(now + LIFETIME),
        unit: "person".into(),
        max_units: 1000,
        max_rows: 4,
        columns: (0..12).map(column).collect(),
        kinds: vec![JobKind::Sql, JobKind::Wasm],
        budget: Cost::default(),
        per_buyer: Cost::default(),
        delta_femto: FemtoDelta(1),
        compute: Access::Granted,
        replicate: Access::Nobody,
        bytes: Some(number as u64),
        mock: None,
        sockets: vec!["192.0.2.7:4433".into()],
        relay: None,
        mirrors: vec![],
        holders: vec![],
    }
}

pub(crate) fn run(count: usize) -> anyhow::Result<()> {
    let (dir, now) = (tempfile::tempdir()?, SystemTime::now());
    let ours = Arc::new(Catalogue::open(&dir.path().join("ours"), Heard::everybody(vec![]))?);
    let sign = |number: usize| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(number / OF_ONE_OWNER).to_le_bytes());
        Ok::<_, anyhow::Error>(Signed::sign(listing(number, now), &Identity::from_seed(seed))?)
    };
    let all = (0..count).map(sign).collect::<anyhow::Result<Vec<_>>>()?;
    let start = Instant::now();
    let (new, refused) = ours.take(&all, now)?;
    anyhow::ensure!(new == count as u64 && refused.is_none(), "{refused:?}");
    println!("listings: {count} taken in {:.1} s", start.elapsed().as_secs_f64());
    for (what, first) in [("common words", 0), ("words in the middle", 500)] {
        let mut times = Vec::new();
        for i in 0..200 {
            let words = format!("{} {}", word(first + i % 20), word(first + 20 + i / 20));
            let start = Instant::now();
            std::hint::black_box(ours.search(&words, now, 20)?);
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("listings: a search of two {what} among them: p50 {:.1} ms, p95 {:.1} ms", times[100], times[190]);
    }
    let floor = checks(&all)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let joined = runtime.block_on(join(dir.path(), ours, count as u64))?;
    println!(
        "listings: a node without any has all of them after {joined:.1} s: {:.1} x checking their signatures ({floor:.1} s)",
        joined / floor
    );
    Ok(())
}

/// Measures checking all signatures on all processors, in seconds.
fn checks(all: &[Signed<Listing>]) -> anyhow::Result<f64> {
    let processors = std::thread::available_parallelism()?.get();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let parts: Vec<_> = all
            .chunks(all.len().div_ceil(processors))
            .map(|part| scope.spawn(|| part.iter().all(|one| one.envelope().check().is_ok())))
            .collect();
        anyhow::ensure!(parts.into_iter().all(|part| part.join().unwrap_or(false)), "a signature does not hold");
        Ok(())
    })?;
    Ok(start.elapsed().as_secs_f64())
}

async fn join(folder: &std::path::Path, ours: Arc<Catalogue>, count: u64) -> anyhow::Result<f64> {
    let (owner, fresh) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let endpoint = bind(&owner, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = local_address(&endpoint, &owner, &Default::default());
    let served = blobs::Served::open(&folder.join("blobs")).await?;
    let router = serve(endpoint, Arc::new(Node(ours)), &served);
    let theirs = Arc::new(Catalogue::open(&folder.join("theirs"), Heard::everybody(vec![]))?);
    let endpoint = bind(&fresh, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let start = Instant::now();
    let synced = sync::sync(&endpoint, &theirs, &address, &mut |_, _| {}).await?;
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(synced.new == count, "{synced:?}");
    router.shutdown().await?;
    Ok(seconds)
}
