//! The neighbour harness: two real nodes, whose datasets differ by one person, are asked the same jobs; nothing that comes back may tell which is which.
//!
//! `with` has 3000 people of one row each, of whom person 1234 alone has diag 'rare', age 42 and income 77777.25; `without` has the others. What is asked lies in
//! [`jobs`] as data: whoever finds a fault appends what shows it. How answers are held against one another is in [`judge`].

mod jobs;
mod judge;

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use tidegate_node::{NodeError, buyer::Buyer, home::Home, jobfile::JobFile};
use tokio::sync::Semaphore;

use crate::common::World;
use jobs::Case;
use judge::{Answered, Outcome, judge};

/// How many jobs each node runs at a time.
const AT_A_TIME: usize = 6;
/// Times that each job is asked of each node: noise that is none repeats itself.
const ROUNDS: usize = 2;
/// More of them, where a busy machine made a reply late: what rows make late is late each time.
const MOST_ROUNDS: usize = 4;
/// The two nodes and what they are called.
const SIDES: [&str; 2] = ["with", "without"];

const POLICY: &str = r#"
[unit]
column = "person"
max_units = 4000
max_rows = 2
max_groups = 2
[budget]
delta = 1e-6
rho = 900
laplace_epsilon = 900
per_buyer_rho = 900
per_buyer_laplace_epsilon = 900
[jobs]
kinds = ["sql", "wasm", "onnx"]
min_units = 5
fuel = 100000000
memory_mib = 16
slot = "3s"
tick = "500ms"
[access]
compute = "granted"
replicate = "nobody"
[columns]
age = { lo = 0, hi = 100 }
income = { lo = 0, hi = 100000 }
zip = {}
diag = {}
flag = {}
note = {}
"#;

/// 3000 people, or all of them but person 1234.
fn people(without: bool) -> String {
    let mut csv = String::from("person,age,income,zip,diag,flag,note\n");
    for person in 0..3000 {
        let (zip, flag, note) = (1000 + person % 20, person % 2 == 0, person % 50);
        if person != 1234 {
            let (age, income, diag) = (20 + person % 60, 20_000 + 13 * person, ["flu", "cold", "none"][person % 3]);
            csv.push_str(&format!("{person},{age},{income}.5,{zip},{diag},{flag},n{note}\n"));
        } else if !without {
            csv.push_str(&format!("{person},42,77777.25,{zip},rare,{flag},n{note}\n"));
        }
    }
    csv
}

/// The two owners with their nodes, and a buyer whom both granted everything.
struct Neighbours {
    world: World,
    buyer: Buyer,
    nodes: [tidegate_node::Address; 2],
    grants: [String; 2],
    turns: [Semaphore; 2],
}

impl Neighbours {
    async fn start() -> (Self, [crate::common::Serving; 2]) {
        let world = World { dir: tempfile::tempdir().unwrap() };
        let buyer = world.ok("buyer", &["init"]).trim().to_owned();
        std::fs::write(world.path("policy.toml"), POLICY).unwrap();
        let owner = |side: &str| {
            world.ok(side, &["init"]);
            let (file, policy, grant) =
                (world.text(&format!("{side}.csv")), world.text("policy.toml"), world.text(&format!("{side} grant")));
            std::fs::write(&file, people(side == "without")).unwrap();
            world.ok(side, &["publish", &file, "--name", "people", "--unit", "person", "--policy", &policy]);
            world.ok(side, &["grant", "people", "--to", &buyer, "--out", &grant]);
            let many = AT_A_TIME.to_string();
            let node = world.serve_by(side, &["--jobs", &many, "--jobs-per-buyer", &many]);
            (node, std::fs::read_to_string(grant).unwrap())
        };
        let [(with, grant), (without, other)] = SIDES.map(owner);
        let nodes: [tidegate_node::Address; 2] = [&with, &without].map(|node| node.address.trim().parse().unwrap());
        let buyer = Buyer::bind_to(&Home::at(world.path("buyer")), &nodes).await.unwrap();
        let turns = [Semaphore::new(AT_A_TIME), Semaphore::new(AT_A_TIME)];
        (Self { world, buyer, nodes, grants: [grant, other], turns }, [with, without])
    }

    /// Asks one of the two.
    async fn ask(&self, case: &Case, side: usize) -> Outcome {
        let file = match JobFile::read(&self.world.path(&format!("{}.toml", case.name))) {
            Ok(file) => file,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let _turn = self.turns[side].acquire().await.unwrap();
        let asked = self.buyer.run(&self.nodes[side], &file, self.grants[side].trim(), None, None).await;
        let at = SystemTime::now();
        match asked {
            Ok((_, verified, _)) => Outcome::Answered(Box::new(Answered::of(&verified, at))),
            Err(NodeError::Refused(refusal)) => Outcome::Refused(refusal.to_string()),
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }

    /// What tells the two apart by `case`; nothing where nothing does.
    async fn difference(&self, case: &Case) -> Option<String> {
        std::fs::write(self.world.path(&format!("{}.toml", case.name)), format!("dataset = \"people\"\n{}", case.job)).unwrap();
        let mut outcomes = [vec![], vec![]];
        let mut found = None;
        for round in 0..MOST_ROUNDS {
            let [with, without] = &mut outcomes;
            let (a, b) = tokio::join!(self.ask(case, 0), self.ask(case, 1));
            with.push(a);
            without.push(b);
            if round + 1 >= ROUNDS {
                found = judge(with, without);
                if !found.as_ref().is_some_and(|found| found.may_be_chance) {
                    break;
                }
            }
        }
        found.map(|found| found.what)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_tells_who_is_there() {
    let (neighbours, nodes) = Neighbours::start().await;
    let neighbours = Arc::new(neighbours);
    let ask = |case: Case| {
        let neighbours = neighbours.clone();
        tokio::spawn(async move { (case.name, neighbours.difference(&case).await) })
    };
    let mut faults = vec![];
    for asked in jobs::all().into_iter().map(ask).collect::<Vec<_>>() {
        if let (name, Some(difference)) = asked.await.unwrap() {
            faults.push(format!("{name}: {difference}"));
        }
    }
    drop(nodes);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn jobs_have_names_of_their_own() {
    let names: Vec<&str> = jobs::all().iter().map(|case| case.name).collect();
    let distinct: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len());
}
