//! `tidegate mirror`

use std::{net::SocketAddr, ops::ControlFlow, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tidegate_exchange::{Address, bind_reaching, blobs::Served, gossip::Swarm, local_address, serve_in};
use tidegate_node::{
    client::Buyer,
    home::Home,
    mirror::{keep, serve::MirrorNode},
};
use tidegate_protocol::{ContentHash, Signed};

use crate::{
    file,
    numbers::{self, count},
    place::Place,
    show::{bytes_bar, report},
    stop::Stop,
};

/// Commands on mirrored datasets.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Begin to hold an encrypted dataset, with a first copy from its owner.
    Keep(Keep),
    /// Serve the held datasets, and ask their owners for new versions, until stopped.
    Serve(Serve),
    /// Show the held datasets.
    List(List),
    /// Stop holding a dataset.
    Drop(Drop),
}

/// Options of `tidegate mirror keep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Keep {
    /// The owner's address, or its name in the address book.
    #[arg(long)]
    to: Place,
    /// The owner's grant with the action `mirror`, which names the dataset.
    #[arg(long)]
    grant: PathBuf,
    /// Maximum number of MiB to hold of the dataset.
    #[arg(long, default_value_t = 64 << 10)]
    most_mib: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `tidegate mirror serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Socket to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Another mirror, to ask which grants are revoked while the owner is not there. May be given more than once.
    #[arg(long)]
    with: Vec<Address>,
    /// Also write the address to this file, for scripts.
    #[arg(long)]
    address_file: Option<PathBuf>,
}

/// Options of `tidegate mirror list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

/// Options of `tidegate mirror drop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drop {
    /// Dataset lineage, the `population` shown by `tidegate mirror list`.
    population: ContentHash,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Keep(args) => begin(&home, args).await,
        Args::Serve(args) => serve(home, args).await,
        Args::List(args) => list(&home, &args),
        Args::Drop(args) => {
            keep::forget(&home, &args.population)?;
            match args.json {
                true => println!("{}", serde_json::json!({ "population": args.population })),
                false => println!("dropped {}", args.population),
            }
            Ok(())
        }
    }
}

async fn begin(home: &Home, args: Keep) -> anyhow::Result<()> {
    let owner = args.to.at(home)?;
    let token = file::grant("--grant", &args.grant)?;
    let mut kept = keep::begin(home, &owner, &token, args.most_mib.saturating_mul(1 << 20))?;
    let buyer = Buyer::bind(home, &owner).await?;
    let bar = bytes_bar()?;
    let mut progress = |name: &str, done, total| {
        report(&bar, name, done, total);
        ControlFlow::Continue(())
    };
    let refreshed = kept.refresh(home, &buyer, &mut progress).await;
    bar.finish_and_clear();
    buyer.close().await;
    refreshed.context("the dataset is not complete yet: run the same command to continue")?;
    let files = kept.files().count();
    if args.json {
        println!("{}", serde_json::json!({ "population": kept.population, "owner": kept.place.owner, "files": files }));
        return Ok(());
    }
    let files = count(files, "file", "files");
    println!("mirroring {}: {files}. `tidegate mirror serve` serves the datasets", kept.population);
    Ok(())
}

async fn serve(home: Home, args: Serve) -> anyhow::Result<()> {
    let (identity, reach) = (home.identity()?, home.reach()?);
    let served = Arc::new(Served::open(&home.blobs()).await?);
    let node = MirrorNode::open(home, served.clone()).await?;
    let endpoint = bind_reaching(&identity, &[args.listen], &reach).await?;
    let (address, swarm) = (local_address(&endpoint, &identity, &reach), Swarm::new(&endpoint)?);
    let router = serve_in(endpoint.clone(), Arc::new(node.clone()), &served, Some(&swarm));
    println!("mirroring {} at {address}", count(node.len(), "dataset", "datasets"));
    tokio::spawn(node.tend(endpoint, swarm, args.with));
    if let Some(path) = args.address_file {
        file::write("--address-file", &path, address.to_string())?;
    }
    Stop::listen()?.asked().await;
    println!("shutting down");
    router.shutdown().await?;
    Ok(())
}

fn list(home: &Home, args: &List) -> anyhow::Result<()> {
    for one in keep::load_all(home)? {
        let bytes: u64 = one.sealed.iter().flat_map(|sealed| sealed.body().all()).map(|file| file.bytes).sum();
        let fresh = one.list.as_ref().map(|list| list.body().expires.clone());
        if args.json {
            let sealed = one.sealed.as_ref().map(Signed::id);
            println!(
                "{}",
                serde_json::json!({ "population": one.population, "owner": one.place.owner, "sealed": sealed, "bytes": bytes, "served_until": fresh })
            );
            continue;
        }
        println!("{}  {} of {}", one.population, numbers::bytes(bytes), one.place.owner);
        println!("  served until {}, unless the owner sends a newer list", fresh.as_deref().unwrap_or("(not at all)"));
    }
    Ok(())
}
