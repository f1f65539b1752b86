//! Models that try something, and models that only look like it (`fixtures/models/hostile`, by `make_hostile_models.py`): each has the verdict that it must.

use std::collections::BTreeSet;

use tidegate_fixtures::models::elem;
use tidegate_sandbox::onnx::{Verdict, inspect};

use crate::common::{
    meeting::{Runs, rows_meet},
    runtime::runtime,
};

struct Trying {
    name: String,
    verdict: Verdict,
    word: String,
    tries: String,
    bytes: Vec<u8>,
}

fn all() -> Vec<Trying> {
    let folder = tidegate_fixtures::path("models/hostile");
    let verdicts = std::fs::read_to_string(folder.join("verdicts.tsv")).unwrap();
    let one = |line: &str| {
        let [name, verdict, word, tries] = line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        let verdict = match verdict.as_str() {
            "reject" => Verdict::Reject,
            "per-unit-only" => Verdict::PerUnitOnly,
            _ => Verdict::RowIndependent,
        };
        let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        Trying { name, verdict, word, tries, bytes }
    };
    verdicts.lines().map(one).collect()
}

/// In the runtime, rows meet in those that are said to mix, and in no others.
#[test]
fn each_verdict_holds_of_the_runtime() {
    let Some(environment) = runtime() else { return };
    let mut wrong = vec![];
    for one in all().iter().filter(|one| one.verdict != Verdict::Reject) {
        // As `inspect` has it: `x F32 [rows, 4]`.
        let shape = inspect(&one.bytes).inputs[0].split_once('[').unwrap().1.trim_end_matches(']').replace(' ', "");
        let inputs = [("x".to_owned(), elem::F32, shape)];
        let meet = Runs::new(&environment, &one.name, &one.bytes, &inputs).and_then(|mut runs| rows_meet(&mut runs));
        if meet != Ok(one.verdict == Verdict::PerUnitOnly) {
            wrong.push(format!("{}: {:?}, rows meet: {meet:?}", one.name, one.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_has_its_verdict() {
    let (mut wrong, mut seen) = (vec![], BTreeSet::new());
    for Trying { name, verdict: wanted, word, tries, bytes } in all() {
        seen.insert(format!("{name}.onnx"));
        let found = inspect(&bytes);
        let why = found.refused.as_ref().map(ToString::to_string).or(found.mixed_by.clone()).unwrap_or_default();
        if found.verdict != wanted || !why.contains(&word) {
            wrong.push(format!("{name} ({tries}): {:?}, {why}", found.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let files = std::fs::read_dir(tidegate_fixtures::path("models/hostile"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|name| name.ends_with(".onnx")).collect::<BTreeSet<_>>(), seen, "each is listed");
    assert!(seen.len() > 100);
}
