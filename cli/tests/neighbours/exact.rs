//! Exact results that the owner approved, of groups and conditions that the one person is alone in, or one of too few.
//!
//! There is no noise that a difference could hide in, and none is promised to be hidden where enough others are: a group of `min_units` and more counts everybody.
//! What must be equal, byte for byte, is what is released where the one person makes one of none, or one more of fewer than `min_units`.

use serde_json::Value;
use tidegate_node::client::{fresh_request, now};

use super::{Case, Neighbours, Outcome, Rows, SIDES, Town, jobs::sql, judge, judge::without_ids};

const RULES: &str =
    "[reviewed]\njobs = 99\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n";

/// How many people there are under eight bits of an income, which make 256 kinds of people of ten and more, and with diag 'rare', which one more has.
fn kinds(counted: &str) -> String {
    let bits = (0..8)
        .map(|bit| format!("COUNT({counted}) FILTER (WHERE floor((income - 20000.5) / {}) % 2 = 1) AS b{bit}, ", 13 << bit));
    let bits: String = bits.collect();
    format!("SELECT COUNT({counted}) AS n, {bits}COUNT({counted}) FILTER (WHERE diag = 'rare') AS r FROM dataset")
}

/// Nobody else has diag 'rare'; eight others are in club 'few'.
fn all() -> Vec<Case> {
    let exact = |name: &str, answers: bool, query: &str| {
        let case = sql(name, "mode = \"reviewed\"", query);
        Case { answers: Some(answers), ..case }
    };
    let declared = |name: &str, query: &str, keys: &str| {
        let case = exact(name, true, query);
        Case { job: format!("{}keys = {keys}\n", case.job), ..case }
    };
    vec![
        exact(
            "one-of-none",
            true,
            "SELECT diag, COUNT(DISTINCT person) AS p, COUNT(*) AS n, SUM(age) AS s FROM dataset GROUP BY diag",
        ),
        declared(
            "one-of-none-declared",
            "SELECT diag, COUNT(*) AS n, SUM(income) AS s FROM dataset GROUP BY diag",
            "[['rare'], ['flu'], ['nobody has it']]",
        ),
        exact("one-of-few", true, "SELECT club, COUNT(DISTINCT person) AS p, SUM(age) AS s FROM dataset GROUP BY club"),
        declared("one-of-few-declared", "SELECT club, COUNT(*) AS n FROM dataset GROUP BY club", "[['few'], ['many']]"),
        exact(
            "counts-under-conditions",
            true,
            "SELECT COUNT(*) FILTER (WHERE diag = 'rare') AS r, COUNT(*) FILTER (WHERE diag = 'flu') AS f FROM dataset",
        ),
        exact(
            "people-under-conditions",
            true,
            "SELECT COUNT(DISTINCT person) FILTER (WHERE diag = 'rare') AS r, COUNT(DISTINCT person) FILTER (WHERE club = 'few') AS c, \
             COUNT(DISTINCT person) FILTER (WHERE diag = 'flu' OR diag = 'rare') AS a FROM dataset WHERE diag <> 'none'",
        ),
        exact(
            "a-difference-of-one",
            true,
            "SELECT COUNT(*) FILTER (WHERE diag <> 'cold') AS a, COUNT(*) FILTER (WHERE diag <> 'cold' AND diag <> 'rare') AS b FROM dataset",
        ),
        exact(
            "sums-under-conditions",
            true,
            "SELECT SUM(CASE WHEN diag = 'rare' THEN income ELSE 0 END) AS r, SUM(CASE WHEN club = 'few' THEN age ELSE 0 END) AS c FROM dataset",
        ),
        exact("one-alone-by-zip", true, "SELECT zip, COUNT(*) AS n FROM dataset WHERE diag = 'rare' GROUP BY zip"),
        exact("one-alone-by-nothing", true, "SELECT COUNT(*) AS n, SUM(income) AS s FROM dataset WHERE diag = 'rare'"),
        exact("one-of-few-alone", true, "SELECT COUNT(*) AS n, SUM(income) AS s FROM dataset WHERE club = 'few'"),
        exact("a-condition-as-a-key", true, "SELECT diag = 'rare' AS r, COUNT(*) AS n FROM dataset GROUP BY diag = 'rare'"),
        exact("two-keys", false, "SELECT diag, club, COUNT(*) AS n FROM dataset GROUP BY diag, club"),
        declared(
            "two-keys-declared",
            "SELECT diag, club, COUNT(*) AS n FROM dataset GROUP BY diag, club",
            "[['rare', 'few'], ['rare', 'many'], ['flu', 'few'], ['flu', 'many'], ['cold', 'few'], ['cold', 'many'], ['none', 'few'], ['none', 'many']]",
        ),
        declared(
            "conditions-in-a-group",
            "SELECT flag, COUNT(*) FILTER (WHERE diag = 'rare') AS r, COUNT(*) FILTER (WHERE club = 'few') AS c FROM dataset GROUP BY flag",
            "[[true], [false]]",
        ),
        exact("a-kind-more-than-256", true, &kinds("DISTINCT person")),
        exact("a-kind-more-than-256-of-rows", false, &kinds("*")),
        exact(
            "one-beside-nine-who-are-known",
            true,
            "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE income BETWEEN 21300 AND 21405 OR diag = 'rare') AS a, \
             COUNT(*) FILTER (WHERE income BETWEEN 21300 AND 21405) AS b FROM dataset",
        ),
        exact(
            "a-sum-that-one-of-a-small-kind-dominates",
            true,
            "SELECT COUNT(*) FILTER (WHERE diag = 'rare') AS r, SUM(CASE WHEN diag = 'rare' THEN income WHEN age = 20 THEN 2 END) AS s FROM dataset",
        ),
        exact("subtotals", false, "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY ROLLUP (diag)"),
        exact("a-mean", false, "SELECT AVG(age) AS a FROM dataset WHERE diag = 'rare'"),
    ]
}

/// Approves the one job that waits at `side`, beside all that have left there.
fn approve(neighbours: &Neighbours, side: &str) {
    let pending = neighbours.world.ok(side, &["pending", "--json"]);
    let waiting: Value = serde_json::from_str(pending.trim()).unwrap_or_else(|e| panic!("one job waits, {e}: {pending}"));
    let mut args = vec!["approve", waiting["job"].as_str().unwrap()];
    for other in waiting["beside"].as_array().unwrap() {
        args.extend(["--beside", other["job"].as_str().unwrap()]);
    }
    neighbours.world.ok(side, &args);
}

/// What tells the two apart by an exact result.
async fn difference(neighbours: &Neighbours, case: &Case) -> Option<String> {
    let (request, created) = (fresh_request().unwrap(), now());
    let again = Some((request.as_str(), created));
    let both = async || tokio::join!(neighbours.ask(case, 0, "people", again), neighbours.ask(case, 1, "people", again));
    let (mut with, mut without) = both().await;
    if matches!((&with, &without), (Outcome::Refused(a), Outcome::Refused(b)) if a == b && a.contains("waits for the owner")) {
        SIDES.iter().for_each(|side| approve(neighbours, side));
        (with, without) = both().await;
    }
    if let (Outcome::Answered(a), Outcome::Answered(b)) = (&with, &without)
        && without_ids(&a.text) != without_ids(&b.text)
    {
        return Some(format!("{} and {}", a.text, b.text));
    }
    let unexpected = with.is_not(case.answers).or(without.is_not(case.answers));
    judge(&[with], &[without]).filter(|found| !found.may_be_chance).map(|found| found.what).or(unexpected)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_exact_result_tells_who_is_one_of_few() {
    let town = Town::of(Rows::One, "4s", 2);
    let town = Town { policy: format!("{}{RULES}", town.policy), ..town };
    let (neighbours, nodes) = Neighbours::start(&town).await;
    let mut faults = vec![];
    for case in all() {
        if let Some(difference) = difference(&neighbours, &case).await {
            faults.push(format!("{}: {difference}", case.name));
        }
    }
    faults.extend(neighbours.failures());
    drop(nodes);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
