//! Copies of datasets: of a later version only what is new, and on a full disk nothing that looks like a file.

use std::{net::Ipv4Addr, time::Duration};

use tidegate_exchange::{NetError, ask, bind, blobs};
use tidegate_node::home::Home;
use tidegate_protocol::{
    ContentHash,
    frame::{Reply, Request},
};

use crate::common::{self, World};

struct Long {
    world: World,
    /// The first version's id.
    first: String,
}

/// Spread as chance would have it, so that no row is like another.
fn row(person: u32) -> String {
    format!("{person},{},city-{:x}\n", person % 50, u64::from(person).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn rows(people: std::ops::Range<u32>) -> String {
    people.map(row).collect()
}

impl Long {
    /// An owner of `long`, which the buyer may copy.
    fn new() -> Self {
        let world = World::new();
        let buyer = world.ok("buyer", &["id"]).trim().to_owned();
        let policy = common::POLICY
            .replace("BUYER", &buyer)
            .replace("max_units = 100", "max_units = 500000")
            .replace("replicate = \"nobody\"", "replicate = \"granted\"");
        std::fs::write(world.path("policy.toml"), policy).unwrap();
        std::fs::write(world.path("long.csv"), format!("person,spend,city\n{}", rows(0..160_000))).unwrap();
        let first: serde_json::Value = serde_json::from_str(&world.publish("long.csv", &["--name", "long"])).unwrap();
        world.ok("owner", &["grant", "long", "--to", &buyer, "--action", "replicate", "--out", &world.text("copy")]);
        Self { world, first: first["dataset"].as_str().unwrap().to_owned() }
    }

    /// Fetches it. How many bytes came, and how many it has.
    fn fetch(&self, address: &str) -> (u64, u64) {
        let (grant, out) = (self.world.text("copy"), self.world.text("out"));
        let said = self.world.ok("buyer", &["fetch", "long", "--to", address, "--grant", &grant, "--out", &out, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(std::fs::read(self.world.path("out/long.csv")).unwrap() == std::fs::read(self.world.path("long.csv")).unwrap());
        assert_eq!(std::fs::read_dir(self.world.path("out")).unwrap().count(), 1, "something is left");
        (said["came"].as_u64().unwrap(), said["bytes"].as_u64().unwrap())
    }
}

/// A row that is put in, one that is taken out and some at the end: what comes is what is new, and it is the file that the manifest names.
#[test]
fn of_a_later_version_only_what_is_new_comes() {
    let long = Long::new();
    let world = &long.world;
    let node = world.serve(None);
    let (came, bytes) = long.fetch(&node.address);
    assert_eq!(came, bytes);
    assert_eq!(long.fetch(&node.address).0, 0, "it is here already");
    drop(node);
    let (before, after) = (rows(0..80_000), rows(80_001..160_100));
    std::fs::write(world.path("long.csv"), format!("person,spend,city\n{}{before}{after}", row(400_000))).unwrap();
    world.publish("long.csv", &["--name", "long", "--version-of", &long.first]);
    let node = world.serve(None);
    let (came, bytes) = long.fetch(&node.address);
    assert!(came > 0 && came < bytes * 6 / 10, "{came} of {bytes} came");
    let report = world.audit(&node.address);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    // A file that has nothing in common with it is replaced.
    std::fs::write(world.path("out/long.csv"), "another file").unwrap();
    assert_eq!(long.fetch(&node.address).0, bytes);
}

/// Has `who` ask for permission, and take a file bit by bit, for a minute if nobody stops it: the file's hash is for `which` to say. How that ended.
pub(crate) fn slowly(
    world: &World,
    who: &str,
    to: &str,
    permission: &Request,
    which: impl FnOnce(Reply) -> ContentHash,
) -> Result<u64, NetError> {
    let (identity, to) = (Home::at(world.path(who)).identity().unwrap(), to.trim().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let hash = which(ask(&endpoint, &to, permission, &[]).await.unwrap());
        let (cache, target) = (world.path(&format!("cache of {who}")), world.path(&format!("slow copy of {who}")));
        let mut wait = |_| {
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_secs(1)));
            std::ops::ControlFlow::Continue(())
        };
        let came = blobs::fetch(&endpoint, &cache, &to, hash, &target, &mut wait).await;
        assert_eq!(came.is_ok(), target.exists());
        endpoint.close().await;
        came
    })
}

/// Its end cuts a copy that is under way, though it was begun long before what was allowed may be begun no more; and the log is fine.
#[test]
fn a_copy_that_is_under_way_ends_with_its_grant() {
    let long = Long::new();
    let (world, grant) = (&long.world, long.world.text("short"));
    let node = world.serve(None);
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let granting = ["grant", "long", "--to", &buyer, "--action", "replicate", "--expires", "8s", "--out", &grant];
    world.ok("owner", &granting);
    let permission = Request::Replicate { dataset: long.first.parse().unwrap(), grant: std::fs::read_to_string(&grant).unwrap() };
    let file = ContentHash::of(&std::fs::read(world.path("long.csv")).unwrap());
    let cut = slowly(world, "buyer", &node.address, &permission, |reply| {
        assert!(matches!(reply, Reply::Replicating), "{reply:?}");
        file
    });
    assert!(matches!(cut, Err(NetError::Peer(_))), "{cut:?}");
    let said = world.fails("buyer", &["fetch", "long", "--to", &node.address, "--grant", &grant, "--out", &world.text("out")]);
    assert!(said.contains("the grant expired at"), "{said}");
    // By another grant it comes.
    long.fetch(&node.address);
    let report = world.audit(&node.address);
    assert_eq!((report["findings"].as_array().map(Vec::len), report["fetches"].as_u64() >= Some(2)), (Some(0), true), "{report}");
}

/// The folder in which files wait to be whole is on a disk that is too small; then the one in which they are to be.
#[test]
fn a_full_disk_leaves_nothing_half_written_and_the_next_call_goes_on() {
    let long = Long::new();
    let world = &long.world;
    let node = world.serve(None);
    let small = |of: &str| {
        let of = world.text(of);
        std::fs::create_dir_all(&of).unwrap();
        let script = "mount -t tmpfs -o size=2m tmpfs \"$1\" && shift && \"$@\"; code=$?; ls -A \"$OUT\" >&2; exit $code";
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(of).env("OUT", world.path("out"));
        command
    };
    std::fs::create_dir_all(world.path("out")).unwrap();
    if !small("out").arg("true").output().is_ok_and(|done| done.status.success()) {
        assert!(std::env::var_os("REQUIRE_NETNS").is_none(), "no mounts of one's own here");
        eprintln!("skipped: no mounts of one's own here");
        return;
    }
    for folder in ["buyer/fetched", "out"] {
        let (home, out, grant) = (world.text("buyer"), world.text("out"), world.text("copy"));
        let fetch = ["--home", &home, "fetch", "long", "--to", &node.address, "--grant", &grant, "--out", &out];
        let done = small(folder).arg(env!("CARGO_BIN_EXE_tidegate")).args(fetch).output().unwrap();
        let said = common::text(&done);
        let says = ["the disk is full", "No space left on device"].iter().any(|why| said.contains(why));
        assert!(!done.status.success() && says, "{folder}: {said}");
        assert!(!said.lines().any(|line| line == "long.csv" || line.starts_with(".part")), "{folder}: {said}");
    }
    let (came, bytes) = long.fetch(&node.address);
    assert!(came == 0 && bytes > 2 << 20, "{came} of {bytes} came again");
}
