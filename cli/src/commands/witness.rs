//! `tidegate witness`

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tidegate_audit::note::Verifier;
use tidegate_exchange::{
    bind_reaching,
    blobs::Served,
    gossip::Swarm,
    local_address, serve_in,
    web::{CancellationToken, Cosigner, serve_witness},
};
use tidegate_node::{Address, client::Buyer, home::Home, witness::WitnessNode};
use tidegate_protocol::PeerId;

use crate::{file, stop::Stop};

/// Options of `tidegate witness`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Owner whose log is witnessed: its key, its log's verifier key, or its address, where its log is visited at intervals. May
    /// be given more than once.
    #[arg(long = "for", required_unless_present = "key")]
    owners: Vec<Owner>,
    /// Another witness of the same logs, by the place printed by `tidegate witness`: the two tell each other what they saw. May
    /// be given more than once.
    #[arg(long = "with")]
    others: Vec<Other>,
    /// Show this party's verifier key as a witness, and exit.
    #[arg(long)]
    key: bool,
    /// Socket to listen on over iroh; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Also serve C2SP's witness protocol over HTTP on this socket.
    #[arg(long)]
    http: Option<SocketAddr>,
    /// Also write the witness's places to this file, a line each, for scripts.
    #[arg(long)]
    address_file: Option<PathBuf>,
}

/// An owner, with the address of its node if known.
#[derive(Debug, Clone)]
struct Owner(PeerId, Option<Address>);

impl std::str::FromStr for Owner {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<Address>() {
            // A key alone does not tell where the owner's node is: it is not visited.
            let is_somewhere = !address.sockets.is_empty() || address.relay.is_some();
            return Ok(Self(address.peer, Some(address).filter(|_| is_somewhere)));
        }
        let key = text.parse().ok().or_else(|| tidegate_audit::note::owner_of_vkey(text).ok());
        key.map(|key| Self(key, None)).ok_or_else(|| "write an owner's key, verifier key or address".into())
    }
}

/// Location of another witness: its address, or its place as printed by `tidegate witness`.
#[derive(Debug, Clone)]
struct Other(Address);

impl std::str::FromStr for Other {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.find("@did:key:").map_or(text, |at| &text[at + 1..]);
        address.parse().map(Self).map_err(|_| "write did:key:…@ip:port, or the address that `tidegate witness` prints".into())
    }
}

pub(crate) async fn run(home: Home, args: Args) -> anyhow::Result<()> {
    let (identity, reach) = (home.identity()?, home.reach()?);
    let logs: Vec<_> = args.owners.iter().map(|Owner(key, _)| Verifier::log(key)).collect();
    let node = WitnessNode::open(home.clone(), logs.clone())?;
    if args.key {
        println!("{}", node.vkey());
        return Ok(());
    }
    let endpoint = bind_reaching(&identity, &[args.listen], &reach).await?;
    let mut places = vec![format!("{}@{}", node.vkey(), local_address(&endpoint, &identity, &reach))];
    // A witness serves no files: nobody is allowed any.
    let served = Served::open(&home.blobs()).await?;
    let swarm = Swarm::new(&endpoint)?;
    let router = serve_in(endpoint, Arc::new(node.clone()), &served, Some(&swarm));
    let others: Vec<_> = args.others.iter().map(|Other(address)| address.clone()).collect();
    for log in logs {
        let talk = node.clone().gossip(swarm.clone(), log, others.clone());
        tokio::spawn(async move {
            if let Err(e) = talk.await {
                eprintln!("error: {e}");
            }
        });
    }
    let ended = CancellationToken::new();
    if let Some(http) = args.http {
        let listener = tokio::net::TcpListener::bind(http)
            .await
            .with_context(|| format!("--http {http}: give an address of this machine and a free port"))?;
        places.push(format!("{}@http://{}", node.vkey(), listener.local_addr()?));
        let (cosigner, ended) = (Arc::new(node.clone()) as Arc<dyn Cosigner>, ended.clone());
        tokio::spawn(async move {
            if let Err(e) = serve_witness(listener, cosigner, ended).await {
                eprintln!("error: {e}");
            }
        });
    }
    for Owner(_, address) in &args.owners {
        let Some(address) = address.clone() else { continue };
        let buyer = Buyer::bind(&home, &address).await?;
        tokio::spawn(node.clone().watch(buyer, address));
    }
    for place in &places {
        println!("witnessing at {place}");
    }
    if let Some(path) = args.address_file {
        file::write("--address-file", &path, places.join("\n"))?;
    }
    Stop::listen()?.asked().await;
    ended.cancel();
    router.shutdown().await?;
    Ok(())
}
