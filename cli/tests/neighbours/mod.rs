//! The neighbour harness: two real nodes, whose datasets differ by one person, are asked the same jobs; nothing that comes back may tell which is which.
//!
//! `with` has some hundred people, or 3000, of whom person 1234 alone has diag 'rare', age 42 and income 77777.25; `without` has the others. What is asked lies as data in [`jobs`]
//! (queries), [`programs`], [`models`] and [`crowds`] (a person of many or long rows); [`exact`] asks for exact results, and [`versions`] for what is superseded. [`sizes`] looks at
//! manifests, listings and logs.
//! Whoever finds a fault appends what shows it. How answers are held against one another is in [`judge`].

mod crowds;
mod exact;
mod jobs;
mod judge;
mod models;
mod programs;
mod sizes;
mod towns;
mod versions;

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use tidegate_node::{Address, NodeError, buyer::job_file::JobFile, client::Buyer, home::Home};
use tokio::sync::Semaphore;

use crate::common::{Serving, World, runtime_is_here};
use jobs::Case;
use judge::{Answered, Outcome, judge};
use towns::{Rows, Town};

/// Times that each query is asked of each node: noise that is none repeats itself.
const ROUNDS: usize = 2;
/// Times that what is answered by the same mechanisms with another engine before them is: the two nodes are two draws.
const ONCE: usize = 1;
/// Programs of one buyer's that a node takes at a time (`limits::ATTACHMENTS`).
const PROGRAMS: usize = 4;
/// More of them, where a busy machine made a reply late: what rows make late is late each time.
const MOST_ROUNDS: usize = 6;
/// The two nodes and what they are called.
const SIDES: [&str; 2] = ["with", "without"];

/// The two owners with their nodes, and a buyer whom both granted everything.
struct Neighbours {
    world: World,
    buyer: Buyer,
    nodes: [Address; 2],
    grants: [String; 2],
    /// The dataset's id at each, of the version before.
    before: [Option<String>; 2],
    turns: [Semaphore; 2],
}

/// An owner, as it was set up.
struct Owner {
    node: Serving,
    grant: String,
    before: Option<String>,
}

fn owner(world: &World, town: &Town, side: &str, buyer: &str) -> Owner {
    world.ok(side, &["init"]);
    let file = town.write(&world.path(side), side == SIDES[1]);
    let (policy, grant) = (world.text("policy.toml"), world.text(&format!("{side} grant")));
    let publish = |rules: &str, more: &[&str]| -> String {
        std::fs::write(&policy, rules).unwrap();
        let args = ["publish", &file, "--name", "people", "--unit", "person", "--policy", &policy, "--json"];
        let said: serde_json::Value = serde_json::from_str(&world.ok(side, &[&args[..], more].concat())).unwrap();
        said["dataset"].as_str().unwrap().to_owned()
    };
    let before = town.before.as_ref().map(|rules| publish(rules, &[]));
    publish(&town.policy, &before.iter().flat_map(|id| ["--version-of", id]).collect::<Vec<_>>());
    world.ok(side, &["grant", "people", "--to", buyer, "--rho", "900", "--out", &grant]);
    let many = town.at_a_time.to_string();
    let node = world.serve_by(side, &["--jobs", &many, "--jobs-per-buyer", &many]);
    Owner { node, grant: std::fs::read_to_string(grant).unwrap().trim().to_owned(), before }
}

impl Neighbours {
    async fn start(town: &Town) -> (Self, [Serving; 2]) {
        let world = World { dir: tempfile::tempdir().unwrap() };
        let buyer = world.ok("buyer", &["init"]).trim().to_owned();
        let [with, without] = SIDES.map(|side| owner(&world, town, side, &buyer));
        let nodes: [Address; 2] = [&with, &without].map(|owner| owner.node.address.trim().parse().unwrap());
        let buyer = Buyer::bind_to(&Home::at(world.path("buyer")), &nodes).await.unwrap();
        let turns = [Semaphore::new(town.at_a_time), Semaphore::new(town.at_a_time)];
        let (grants, before) = ([with.grant, without.grant], [with.before, without.before]);
        (Self { world, buyer, nodes, grants, before, turns }, [with.node, without.node])
    }

    /// The job file of a case over the dataset of this name or id.
    fn job(&self, case: &Case, dataset: &str) -> Result<JobFile, NodeError> {
        let program = format!("{}.bin", case.name);
        if let Some(bytes) = &case.program {
            std::fs::write(self.world.path(&program), bytes).unwrap();
        }
        let path = self.world.path(&format!("{} of {dataset}.toml", case.name));
        std::fs::write(&path, format!("dataset = \"{dataset}\"\n{}", case.job.replace("PROGRAM", &program))).unwrap();
        JobFile::read(&path)
    }

    /// Asks one of the two about the dataset, or the version, of this name or id; as the job that it is by its id and time, where it was sent before.
    async fn ask(&self, case: &Case, side: usize, dataset: &str, again: Option<(&str, i64)>) -> Outcome {
        let file = match self.job(case, dataset) {
            Ok(file) => file,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let _turn = self.turns[side].acquire().await.unwrap();
        let (request, created) = again.unzip();
        let asked = self.buyer.run(&self.nodes[side], &file, &self.grants[side], request.map(str::to_owned), created).await;
        let at = SystemTime::now();
        match asked {
            Ok((_, verified, _)) => Outcome::Answered(Box::new(Answered::of(&verified, at))),
            Err(NodeError::Refused(refusal)) => Outcome::refused(&refusal.to_string()),
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }

    /// What tells the two apart by `case`, or shows that it was not what it should be; nothing where nothing does.
    async fn difference(&self, case: &Case, datasets: [&str; 2], rounds: usize) -> Option<String> {
        let mut outcomes = [vec![], vec![]];
        let mut found = None;
        for round in 0..MOST_ROUNDS {
            let [with, without] = &mut outcomes;
            let (a, b) = tokio::join!(self.ask(case, 0, datasets[0], None), self.ask(case, 1, datasets[1], None));
            with.push(a);
            without.push(b);
            if round + 1 >= rounds {
                found = judge(with, without);
                if !found.as_ref().is_some_and(|found| found.may_be_chance) {
                    break;
                }
            }
        }
        let unexpected = outcomes.iter().flatten().find_map(|outcome| outcome.is_not(case.answers));
        found.map(|found| found.what).or(unexpected)
    }

    /// Asks everything, as much at a time as there are turns; nothing may tell the two apart. Of the cases, those whose name has what the environment's
    /// `TIDEGATE_NEIGHBOURS` says, where it says something.
    async fn hold(self, cases: Vec<Case>, rounds: usize, nodes: [Serving; 2]) {
        let neighbours = Arc::new(self);
        let ask = |case: Case| {
            let neighbours = neighbours.clone();
            tokio::spawn(async move {
                let found = neighbours.difference(&case, ["people"; 2], rounds).await;
                (case.name, found)
            })
        };
        let wanted = std::env::var("TIDEGATE_NEIGHBOURS").unwrap_or_default();
        let mut faults = vec![];
        for asked in cases.into_iter().filter(|case| case.name.contains(&wanted)).map(ask).collect::<Vec<_>>() {
            if let (name, Some(difference)) = asked.await.unwrap() {
                faults.push(format!("{name}: {difference}"));
            }
        }
        faults.extend(neighbours.failures());
        drop(nodes);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// The sides on which jobs failed as a whole: the one person's rows are to fail for that person alone.
    fn failures(&self) -> Vec<String> {
        let said = SIDES.map(|side| (side, self.world.ok(side, &["quarantine", "list"])));
        said.iter()
            .filter(|(_, said)| !said.contains("nothing"))
            .map(|(side, said)| format!("{side}: jobs failed: {said}"))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_tells_who_is_there() {
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::One, "6s", 6).small()).await;
    neighbours.hold(jobs::all(), ROUNDS, nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_program_tells_who_is_there() {
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::One, "4s", PROGRAMS).small()).await;
    neighbours.hold(programs::all(), ONCE, nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_model_tells_who_is_there() {
    if !runtime_is_here() {
        return;
    }
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::One, "6s", PROGRAMS)).await;
    neighbours.hold(models::all(), ONCE, nodes).await;
}

#[test]
fn jobs_have_names_of_their_own() {
    let all = [jobs::all(), programs::all(), models::all(), crowds::all()].concat();
    let names: BTreeSet<_> = all.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), all.len());
}
