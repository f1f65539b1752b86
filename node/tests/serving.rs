//! A node from its start to its end, as the program that it is part of sees it.

use std::time::Duration;

use tidegate_ledger::Store;
use tidegate_node::owner::OwnerNode;
use tidegate_protocol::receipt::Predicate;

use crate::common::{World, config, count, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_is_published_granted_and_asked_and_the_receipt_verified() {
    let world = World::new().await;
    let node = world.serve().await;
    // `ask` verifies signature, inclusion and the match of receipt, result and job.
    let (_, verified) = world.ask(node.address(), &count(), &world.grant).await.unwrap();
    let cell = verified.result.rows[0].cells[0];
    // At most two rows count for each of 60 people. The noise has a deviation below 20 at this price.
    assert!((cell.value - 120.0).abs() < 200.0 && cell.low < cell.value && cell.value < cell.high, "{cell:?}");
    assert_eq!(verified.remaining.rho_micro.0, 800_000);
    assert!(tokio::time::timeout(Duration::from_millis(300), node.failed()).await.is_err(), "nothing has failed");
    let listening = node.address().sockets[0];
    node.shutdown().await.unwrap();
    until("the socket", || std::net::UdpSocket::bind(listening).is_ok()).await;
    let kinds: Vec<&str> = world.entries().iter().map(kind).collect();
    assert_eq!(kinds, ["publication", "grant", "intent", "outcome"]);
}

fn kind(entry: &Predicate) -> &'static str {
    match entry {
        Predicate::Publication { .. } => "publication",
        Predicate::Grant { .. } => "grant",
        Predicate::Intent(_) => "intent",
        Predicate::Outcome { .. } => "outcome",
        _ => "another",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_the_job_that_runs() {
    let world = World::new().await;
    let node = world.serve().await;
    let (address, job) = (node.address().clone(), count());
    let asking = world.ask(&address, &job, &world.grant);
    let ending = async {
        until("the charge", || world.entries().iter().any(|entry| matches!(entry, Predicate::Intent(_)))).await;
        node.shutdown().await.unwrap();
    };
    let (answered, ()) = tokio::join!(asking, ending);
    assert_eq!(answered.unwrap().1.remaining.rho_micro.0, 800_000);
    // Everything is closed, and the job has its outcome.
    let home = world.home("owner");
    let store = Store::open(home.path(), home.identity().unwrap()).unwrap();
    assert_eq!(store.unfinished().unwrap().len(), 0);
}

fn has_ended(world: &World) -> bool {
    world.entries().iter().any(|entry| matches!(entry, Predicate::Outcome { .. }))
}

/// A world whose node was stopped between a job's charge and its outcome; `None` where the job was quicker.
async fn cut_off() -> Option<World> {
    let world = World::new().await;
    let node = world.serve().await;
    let (address, job) = (node.address().clone(), count());
    let asking = world.ask(&address, &job, &world.grant);
    let ending = async {
        until("the charge", || world.entries().iter().any(|entry| matches!(entry, Predicate::Intent(_)))).await;
        node.stop().await.unwrap();
    };
    let (_, ()) = tokio::join!(asking, ending);
    (!has_ended(&world)).then_some(world)
}

/// A job that was charged when its node was stopped is finished by the next, and charged once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_cuts_off_is_finished_by_the_next_start() {
    let mut cut = None;
    for _ in 0..5 {
        cut = cut_off().await;
        if cut.is_some() {
            break;
        }
    }
    let world = cut.expect("each job ended before the stop");
    let node = world.serve().await;
    until("the outcome", || has_ended(&world)).await;
    let intents = world.entries().iter().filter(|entry| matches!(entry, Predicate::Intent(_))).count();
    assert_eq!(intents, 1);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_serve_in_one_process() {
    let (one, other) = (World::new().await, World::new().await);
    let nodes = [one.serve().await, other.serve().await];
    assert_ne!(nodes[0].address().peer, nodes[1].address().peer);
    let job = count();
    let (first, second) =
        tokio::join!(one.ask(nodes[0].address(), &job, &one.grant), other.ask(nodes[1].address(), &job, &other.grant));
    assert_eq!(first.unwrap().0.owner(), nodes[0].address().peer);
    assert_eq!(second.unwrap().0.owner(), nodes[1].address().peer);
    // A grant of one is worth nothing at the other.
    assert!(one.ask(nodes[1].address(), &job, &one.grant).await.is_err());
    for node in nodes {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_node_frees_its_home_and_its_socket() {
    let world = World::new().await;
    let node = world.serve().await;
    world.ask(node.address(), &count(), &world.grant).await.unwrap();
    let listen = node.address().sockets[0];
    let home = world.home("owner");
    assert!(Store::open(home.path(), home.identity().unwrap()).is_err(), "a running node has the ledger");
    drop(node);
    until("the socket", || std::net::UdpSocket::bind(listen).is_ok()).await;
    let mut again = config();
    again.listen = listen;
    let node = OwnerNode::start(home, again).await.unwrap();
    world.ask(node.address(), &count(), &world.grant).await.unwrap();
    node.shutdown().await.unwrap();
}
