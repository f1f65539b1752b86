//! Witnesses an owner's log until Ctrl-C: `witness HOME OWNER`.
//!
//! `OWNER` is the owner's key (did:key:…). The program prints the place that the owner's node is told. The part before the first `@` is the
//! key that a policy names.

use std::sync::Arc;

use tidegate::{
    Home,
    network::{bind_reaching, blobs::Served, gossip::Swarm, local_address, serve_in},
    protocol::PeerId,
    witness::{Verifier, WitnessNode},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    tidegate::keep_to_oneself();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    tokio::runtime::Runtime::new()?.block_on(run(&arguments))
}

async fn run(arguments: &[String]) -> Outcome {
    let [home, owner] = arguments else { return Err("usage: witness HOME OWNER".into()) };
    let (home, log) = (Home::at(std::path::absolute(home)?), Verifier::log(&owner.parse::<PeerId>()?));
    let (identity, reach) = (home.init()?, home.reach()?);
    let node = WitnessNode::open(home.clone(), vec![log.clone()])?;
    let endpoint = bind_reaching(&identity, &["127.0.0.1:0".parse()?], &reach).await?;
    // A witness serves no files: nobody is allowed any.
    let served = Served::open(&home.blobs()).await?;
    let swarm = Swarm::new(&endpoint)?;
    let place = format!("{}@{}", node.vkey(), local_address(&endpoint, &identity, &reach));
    let router = serve_in(endpoint, Arc::new(node.clone()), &served, Some(&swarm));
    println!("{place}");
    tokio::select! {
        // Other witnesses of the log are told what this one saw.
        told = node.gossip(swarm, log, vec![]) => told?,
        asked = tokio::signal::ctrl_c() => asked?,
    }
    router.shutdown().await?;
    Ok(())
}
