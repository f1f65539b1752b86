//! `tidegate serve`

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tidegate_exchange::{Address, bind_reaching, blobs::Served, gossip::Swarm, local_address, serve_in};
use tidegate_node::{
    discovery::sync::{self, Talk},
    doctor::missing_walls,
    home::Home,
    owner::{Known, Provider, Wishes, remembered},
};
use tidegate_protocol::listing::Reached;

use crate::{file, stop::Stop};

/// Options of `tidegate serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Socket to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Also write the address to this file, for scripts.
    #[arg(long)]
    address_file: Option<PathBuf>,
    /// Serve even if the kernel lacks a part of the workers' confinement: an escape from the sandbox would find more to take.
    #[arg(long)]
    without_walls: bool,
    /// Number of jobs running at the same time. If not given: one per processor, up to four, as long as there is memory for them.
    #[arg(long)]
    jobs: Option<usize>,
    /// Number of jobs of the same buyer among these: half of them, if not given.
    #[arg(long)]
    jobs_per_buyer: Option<usize>,
    /// Number of jobs waiting for a slot; further jobs are turned away, and may come again.
    #[arg(long)]
    queue: Option<usize>,
    /// Witness to which to bring every checkpoint of the log: VKEY@did:key:…@ip:port, or VKEY@http://… It is remembered in this
    /// party's file `witnesses`. May be given more than once.
    #[arg(long = "witness")]
    witnesses: Vec<Known>,
    /// Peer with which to exchange listings of datasets: DID@ip:port. May be given more than once.
    #[arg(long)]
    with: Vec<Address>,
    /// Address of this node for others, as shown in listings: ip:port. If not given: where it listens. May be given more than
    /// once.
    #[arg(long)]
    reached_at: Vec<SocketAddr>,
    /// Mirror of this owner's encrypted datasets, as shown in listings: DID@ip:port. May be given more than once.
    #[arg(long = "mirror")]
    mirrors: Vec<Address>,
    /// How long mirrors may serve after they last heard from this node which grants are revoked: a day, if not given. Until then,
    /// a mirror that hears nothing does not know of later revocations.
    #[arg(long)]
    revocations_last: Option<humantime::Duration>,
    /// How long other nodes may spend the parts of this owner's budgets handed to them (`tidegate hold`): a day, if not given. A
    /// lost node keeps its part for ever; before that, it is waited for as long again.
    #[arg(long)]
    leases_last: Option<humantime::Duration>,
    /// Another node answering jobs over this owner's datasets, as shown in listings: DID@ip:port. May be given more than once.
    #[arg(long = "holder")]
    holders: Vec<Address>,
    /// Keep only the listings of owners in the address book (`tidegate peers`).
    #[arg(long)]
    only_known: bool,
}

pub(crate) async fn run(home: Home, args: Args) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let (identity, reach) = (home.identity()?, home.reach()?);
    let missing = missing_walls().await;
    if !missing.is_empty() && !args.without_walls {
        anyhow::bail!("this kernel lacks {}: give --without-walls to serve all the same", missing.join(", "));
    }
    let wishes = Wishes {
        jobs: args.jobs,
        per_buyer: args.jobs_per_buyer,
        queue: args.queue,
        unwalled: args.without_walls,
        revocations_last: args.revocations_last.map(|time| *time),
        leases_last: args.leases_last.map(|time| *time),
    };
    let served = Arc::new(Served::open(&home.blobs()).await?);
    let known = remembered(&home, &args.witnesses)?;
    let catalogue = Arc::new(sync::open(&home, args.only_known)?);
    let provider = Arc::new(Provider::open(home, served.clone(), catalogue.clone(), wishes, known).await?);
    let endpoint = bind_reaching(&identity, &[args.listen], &reach).await?;
    provider.meet_witnesses(endpoint.clone()).await?;
    let address = local_address(&endpoint, &identity, &reach);
    let swarm = Swarm::new(&endpoint)?;
    let router = serve_in(endpoint.clone(), provider.clone(), &served, Some(&swarm));
    let sockets = if args.reached_at.is_empty() { address.sockets.clone() } else { args.reached_at };
    let reached = Reached {
        sockets: sockets.iter().filter(|s| !s.ip().is_unspecified()).map(ToString::to_string).collect(),
        relay: reach.relay.as_ref().map(ToString::to_string),
        mirrors: args.mirrors.iter().map(ToString::to_string).collect(),
        holders: args.holders.iter().map(ToString::to_string).collect(),
    };
    let (hearing, to_hear) = (swarm.clone(), args.with.clone());
    let (teller, to, lists) = (provider.clone(), args.with.clone(), swarm.clone());
    tokio::spawn(async move {
        if let Err(e) = teller.tell_revocations(lists, to).await {
            eprintln!("error: mirrors are not told any more which grants are revoked: {e}");
        }
    });
    let (talk, owner) = (Talk { catalogue, endpoint: endpoint.clone(), with: args.with }, provider.clone());
    tokio::spawn(async move {
        if let Err(e) = talk.run(swarm, || owner.own_listings(&reached)).await {
            eprintln!("error: listings are not told any more: {e}");
        }
    });
    tokio::spawn(provider.clone().tend());
    tokio::spawn(provider.clone().tend_files());
    tokio::spawn(provider.clone().tend_leases(endpoint.clone()));
    tokio::spawn(provider.clone().hear_revocations(hearing, to_hear));
    let (leaving, recovering) = (provider.clone(), provider);
    tokio::spawn(async move {
        if let Err(e) = recovering.recover().await {
            eprintln!("error: jobs that were cut off cannot be finished: {e}");
        }
    });
    println!("serving at {address}");
    if let Some(path) = args.address_file {
        file::write("--address-file", &path, address.to_string())?;
    }
    tokio::select! {
        () = stop.asked() => {}
        () = leaving.ledger_failed() => {
            // Nothing can be finished or handed back, since that would be a log entry.
            router.shutdown().await?;
            anyhow::bail!(
                "the ledger could not be written, as on a full disk, and takes nothing more until the node is started again. Make room and start it: a job \
                 that was charged is finished then"
            );
        }
    }
    println!(
        "shutting down: no new job is taken, and those that run are finished within their slots. A second signal stops at once"
    );
    tokio::select! {
        () = leaving.drain() => {}
        () = stop.asked() => {
            eprintln!("stopped at once: jobs that were cut off are finished when this node serves again");
            std::process::exit(1);
        }
    }
    leaving.give_back(endpoint).await;
    router.shutdown().await?;
    Ok(())
}
