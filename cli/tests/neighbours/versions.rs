//! A version that another is newer than, of which a narrower policy governs: asked by its own id, in good faith and in bad.

use tidegate_exchange::{ask, bind};
use tidegate_node::{client::now, home::Home};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho, Signed,
    cost::FemtoDelta,
    frame::{Reply, Request},
    job::{Mode, Program},
};

use super::{Case, Neighbours, Outcome, ROUNDS, Rows, Town, jobs::sql, judge::without_ids};

const COUNT: &str = "SELECT COUNT(*) AS n FROM dataset";
const RARE: &str = "SELECT COUNT(*) AS n FROM dataset WHERE diag = 'rare'";
const ONE: &str = "SELECT COUNT(*) AS n FROM dataset WHERE age = 42";

/// Under which nobody may copy, a column is withdrawn, and less may be spent; it was otherwise before.
fn town(section: &str) -> Town {
    let town = Town::of(Rows::One, "2s", 4);
    let narrow = town.policy.replace("diag = {}\n", "").replace("per_buyer_rho = 900", "per_buyer_rho = 9");
    let before = town.policy.replace("replicate = \"nobody\"", "replicate = \"granted\"");
    Town { policy: format!("{section}\n{narrow}"), before: Some(before), ..town }
}

impl Neighbours {
    fn old(&self) -> [&str; 2] {
        [0, 1].map(|side| self.before[side].as_deref().unwrap())
    }

    /// What a node says to who sends a request as the buyer, and asks no node of its own.
    async fn says(&self, side: usize, request: &Request) -> String {
        let identity = Home::at(self.world.path("buyer")).identity().unwrap();
        let endpoint = bind(&identity, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let reply = ask(&endpoint, &self.nodes[side], request, &[]).await.unwrap();
        endpoint.close().await;
        match reply {
            Reply::Refused(refusal) => without_ids(&format!("{:?}: {refusal}", refusal.code)),
            Reply::Delivered(_) => "an answer".into(),
            other => without_ids(&format!("{other:?}")),
        }
    }

    /// A signed job over the version before.
    fn sent(&self, side: usize, query: &str, rho: u64, number: u8) -> Request {
        let identity = Home::at(self.world.path("buyer")).identity().unwrap();
        let job = Job {
            version: 1,
            request: format!("{number:02x}").repeat(16),
            dataset: self.old()[side].parse().unwrap(),
            cost: Cost::dp(MicroRho(rho), FemtoDelta(0)),
            created: now(),
            program: Program::Sql { query: query.into(), keys: None, tables: None },
            mode: Mode::Dp,
            weights: Default::default(),
        };
        let grant = self.grants[side].clone();
        Request::Submit { job: Signed::sign(job, &identity).unwrap().envelope().clone(), grant, attachment_bytes: 0 }
    }

    /// Everything that may be asked of the version before, and part of what is said to it.
    async fn asked_in_bad_faith(&self, expected: [&str; 6]) {
        for (number, expected) in expected.iter().enumerate() {
            let request = |side: usize| {
                let (dataset, grant): (ContentHash, _) = (self.old()[side].parse().unwrap(), self.grants[side].clone());
                match number {
                    0 => self.sent(side, COUNT, 100, 0),
                    1 => self.sent(side, RARE, 100, 1),
                    2 => self.sent(side, ONE, 100, 2),
                    3 => self.sent(side, COUNT, 10_000_000, 3),
                    4 => Request::Replicate { dataset, grant },
                    _ => Request::Mock { dataset, grant },
                }
            };
            let (a, b) = (request(0), request(1));
            let (a, b) = tokio::join!(self.says(0, &a), self.says(1, &b));
            assert!(a == b && a.contains(expected), "request {number}: {a:?} and {b:?}, for {expected:?}");
        }
    }

    /// Jobs over the version before, sent by way of the buyer's own node.
    async fn asked_in_good_faith(&self, cases: &[(Case, Option<&str>)]) {
        for (case, refused) in cases {
            match refused {
                None => assert_eq!(self.difference(case, self.old(), ROUNDS).await, None, "{}", case.name),
                Some(words) => {
                    let both = tokio::join!(self.ask(case, 0, self.old()[0], None), self.ask(case, 1, self.old()[1], None));
                    let said = |outcome: &Outcome| match outcome {
                        Outcome::Refused(why) | Outcome::Failed(why) => without_ids(why),
                        Outcome::Answered(_) => "an answer".into(),
                    };
                    let (a, b) = (said(&both.0), said(&both.1));
                    assert!(a == b && a.contains(words), "{}: {a:?} and {b:?}, for {words:?}", case.name);
                }
            }
        }
    }
}

fn asked(name: &str, rho: &str, query: &str) -> Case {
    Case { answers: Some(true), ..sql(name, &format!("rho = {rho}"), query) }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_version_that_is_superseded_tells_who_is_there() {
    let (neighbours, nodes) = Neighbours::start(&town("")).await;
    let newer = "is newer";
    neighbours.asked_in_bad_faith([newer; 6]).await;
    let nothing = Some("allows no jobs on this version");
    neighbours.asked_in_good_faith(&[(asked("count", "1e-4", COUNT), nothing), (asked("rare", "1e-4", RARE), nothing)]).await;
    drop((neighbours, nodes));
    // Where older ones answer, it is under what both policies allow.
    let (neighbours, _nodes) = Neighbours::start(&town("[versions]\nanswer = \"all\"")).await;
    neighbours.asked_in_bad_faith(["an answer", "diag", "an answer", "budget", "allows nobody to replicate", "mock"]).await;
    let cases = [
        (asked("count", "1e-4", COUNT), None),
        (asked("one", "1e-4", ONE), None),
        (asked("rare", "1e-4", RARE), Some("diag")),
        (asked("dear", "10", COUNT), Some("rho")),
    ];
    neighbours.asked_in_good_faith(&cases).await;
}
