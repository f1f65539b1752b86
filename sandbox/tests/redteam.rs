//! Buyers who want one row: scripts of queries in `redteam/*.slt`, in sqllogictest's format.
//!
//! `statement error PATTERN` is refused by schema alone, with those words. `statement ok` is admitted, and then runs on a dataset of awkward people and on
//! the same without each of them: no row may make it fail, and no unit may move its sums by more than the noise is for (`common/neighbours.rs`).

use crate::common::neighbours::World;
use crate::common::queries;
use tidegate_fixtures::sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

struct Buyer<'a>(&'a World);

#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Refused {}

impl DB for Buyer<'_> {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, query: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        self.0.run(query).map(|sums| DBOutput::StatementComplete(sums.groups.len() as u64)).map_err(|e| Refused(e.to_string()))
    }
}

#[test]
fn no_script_gets_a_row() {
    let world = World::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redteam");
    let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 5, "{scripts:?}");
    let failed: Vec<String> = scripts
        .iter()
        .filter_map(|script| Runner::new(|| async { Ok(Buyer(&world)) }).run_file(script).err().map(|e| e.to_string()))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Queries by the thousand, of every shape: most are refused, and none that is admitted fails on a row or lets a unit weigh more than the noise is for.
/// `TIDEGATE_QUERIES` sets how many.
#[test]
fn no_generated_query_gets_a_row() {
    let world = World::new();
    let count: u32 = std::env::var("TIDEGATE_QUERIES").map_or(1500, |n| n.parse().unwrap());
    let (mut admitted, mut reasons) = (0, std::collections::BTreeMap::<String, u32>::new());
    for seed in 0..count {
        let mut bytes = [0; 256];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let query = queries::query(&mut queries::Choices::new(&bytes));
        match world.run(&query) {
            Ok(_) => admitted += 1,
            Err(refusal) => *reasons.entry(refusal.to_string().chars().take(60).collect()).or_default() += 1,
        }
    }
    assert!(admitted > count / 5, "only {admitted} of {count} queries say anything: {reasons:#?}");
}
