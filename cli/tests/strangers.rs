//! Strangers at a real owner's node: with tokens that were never meant to be, and as many of them as they like.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use biscuit_auth::{UnverifiedBiscuit, builder::BlockBuilder};
use tidegate_exchange::{Address, Endpoint, ask, bind};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity,
    frame::{Reply, Request},
};

use crate::common::{World, text};

/// A token with a block whose check joins two hundred facts five times: more work than anybody has time for.
fn costly(token: &str) -> String {
    let facts: String = (0..200).map(|i| format!("f({i});")).collect();
    let block = format!("{facts} check if f($a), f($b), f($c), f($d), f($e), $a > 1000;");
    let before = UnverifiedBiscuit::from_base64(token.trim()).unwrap();
    before.append(BlockBuilder::new().code(block).unwrap()).unwrap().to_base64().unwrap()
}

async fn stranger(seed: u8) -> Endpoint {
    bind(&Identity::from_seed([seed; 32]), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()
}

/// Every request that a token comes with.
fn requests(dataset: ContentHash, population: ContentHash, grant: &str) -> Vec<Request> {
    let (grant, job) =
        (|| grant.to_owned(), Envelope { payload_type: String::new(), payload: String::new(), signatures: vec![] });
    vec![
        Request::Listings { grant: grant() },
        Request::Submit { job: job.clone(), grant: grant(), attachment_bytes: 0 },
        Request::Submit { job, grant: grant(), attachment_bytes: 3 },
        Request::Replicate { dataset, grant: grant() },
        Request::Pieces { dataset, file: dataset, grant: grant() },
        Request::Sealed { population, grant: grant(), known: None },
        Request::Mock { dataset, grant: grant() },
        Request::Replay { entry: 0, grant: grant() },
        Request::Lease { dataset, grant: grant(), nonce: "0".repeat(32), want: Cost::default() },
    ]
}

/// However many show such a token, in whatever request, each is answered at once, and so are others.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_a_node_evaluate_what_they_appended_to_a_grant() {
    let world = World::new();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let policy = policy.replace("[access]", "[access]\nlist = \"granted\"\nrehearse = \"granted\"");
    std::fs::write(world.path("policy.toml"), policy.replace("replicate = \"nobody\"", "replicate = \"granted\"")).unwrap();
    std::fs::write(world.path("more.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    world.publish("more.csv", &["--name", "closed"]);
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let out = world.text("closed.grant");
    world.ok("owner", &["grant", "closed", "--to", &buyer, "--action", "list,compute,replicate", "--out", &out]);
    let granted = std::fs::read_to_string(&out).unwrap();
    // One that is revoked is as good a beginning.
    let old = world.text("old.grant");
    world.ok("owner", &["grant", "closed", "--to", &buyer, "--action", "list", "--out", &old]);
    let revoked = std::fs::read_to_string(&old).unwrap();
    world.ok("owner", &["revoke", &old]);
    let node = world.serve(None);
    let to: Address = node.address.parse().unwrap();
    let me = stranger(77).await;
    let request = Request::Listings { grant: granted.trim().to_owned() };
    // Who shows the grant of another sees nothing: what is closed is known to its holder alone.
    let Reply::Listings(seen) = ask(&me, &to, &request, &[]).await.unwrap() else { panic!("no listings") };
    assert!(seen.iter().all(|one| !text_of(&one.manifest).contains("closed")));
    let shown = world.ok("buyer", &["list", "--to", &node.address, "--grant", &out, "--json"]);
    let closed = shown.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let closed = closed.into_iter().find(|one| one.to_string().contains("closed")).unwrap();
    let id = |name: &str| closed.pointer(name).and_then(|id| id.as_str()).unwrap().parse::<ContentHash>().unwrap();
    let (dataset, population) = (id("/id"), id("/manifest/population"));
    let mut asking = Vec::new();
    for token in [costly(&granted), costly(&revoked), costly(&costly(&granted))] {
        for request in requests(dataset, population, &token) {
            let (me, to) = (me.clone(), to.clone());
            asking.push(tokio::spawn(async move {
                let begun = Instant::now();
                let asked = ask(
                    &me,
                    &to,
                    &request,
                    if matches!(request, Request::Submit { attachment_bytes: 3, .. }) { b"abc" } else { b"" },
                );
                let reply = tokio::time::timeout(Duration::from_secs(60), asked).await.expect("the node hangs").unwrap();
                assert!(matches!(reply, Reply::Refused(_)) || matches!(&reply, Reply::Listings(_)), "{request:?}: {reply:?}");
                begun.elapsed()
            }));
        }
    }
    for one in asking {
        let took = one.await.unwrap();
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
    // Its holder is told what is odd, before it is shown to anybody.
    std::fs::write(world.path("costly"), costly(&granted)).unwrap();
    let path = world.text("costly");
    for args in [vec!["grant", "show"], vec!["grant", "narrow", "--rho", "0.1"]] {
        let args = [args, vec![path.as_str()]].concat();
        let said = world.fails("buyer", &args);
        assert!(said.contains("block 1 of this grant was not written by `tidegate grant`"), "{said}");
    }
    let (job, grant) = (world.count_job(), world.text("grant"));
    let done = world.try_run("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(done.status.success(), "{}", text(&done));
}

fn text_of(envelope: &Envelope) -> String {
    serde_json::to_string(envelope).unwrap()
}
