//! Several nodes that answer jobs over one dataset: a buyer's job goes to any, and the budget is spent once, whoever is cut off or lost.

use std::time::{Duration, Instant};

use crate::common::{self, Serving, World};
use serde_json::Value;

struct Shared {
    world: World,
    keys: std::collections::BTreeMap<&'static str, String>,
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Stops a process, or lets it go on: to the others it is as if the network were cut.
fn signal(node: &Serving, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &node.pid().to_string()]).status().unwrap().success());
}

impl Shared {
    /// An owner of `shared`, who grants a buyer jobs, and two others to hold it; both have the rows.
    fn new() -> Self {
        let world = World::new();
        let mut keys = std::collections::BTreeMap::new();
        for who in ["owner", "buyer", "north", "south"] {
            keys.insert(who, world.ok(who, &["init"]).trim().to_owned());
        }
        let policy = common::POLICY
            .replace("BUYER", &keys["buyer"])
            .replace("replicate = \"nobody\"", "replicate = \"granted\"\nhold = \"granted\"")
            .replace("slot = \"8s\"", "slot = \"4s\"");
        std::fs::write(world.path("shared.toml"), policy).unwrap();
        let shared = Self { world, keys };
        shared.publish(&[]);
        shared.grant("buyer", "compute", "1");
        for who in ["north", "south"] {
            shared.grant(who, "hold,replicate", "0.4");
        }
        shared
    }

    fn publish(&self, more: &[&str]) -> String {
        let (file, policy) = (self.world.text("shared.csv"), self.world.text("shared.toml"));
        let rows: String = (0..60 + more.len()).map(|person| format!("{person},{},north\n", person % 50)).collect();
        std::fs::write(&file, format!("person,spend,city\n{rows}")).unwrap();
        let mut args = vec!["publish", &file, "--name", "shared", "--unit", "person", "--policy", &policy, "--json"];
        args.extend(more);
        let published: Value = serde_json::from_str(&self.world.ok("owner", &args)).unwrap();
        published["dataset"].as_str().unwrap().to_owned()
    }

    fn grant(&self, who: &str, action: &str, rho: &str) {
        let out = self.world.text(&format!("{who}.grant"));
        let args = ["grant", "shared", "--to", &self.keys[who], "--action", action, "--rho", rho, "--out", &out];
        self.world.ok("owner", &args);
    }

    fn begin(&self, who: &str, owner: &str, rho: &str) {
        let (grant, data) = (self.world.text(&format!("{who}.grant")), self.world.text(&format!("rows of {who}")));
        self.world.ok(who, &["fetch", "shared", "--to", owner, "--grant", &grant, "--out", &data]);
        let args = ["hold", "begin", "shared", "--to", owner, "--grant", &grant, "--data", &data, "--rho", rho];
        self.world.ok(who, &args);
    }

    /// A job of this price; `n` makes it another.
    fn job(&self, n: u32, rho: &str) -> String {
        let job = format!("rho = {rho}\n[sql]\nquery = \"SELECT COUNT(*) AS n{n} FROM dataset\"\n");
        let path = self.world.path(&format!("job {n}.toml"));
        std::fs::write(&path, format!("dataset = \"shared\"\n{job}")).unwrap();
        path.display().to_string()
    }

    fn run(&self, n: u32, rho: &str, at: &str) -> Result<Value, String> {
        let (job, grant) = (self.job(n, rho), self.world.text("buyer.grant"));
        let done = self.world.try_run("buyer", &self.world.run_args(&job, at, &grant));
        if !done.status.success() {
            return Err(common::text(&done));
        }
        Ok(serde_json::from_slice(&done.stdout).unwrap())
    }

    /// As soon as there is a lease that it can be charged to.
    fn run_soon(&self, n: u32, rho: &str, at: &str) -> Value {
        let mut done = None;
        until("a lease", || match self.run(n, rho, at) {
            Ok(value) => {
                done = Some(value);
                true
            }
            Err(why) => {
                // Until its lease is there, it offers nothing.
                assert!(why.contains("holds the dataset for its owner") || why.contains("shows no lease"), "{why}");
                false
            }
        });
        done.unwrap()
    }

    fn leases(&self) -> Vec<Value> {
        self.world.ok("owner", &["leases", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn spent(&self) -> u64 {
        self.world.spent_on("shared")
    }

    /// The audit of the owner's log and of those that hold for it; none finds anything.
    fn audit(&self, owner: &str, holders: &[&str]) -> Vec<Value> {
        let mut args = vec!["audit", "--peer", owner, "--json"];
        args.extend(holders.iter().flat_map(|holder| ["--holder", holder]));
        let said = self.world.ok("buyer", &args);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_job_goes_to_whoever_holds_the_dataset_and_the_budget_is_spent_once() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    shared.begin("south", &owner.address, "0.2");
    let (north, south) = (world.serve_by("north", &[]), world.serve_by("south", &[]));
    let first = shared.run_soon(1, "0.05", &north.address);
    assert!(first["receipt"]["statement"]["predicate"]["facts"]["lease"].is_string(), "{first}");
    // Of 0.3 this buyer has spent 0.05 there.
    assert_eq!(first["remaining"]["rho_micro"], 250_000);
    shared.run_soon(2, "0.1", &south.address);
    // What is out counts as spent, of all and of each buyer.
    assert_eq!(shared.spent(), 500_000);
    let here = shared.run(3, "0.1", &owner.address).unwrap();
    assert_eq!(here["remaining"]["rho_micro"], 300_000, "of 0.9, 0.5 may be spent elsewhere and 0.1 are here");
    let refused = shared.run(4, "0.35", &owner.address).unwrap_err();
    assert!(refused.contains("this buyer has"), "{refused}");
    let said = shared.audit(&owner.address, &[&north.address, &south.address]);
    assert_eq!(said.len(), 3);
    // The owner is cut off: jobs go on, as far as what was handed over goes.
    signal(&owner, "-STOP");
    shared.run(5, "0.2", &north.address).unwrap();
    let refused = shared.run(6, "0.2", &north.address).unwrap_err();
    assert!(refused.contains("another one is asked for"), "{refused}");
    signal(&owner, "-CONT");
    // It is back, and what was asked for comes.
    shared.run_soon(7, "0.2", &north.address);
    // Each gives back what is left when it is told to stop.
    signal(&north, "-TERM");
    signal(&south, "-TERM");
    assert!(north.wait().success() && south.wait().success());
    assert!(shared.leases().iter().all(|lease| lease["state"] == "returned"), "{:?}", shared.leases());
    assert_eq!(shared.spent(), 50_000 + 100_000 + 100_000 + 200_000 + 200_000);
    let by_buyer = world.ok("owner", &["budget", "--json"]);
    let of_all =
        by_buyer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|b| b["dataset"] == "shared").unwrap();
    assert_eq!(of_all["buyers"][0]["spent"]["rho_micro"], 650_000, "{of_all}");
    shared.audit(&owner.address, &[]);
}

#[test]
fn a_holder_that_is_lost_takes_its_lease_with_it() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve_as(&["--leases-last", "4s"]);
    shared.begin("north", &owner.address, "0.3");
    let north = world.serve_by("north", &[]);
    shared.run_soon(1, "0.05", &north.address);
    assert_eq!(shared.spent(), 300_000);
    // Killed, it gives nothing back; started again, it goes on with what it has, once the owner has said that it may.
    drop(north);
    signal(&owner, "-STOP");
    let north = world.serve_by("north", &[]);
    let refused = shared.run(2, "0.05", &north.address).unwrap_err();
    assert!(refused.contains("shows no lease"), "{refused}");
    drop(north);
    signal(&owner, "-CONT");
    // Nothing is heard of it for twice as long as its lease lasts.
    until("the loss", || shared.leases().iter().any(|lease| lease["state"] == "lost"));
    assert_eq!(shared.spent(), 300_000);
    // It comes back: what it had is nobody's any more, and it is given another.
    let north = world.serve_by("north", &[]);
    shared.run_soon(3, "0.05", &north.address);
    assert_eq!(shared.spent(), 600_000);
    let said = shared.audit(&owner.address, &[&north.address]);
    assert_eq!(said[0]["leases"].as_object().unwrap().len(), 2);
}

#[test]
fn who_may_not_hold_does_not_and_what_is_revoked_is_not_answered() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    // Another's grant, one without `hold`, rows that are not what was published.
    let (north, buyers, rows) = (world.text("north.grant"), world.text("buyer.grant"), world.text("rows of north"));
    let begin = |who: &str, grant: &str, data: &str, rho: &str| {
        let args = ["hold", "begin", "shared", "--to", &owner.address, "--grant", grant, "--data", data, "--rho", rho];
        world.try_run(who, &args)
    };
    let told = |output: std::process::Output, what: &str| {
        assert!(!output.status.success() && common::text(&output).contains(what), "{}", common::text(&output))
    };
    std::fs::create_dir_all(world.path("other")).unwrap();
    std::fs::write(world.path("other/shared.csv"), "person,spend,city\n1,2,north\n").unwrap();
    told(begin("south", &world.text("south.grant"), &world.text("other"), "0.1"), "is not the file that was published");
    told(begin("south", &north, &rows, "0.1"), "does not let this party hold");
    told(begin("buyer", &buyers, &rows, "0.1"), "does not let this party hold");
    // Nothing that could be asked was handed over to any of them.
    assert_eq!(shared.leases().len(), 0);
    let node = world.serve_by("north", &[]);
    shared.run_soon(1, "0.05", &node.address);
    // Exact results and copies are the owner's to give.
    let out = world.text("out");
    let copied = world.fails("buyer", &["fetch", "shared", "--to", &node.address, "--grant", &buyers, "--out", &out]);
    assert!(copied.contains("--to is"), "{copied}");
    // The buyer's grant is revoked: the holder hears of it.
    world.ok("owner", &["revoke", &buyers]);
    until("the revocation", || shared.run(2, "0.01", &node.address).is_err_and(|why| why.contains("revoked this grant")));
    shared.grant("buyer", "compute", "1");
    shared.run(3, "0.01", &node.address).unwrap();
    // The holder's own: the lease that it has runs out, and it gets no other.
    world.ok("owner", &["revoke", &north]);
    drop(node);
    let node = world.serve_by("north", &[]);
    std::thread::sleep(Duration::from_secs(2));
    let refused = shared.run(4, "0.01", &node.address).unwrap_err();
    assert!(refused.contains("shows no lease"), "{refused}");
    // A later version is another thing to hold.
    shared.audit(&owner.address, &[&node.address]);
}
