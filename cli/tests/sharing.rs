//! Copies that a policy allows, and submissions that are not what they claim, over real processes.

use crate::common;
use std::net::{Ipv4Addr, SocketAddr};

use crate::common::World;
use tidegate_exchange::{Address, ask, bind};
use tidegate_node::home::Home;
use tidegate_protocol::{
    Cost, Identity, Job, MicroRho, Signed,
    cost::FemtoDelta,
    frame::{Reply, Request},
    job::Program,
};

/// A dataset whose policy and grant allow it is copied whole and verified; a grant for computing alone, and a stranger, get nothing.
#[test]
fn a_copy_needs_policy_and_grant() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let open = common::POLICY.replace("BUYER", &buyer).replace("replicate = \"nobody\"", "replicate = \"granted\"");
    std::fs::write(world.path("open.toml"), open).unwrap();
    std::fs::write(world.path("open.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let (file, policy, copy) = (world.text("open.csv"), world.text("open.toml"), world.text("copy"));
    world.ok("owner", &["publish", &file, "--name", "shared", "--unit", "person", "--policy", &policy]);
    for (name, action) in [("compute", "compute"), ("both", "compute,replicate")] {
        world.ok("owner", &["grant", "shared", "--to", &buyer, "--action", action, "--out", &world.text(name)]);
    }
    let node = world.serve(None);
    world.ok("thief", &["init"]);
    for (who, grant) in [("buyer", "compute"), ("thief", "both"), ("buyer", "grant")] {
        let grant = world.text(grant);
        let said = world.fails(who, &["fetch", "shared", "--to", &node.address, "--grant", &grant, "--out", &copy]);
        assert!(said.contains("not granted"), "{who}: {said}");
        assert!(!common::exists(&world.path("copy/open.csv")));
    }
    let grant = world.text("both");
    world.ok("buyer", &["fetch", "shared", "--to", &node.address, "--grant", &grant, "--out", &copy]);
    assert_eq!(std::fs::read(world.path("copy/open.csv")).unwrap(), std::fs::read(world.path("open.csv")).unwrap());
    // The other dataset here stays where it is.
    let said = world.fails("buyer", &["fetch", "towns", "--to", &node.address, "--grant", &grant, "--out", &copy]);
    assert!(said.contains("allows nobody to replicate"), "{said}");
}

fn submit(identity: &Identity, to: &Address, request: &Request) -> Reply {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let endpoint = bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let reply = ask(&endpoint, to, request, &[]).await.unwrap();
        endpoint.close().await;
        reply
    })
}

/// A job must be signed by the peer that sends it, and be what was signed; otherwise it is refused by name and nothing is charged.
#[test]
fn a_job_signed_by_another_or_changed_is_refused() {
    let world = World::new();
    let node = world.serve(None);
    world.ok("thief", &["init"]);
    let [buyer, thief] = ["buyer", "thief"].map(|who| Home::at(world.path(who)).identity().unwrap());
    let to: Address = node.address.trim().parse().unwrap();
    let grant = std::fs::read_to_string(world.path("grant")).unwrap().trim().to_owned();
    let Reply::Listings(listings) = submit(&buyer, &to, &Request::Listings { grant: String::new() }) else {
        panic!("no listings")
    };
    let dataset = Signed::<tidegate_protocol::manifest::Manifest>::open(listings[0].manifest.clone()).unwrap().id();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let job = |created: i64| Job {
        weights: Default::default(),
        mode: Default::default(),
        version: 1,
        request: "e".repeat(32),
        dataset,
        cost: Cost::dp(MicroRho(100_000), FemtoDelta(0)),
        created,
        program: Program::Sql { query: "SELECT COUNT(*) AS n FROM dataset".into(), keys: None, tables: None },
    };
    let by = |identity: &Identity, created: i64| Signed::sign(job(created), identity).unwrap().envelope().clone();
    let mut changed = by(&buyer, now);
    changed.signatures = by(&buyer, now - 1).signatures;
    for (who, envelope, word) in [
        (&buyer, by(&thief, now), "signed by"),
        (&thief, by(&buyer, now), "signed by"),
        (&buyer, changed, "signature"),
        (&buyer, by(&buyer, now + 86_400), "future"),
        (&buyer, by(&buyer, now - 10 * 86_400), "over a day old"),
    ] {
        let request = Request::Submit { job: envelope, grant: grant.clone(), attachment_bytes: 0 };
        let Reply::Refused(refusal) = submit(who, &to, &request) else { panic!("{word}: taken") };
        assert!(refusal.to_string().contains(word), "{word}: {refusal}");
    }
    assert_eq!(world.spent(), 0);
    // The same job, as it should be.
    let request = Request::Submit { job: by(&buyer, now), grant, attachment_bytes: 0 };
    assert!(matches!(submit(&buyer, &to, &request), Reply::Delivered(_)));
    assert_eq!(world.spent(), 100_000);
}
