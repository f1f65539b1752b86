//! `tidegate serve`

use std::{net::SocketAddr, path::PathBuf};

use tidegate_node::{
    Address, NodeError,
    home::Home,
    owner::{Known, OwnerConfig, OwnerNode, Part},
};

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
    let config = OwnerConfig {
        listen: args.listen,
        jobs: args.jobs,
        jobs_per_buyer: args.jobs_per_buyer,
        queue: args.queue,
        witnesses: args.witnesses,
        with: args.with,
        reached_at: args.reached_at,
        mirrors: args.mirrors,
        holders: args.holders,
        revocations_last: args.revocations_last.map(|time| *time),
        leases_last: args.leases_last.map(|time| *time),
        only_known: args.only_known,
        without_confinement: args.without_walls,
        worker_program: None,
    };
    let node = OwnerNode::start(home, config).await.map_err(|e| match e {
        NodeError::Unconfined { missing } => {
            anyhow::anyhow!(
                "this kernel lacks {} of process confinement: give --without-walls to serve anyway",
                missing.join(", ")
            )
        }
        // This program does call `run_worker_if_asked`.
        NodeError::NoWorker { why, .. } => anyhow::anyhow!("this machine cannot run jobs: {why}"),
        other => other.into(),
    })?;
    println!("serving at {}", node.address());
    if let Some(path) = args.address_file {
        file::write("--address-file", &path, node.address().to_string())?;
    }
    let failed = tokio::select! {
        () = stop.asked() => None,
        failed = node.failed() => Some(failed),
    };
    if let Some(failed) = failed.as_ref().filter(|failed| failed.part == Part::Ledger) {
        // Nothing can be finished or handed back, since that would be a log entry.
        node.stop().await?;
        return Err(failed.clone().into());
    }
    if let Some(failed) = &failed {
        eprintln!("error: {failed}");
    }
    println!(
        "shutting down: new jobs are rejected, and running jobs finish within their time budgets. A second signal stops immediately"
    );
    tokio::select! {
        closed = node.shutdown() => closed?,
        () = stop.asked() => {
            eprintln!("stopped immediately: interrupted jobs finish when this node serves again");
            std::process::exit(1);
        }
    }
    match failed {
        None => Ok(()),
        Some(failed) => anyhow::bail!("the node was shut down: {failed}"),
    }
}
