//! Starts that fail: the error says why, nothing is left serving, and the next start is as if there had been none.

use std::{net::SocketAddr, sync::Arc};

use tidegate_audit::note::Verifier;
use tidegate_exchange::{Router, bind, blobs::Served, local_address, serve};
use tidegate_ledger::{Store, StoreError};
use tidegate_node::{
    NodeError,
    owner::{OwnerConfig, OwnerNode},
    witness::WitnessNode,
};

use crate::common::{World, config, copy, count, until};

/// Returns a free socket of this machine.
fn socket() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a node that does not start, and holds that it left neither socket nor ledger behind.
async fn fails(world: &World, config: OwnerConfig) -> NodeError {
    let (home, listen) = (world.home("owner"), config.listen);
    let failed = OwnerNode::start(home.clone(), config).await.unwrap_err();
    until("the socket", || std::net::UdpSocket::bind(listen).is_ok()).await;
    drop(Store::open(home.path(), home.identity().unwrap()).unwrap());
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_worker_is_refused() {
    let world = World::new().await;
    let path = world.path("nothing");
    for (program, why) in [("/bin/true", "does not work as a worker"), (path.to_str().unwrap(), "No such file")] {
        let config = OwnerConfig { listen: socket(), worker_program: Some(program.into()), ..OwnerConfig::default() };
        let failed = fails(&world, config).await;
        let said = failed.to_string();
        let named = matches!(&failed, NodeError::NoWorker { program: named, .. } if named == program);
        assert!(named && said.contains(why) && said.contains("run_worker_if_asked"), "{said}");
    }
    // This test's own program is none either, since it does not call `run_worker_if_asked`.
    let failed = fails(&world, OwnerConfig { listen: socket(), ..OwnerConfig::default() }).await;
    assert!(matches!(failed, NodeError::NoWorker { .. }), "{failed}");
    let node = world.serve().await;
    world.ask(node.address(), &count(), &world.grant).await.unwrap();
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_in_use_is_an_error() {
    let world = World::new().await;
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = config();
    config.listen = taken.local_addr().unwrap();
    let home = world.home("owner");
    let failed = OwnerNode::start(home.clone(), config.clone()).await.unwrap_err();
    assert!(matches!(failed, NodeError::Net(_)) && failed.to_string().contains("cannot listen"), "{failed}");
    drop(Store::open(home.path(), home.identity().unwrap()).unwrap());
    drop(taken);
    OwnerNode::start(home, config).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_in_use_is_an_error() {
    let world = World::new().await;
    let node = world.serve().await;
    let failed = OwnerNode::start(world.home("owner"), config()).await.unwrap_err();
    assert!(matches!(failed, NodeError::Store(StoreError::InUse)), "{failed}");
    world.ask(node.address(), &count(), &world.grant).await.unwrap();
    node.shutdown().await.unwrap();
}

/// Serves a witness of the owner's log; returns its place.
async fn witness(world: &World) -> (Router, String) {
    world.init("witness");
    let home = world.home("witness");
    let node = WitnessNode::open(home.clone(), vec![Verifier::log(&world.init("owner"))]).unwrap();
    let identity = home.identity().unwrap();
    let endpoint = bind(&identity, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = format!("{}@{}", node.vkey(), local_address(&endpoint, &identity, &home.reach().unwrap()));
    let served = Served::open(&home.blobs()).await.unwrap();
    (serve(endpoint, Arc::new(node), &served), place)
}

/// Budget spent since a copy was made would be spent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_older_than_a_witness_saw_is_not_served_from() {
    let world = World::new().await;
    let (router, place) = witness(&world).await;
    let (owner, copied) = (world.path("owner"), world.path("copy"));
    copy(&owner, &copied);
    let witnessed = || OwnerConfig { listen: socket(), witnesses: vec![place.parse().unwrap()], ..config() };
    let node = OwnerNode::start(world.home("owner"), witnessed()).await.unwrap();
    world.ask(node.address(), &count(), &world.grant).await.unwrap();
    let name = Verifier::parse(place.split_once('@').unwrap().0).unwrap().name;
    until("the cosignature", || {
        let checkpoint = std::fs::read_to_string(owner.join("log/checkpoint")).unwrap();
        checkpoint.lines().nth(1) == Some("4") && checkpoint.contains(&name)
    })
    .await;
    node.shutdown().await.unwrap();
    let kept = world.path("kept");
    std::fs::rename(&owner, &kept).unwrap();
    std::fs::rename(&copied, &owner).unwrap();
    let failed = fails(&world, witnessed()).await;
    assert!(matches!(failed, NodeError::Store(StoreError::Behind { seen: 4, here: 2 })), "{failed}");
    // The ledger that the witness saw is served from.
    std::fs::remove_dir_all(&owner).unwrap();
    std::fs::rename(&kept, &owner).unwrap();
    OwnerNode::start(world.home("owner"), witnessed()).await.unwrap().shutdown().await.unwrap();
    router.shutdown().await.unwrap();
}
