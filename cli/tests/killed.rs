//! The owner's node killed at any moment with jobs in flight, again and again: nothing lost, charged twice or released twice.

use std::{
    collections::BTreeMap,
    process::{Child, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::common::{World, text};

/// Jobs that are in flight when the node is killed.
const AT_ONCE: usize = 2;
/// Price of each, in millionths.
const PRICE: u64 = 10;

/// A request, and the first answer that its buyer got.
struct Asked {
    id: String,
    created: String,
    answer: Option<Value>,
}

impl Asked {
    fn args<'a>(&'a self, world: &'a World, job: &'a str, address: &'a str, grant: &'a str) -> Vec<&'a str> {
        let mut args = world.run_args(job, address, grant);
        args.extend(["--request", &self.id, "--created", &self.created]);
        args
    }

    /// Takes in an answer: what left once leaves again, to the byte.
    fn is_answered(&mut self, answer: Value) {
        if let Some(before) = &self.answer {
            assert_eq!(before["result"], answer["result"], "{}: the same bytes", self.id);
            assert_eq!(before["receipt"]["index"], answer["receipt"]["index"], "{}: the same receipt", self.id);
        }
        self.answer = Some(answer);
    }
}

fn rounds() -> usize {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap())
}

fn ask(world: &World, asked: &mut Asked, job: &str, address: &str, grant: &str) {
    let output = world.try_run("buyer", &asked.args(world, job, address, grant));
    assert!(output.status.success(), "{}: {}", asked.id, text(&output));
    asked.is_answered(serde_json::from_slice(&output.stdout).unwrap());
}

#[test]
fn killed_at_any_moment_with_jobs_in_flight() {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let grant = world.text("grant");
    let job = world.job("sum.toml", "rho = 0.00001\n[sql]\nquery = \"SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset\"\n");
    let mut all: Vec<Asked> = Vec::new();
    let mut longest = Duration::from_secs(2);
    let mut killed_before = 0;
    for round in 0..rounds() {
        let node = world.serve(None);
        // Those of the round before, which the kill may have met anywhere.
        let begun = Instant::now();
        let before = all.len().saturating_sub(AT_ONCE);
        for asked in &mut all[before..] {
            ask(&world, asked, &job, &node.address, &grant);
        }
        if round > 0 {
            longest = begun.elapsed();
        }
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
        let mut buyers: Vec<(Asked, Child)> = Vec::new();
        for _ in 0..AT_ONCE {
            let asked = Asked { id: format!("{:032x}", rng.u128(..)), created: created.clone(), answer: None };
            let mut command = world.command("buyer");
            command.args(asked.args(&world, &job, &node.address, &grant)).stdout(Stdio::piped()).stderr(Stdio::null());
            buyers.push((asked, command.spawn().unwrap()));
        }
        std::thread::sleep(longest.mul_f64(rng.f64()));
        drop(node);
        for (mut asked, mut buyer) in buyers {
            // One that has its answer prints it; the others wait for a node that is gone.
            std::thread::sleep(Duration::from_millis(20));
            let _ = buyer.kill();
            let output = buyer.wait_with_output().unwrap();
            match serde_json::from_slice(&output.stdout) {
                Ok(answer) => asked.is_answered(answer),
                Err(_) => killed_before += 1,
            }
            all.push(asked);
        }
    }
    eprintln!("{} jobs, {killed_before} of them without an answer when the node was killed", all.len());
    let node = world.serve(None);
    for asked in &mut all {
        ask(&world, asked, &job, &node.address, &grant);
    }
    let receipts: BTreeMap<String, &str> =
        all.iter().map(|asked| (asked.answer.as_ref().unwrap()["receipt"]["index"].to_string(), &*asked.id)).collect();
    assert_eq!(receipts.len(), all.len(), "a receipt for each");
    let report = world.audit(&node.address);
    let count = Value::from(all.len());
    assert_eq!((&report["intents"], &report["outcomes"]), (&count, &count), "{report}");
    assert_eq!((report["open"].as_array().unwrap().len(), report["findings"].as_array().unwrap().len()), (0, 0), "{report}");
    assert_eq!(world.spent(), PRICE * all.len() as u64, "each charged once");
}
