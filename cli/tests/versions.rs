//! Versions: the newest one's policy governs, older ones answer where it says so, and what was retired answers nothing. Asked as a buyer of bad faith asks, who
//! keeps to none of what its own node would tell it.

use crate::common::{self, World, until};
use serde_json::Value;
use tidegate_exchange::{Address, ask, bind};
use tidegate_node::home::Home;
use tidegate_protocol::{
    Code, ContentHash, Cost, Job, MicroRho, Refusal, Signed,
    cost::FemtoDelta,
    frame::{Reply, Request},
    job::{Mode, Program},
};

/// Sends a request as the buyer, whatever its node thinks of it.
fn send(world: &World, to: &str, request: &Request) -> Reply {
    let identity = Home::at(world.path("buyer")).identity().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let to: Address = to.parse().unwrap();
        let endpoint = bind(&identity, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let reply = ask(&endpoint, &to, request, &[]).await.unwrap();
        endpoint.close().await;
        reply
    })
}

fn refused(reply: Reply) -> Refusal {
    match reply {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A signed job over a version, at this price.
fn job(world: &World, dataset: &str, query: &str, rho: u64) -> Request {
    let identity = Home::at(world.path("buyer")).identity().unwrap();
    let mut request = [0; 16];
    request[..8].copy_from_slice(
        &std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().to_le_bytes().repeat(2),
    );
    let job = Job {
        version: 1,
        request: request.map(|byte| format!("{byte:02x}")).concat(),
        dataset: dataset.parse().unwrap(),
        cost: Cost::dp(MicroRho(rho), FemtoDelta(0)),
        created: tidegate_node::client::now(),
        program: Program::Sql { query: query.into(), keys: None, tables: None },
        mode: Mode::Dp,
        weights: Default::default(),
    };
    let grant = std::fs::read_to_string(world.text("all")).unwrap();
    Request::Submit { job: Signed::sign(job, &identity).unwrap().envelope().clone(), grant, attachment_bytes: 0 }
}

const COUNT: &str = "SELECT COUNT(*) AS n FROM dataset";
const CITY: &str = "SELECT COUNT(*) AS n FROM dataset WHERE city = 'north'";

struct Versioned {
    world: World,
    first: String,
    policy: String,
}

impl Versioned {
    /// An owner of `shared`, which the buyer may compute on, copy, replay and rehearse.
    fn new() -> Self {
        let world = World::new();
        let buyer = world.ok("buyer", &["id"]).trim().to_owned();
        let policy = common::POLICY
            .replace("BUYER", &buyer)
            .replace("slot = \"8s\"", "slot = \"4s\"")
            .replace("replicate = \"nobody\"", "replicate = \"granted\"\nreplay = \"granted\"\nrehearse = \"granted\"");
        let rows: String = (0..60).map(|person| format!("{person},{},north\n", person % 50)).collect();
        std::fs::write(world.path("shared.csv"), format!("person,spend,city\n{rows}")).unwrap();
        std::fs::write(world.path("mock.csv"), "person,spend,city\n8,2,north\n9,3,south\n").unwrap();
        let mut versioned = Self { world, first: String::new(), policy };
        versioned.first = versioned.publish(&versioned.policy, &[]);
        let (world, out) = (&versioned.world, versioned.world.text("all"));
        let actions = "compute,replicate,replay,rehearse";
        world.ok("owner", &["grant", "shared", "--to", &buyer, "--action", actions, "--out", &out]);
        versioned
    }

    fn publish(&self, policy: &str, more: &[&str]) -> String {
        let world = &self.world;
        std::fs::write(world.path("shared.toml"), policy).unwrap();
        let (file, policy, mock) = (world.text("shared.csv"), world.text("shared.toml"), world.text("mock.csv"));
        let args = ["publish", &file, "--name", "shared", "--unit", "person", "--policy", &policy, "--mock", &mock, "--json"];
        let published: Value = serde_json::from_str(&world.ok("owner", &[&args[..], more].concat())).unwrap();
        published["dataset"].as_str().unwrap().to_owned()
    }

    /// The same files again, with a column withdrawn, a smaller cap and nobody to copy.
    fn narrower(&self, section: &str) -> String {
        let narrow = self
            .policy
            .replace("city = {}", "")
            .replace("per_buyer_rho = 0.9", "per_buyer_rho = 0.2")
            .replace("replicate = \"granted\"", "replicate = \"nobody\"");
        self.publish(&format!("{section}\n{narrow}"), &["--version-of", &self.first])
    }

    fn audited(&self, address: &str) -> Value {
        let report = self.world.audit(address);
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
        report
    }

    fn grant(&self) -> String {
        std::fs::read_to_string(self.world.text("all")).unwrap()
    }

    /// Everything that one may ask of a version but jobs.
    fn asks(&self, dataset: &str) -> [Request; 2] {
        let dataset: ContentHash = dataset.parse().unwrap();
        [Request::Replicate { dataset, grant: self.grant() }, Request::Mock { dataset, grant: self.grant() }]
    }
}

/// The kind: superseded state that still acts.
#[test]
fn the_newest_version_s_policy_governs_and_the_one_before_answers_nothing() {
    let versioned = Versioned::new();
    let (world, first) = (&versioned.world, &versioned.first);
    let node = world.serve(None);
    for query in [COUNT, CITY] {
        let reply = send(world, &node.address, &job(world, first, query, 100_000));
        assert!(matches!(reply, Reply::Delivered(_)), "{reply:?}");
    }
    let receipt =
        world.ok("owner", &["receipts", "list"]).lines().position(|line| line.contains("released")).unwrap().to_string();
    let data = world.text("copy");
    let fetch = ["fetch", first, "--to", &node.address, "--grant", &world.text("all"), "--out", &data];
    world.ok("buyer", &fetch);
    drop(node);
    let second = versioned.narrower("");
    let node = world.serve(None);
    for query in [COUNT, CITY] {
        let why = refused(send(world, &node.address, &job(world, first, query, 1)));
        assert!(why.code == Code::Policy && why.message.contains(&second), "{why}");
    }
    for ask in versioned.asks(first) {
        let why = refused(send(world, &node.address, &ask));
        assert!(why.message.contains("is newer"), "{why}");
    }
    assert!(refused(send(world, &node.address, &versioned.asks(&second)[0])).message.contains("allows nobody to replicate"));
    let why = refused(send(world, &node.address, &job(world, &second, CITY, 1)));
    assert_eq!(why.code, Code::Program, "the column is withdrawn: {why}");
    let why = refused(send(world, &node.address, &job(world, &second, COUNT, 1)));
    assert_eq!(why.code, Code::Budget, "what was spent before counts: {why}");
    // What the buyer's own node says: nothing of the older one is on offer, but it is history.
    let listed = world.ok("buyer", &["list", "--to", &node.address]);
    assert!(listed.contains(&second) && !listed.contains(first.as_str()), "{listed}");
    std::fs::write(world.path("old.toml"), format!("dataset = \"{first}\"\nrho = 0.01\n[sql]\nquery = \"{COUNT}\"\n")).unwrap();
    let said = world.fails("buyer", &world.run_args(&world.text("old.toml"), &node.address, &world.text("all")));
    assert!(said.contains("allows no jobs on this version"), "{said}");
    let history = world.ok("buyer", &["catalog", "history", "shared", "--to", &node.address]);
    assert!(history.contains(first.as_str()), "{history}");
    // A receipt of before is replayed by who may: rows, policy and sums are those of then.
    let replayed =
        world.ok("buyer", &["replay", &receipt, "--to", &node.address, "--grant", &world.text("all"), "--data", &data, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&replayed).unwrap()["verdict"], "same", "{replayed}");
    versioned.audited(&node.address);
}

#[test]
fn an_older_version_answers_under_what_both_policies_allow_where_the_newest_says_so() {
    let versioned = Versioned::new();
    let (world, first) = (&versioned.world, &versioned.first);
    for section in ["[versions]\nanswer = \"all\"".to_owned(), format!("[versions]\nanswer = [\"{first}\"]")] {
        let second = versioned.narrower(&section);
        let node = world.serve(None);
        let why = refused(send(world, &node.address, &job(world, first, CITY, 10_000)));
        assert_eq!(why.code, Code::Program, "the column is withdrawn: {why}");
        let why = refused(send(world, &node.address, &job(world, first, COUNT, 300_000)));
        assert_eq!(why.code, Code::Budget, "the smaller cap: {why}");
        let why = refused(send(world, &node.address, &versioned.asks(first)[0]));
        assert!(why.message.contains("allows nobody to replicate"), "{why}");
        assert!(matches!(send(world, &node.address, &versioned.asks(first)[1]), Reply::Replicating));
        std::fs::write(world.path("old.toml"), format!("dataset = \"{first}\"\nrho = 0.05\n[sql]\nquery = \"{COUNT}\"\n"))
            .unwrap();
        let said = world.ok("buyer", &world.run_args(&world.text("old.toml"), &node.address, &world.text("all")));
        let said: Value = serde_json::from_str(&said).unwrap();
        let (facts, listed) =
            (&said["receipt"]["statement"]["predicate"]["facts"], world.ok("buyer", &["list", "--to", &node.address, "--json"]));
        let newest =
            listed.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|l| l["id"] == second.as_str()).unwrap();
        assert_eq!(facts["policy_newest"], newest["manifest"]["policy"], "{said}");
        assert!(facts["ledger"]["cap"]["rho_micro"] == 1_000_000, "{said}");
        versioned.audited(&node.address);
        // Replayed under both, as it was.
        let receipt = said["receipt"]["index"].to_string();
        let args =
            ["replay", &receipt, "--to", &node.address, "--grant", &world.text("all"), "--data", &world.text(""), "--json"];
        assert_eq!(serde_json::from_str::<Value>(&world.ok("buyer", &args)).unwrap()["verdict"], "same");
    }
    std::fs::write(world.path("odd.toml"), format!("[versions]\nanswer = [\"{}\"]\n{}", ContentHash([7; 32]), versioned.policy))
        .unwrap();
    let args = [
        "publish",
        &world.text("shared.csv"),
        "--name",
        "shared",
        "--unit",
        "person",
        "--policy",
        &world.text("odd.toml"),
        "--version-of",
        first,
    ];
    assert!(world.fails("owner", &args).contains("versions.answer"));
}

#[test]
fn what_is_retired_beside_a_running_node_answers_nothing_from_then_on() {
    let versioned = Versioned::new();
    let (world, first) = (&versioned.world, &versioned.first);
    let second = versioned.publish(&format!("[versions]\nanswer = \"all\"\n{}", versioned.policy), &["--version-of", first]);
    let node = world.serve(None);
    let runs = |version: &str| send(world, &node.address, &job(world, version, COUNT, 1_000));
    assert!(matches!(runs(first), Reply::Delivered(_)) && matches!(runs(&second), Reply::Delivered(_)));
    // A job that was paid for and is done is handed out again, also after its version is retired; and nothing else is.
    let paid = job(world, first, COUNT, 1_000);
    assert!(matches!(send(world, &node.address, &paid), Reply::Delivered(_)));
    assert!(world.fails("owner", &["retire", "shared"]).contains("--all"));
    world.ok("owner", &["retire", first]);
    let gone = |reply: Reply, what: &str| {
        let why = refused(reply);
        assert!(why.message.contains(what), "{why}");
    };
    gone(runs(first), "retired this version");
    assert!(matches!(send(world, &node.address, &paid), Reply::Delivered(_)), "what was paid for stays its buyer's");
    for ask in versioned.asks(first) {
        gone(send(world, &node.address, &ask), "retired this version");
    }
    assert!(matches!(runs(&second), Reply::Delivered(_)));
    let listed = world.ok("buyer", &["catalog", "history", "shared", "--to", &node.address]);
    assert!(listed.contains(&second) && !listed.contains(first.as_str()), "{listed}");
    world.ok("owner", &["retire", "shared", "--all"]);
    gone(runs(&second), "retired this dataset");
    for ask in versioned.asks(&second) {
        gone(send(world, &node.address, &ask), "retired this dataset");
    }
    assert!(!world.ok("buyer", &["list", "--to", &node.address]).contains("shared"));
    let report = versioned.audited(&node.address);
    assert_eq!(report["retirements"], 2, "{report}");
    drop(node);
    let args = [
        "publish",
        &world.text("shared.csv"),
        "--name",
        "shared",
        "--unit",
        "person",
        "--policy",
        &world.text("shared.toml"),
        "--version-of",
        first,
    ];
    assert!(world.fails("owner", &args).contains("retired permanently"));
    let node = world.serve(None);
    gone(send(world, &node.address, &job(world, &second, COUNT, 1_000)), "retired this dataset");
}

/// Superseded: the same bytes for the same request, which was paid for. But no question is answered again by what was found out under a wider policy.
#[test]
fn a_paid_result_stays_its_buyer_s_and_no_other_question_is_answered_by_it() {
    let versioned = Versioned::new();
    let (world, first) = (&versioned.world, &versioned.first);
    let again = versioned.policy.replace("tick = \"100ms\"", "tick = \"100ms\"\nanswer_again = true");
    let second = versioned.publish(&again, &["--version-of", first]);
    let node = world.serve(None);
    let delivered = |node: &common::Serving, request: &Request| match send(world, &node.address, request) {
        Reply::Delivered(delivery) => *delivery,
        other => panic!("{other:?}"),
    };
    let paid = job(world, &second, COUNT, 1_000);
    let one = delivered(&node, &paid);
    let same = delivered(&node, &job(world, &second, COUNT, 1_000));
    assert!(same.earlier.is_some() && same.result == one.result);
    drop(node);
    let wide = format!("[versions]\nanswer = \"all\"\n{again}").replace("min_units = 5", "min_units = 9");
    let third = versioned.publish(&wide, &["--version-of", first]);
    let node = world.serve(None);
    assert_eq!(delivered(&node, &paid).result, one.result, "the same request");
    let anew = delivered(&node, &job(world, &second, COUNT, 1_000));
    assert!(anew.earlier.is_none(), "the same question, under another policy");
    versioned.audited(&node.address);
    drop(node);
    // Nothing of it but its own request, where the newest lets it answer nothing.
    versioned.publish(&again, &["--version-of", &third]);
    let node = world.serve(None);
    assert_eq!(delivered(&node, &paid).result, one.result);
    assert_eq!(refused(send(world, &node.address, &job(world, &second, COUNT, 1_000))).code, Code::Policy);
    versioned.audited(&node.address);
}

/// A job that a crash cut off was charged under a policy that is no more: it is closed, and nothing of it leaves.
#[test]
fn a_job_that_was_cut_off_is_not_run_by_a_version_that_was_superseded_since() {
    let versioned = Versioned::new();
    let (world, first) = (&versioned.world, &versioned.first);
    let node = world.serve(Some("after-reserve"));
    std::fs::write(world.path("old.toml"), format!("dataset = \"{first}\"\nrho = 0.05\n[sql]\nquery = \"{COUNT}\"\n")).unwrap();
    let (job, grant) = (world.text("old.toml"), world.text("all"));
    let mut asking = world
        .command("buyer")
        .args(world.run_args(&job, &node.address, &grant))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(!node.wait().success());
    let _ = asking.kill();
    let _ = asking.wait();
    versioned.narrower("[versions]\nanswer = \"all\"");
    let node = world.serve(None);
    until("its end", || world.ok("owner", &["receipts", "list"]).contains("spent and not released"));
    versioned.audited(&node.address);
}
