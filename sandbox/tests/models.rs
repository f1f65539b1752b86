//! Every verdict on a model against what the runtime does: rows are changed, taken away and put elsewhere, and others' numbers are looked at.

use std::collections::BTreeSet;

use tidegate_fixtures::models::cases::{self, Case, Expect};
use tidegate_sandbox::onnx::{Verdict, inspect, operators};

use crate::common::{
    meeting::{Runs, rows_meet},
    runtime::runtime,
};

#[test]
fn every_operator_has_a_case() {
    let covered: BTreeSet<String> =
        cases::all().into_iter().filter(|c| c.expect == Expect::Rows || c.expect == Expect::Mixes).flat_map(|c| c.of).collect();
    let name = |(domain, name): (&str, &str)| if domain.is_empty() { name.to_owned() } else { format!("ml:{name}") };
    let missing: Vec<String> = operators().map(name).filter(|name| !covered.contains(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn verdicts_are_what_they_should_be() {
    let wrong: Vec<String> = cases::all().iter().filter_map(|case| verdict(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn verdict(case: &Case) -> Result<(), String> {
    let seen = inspect(&case.graph.bytes());
    let said = seen.refused.as_ref().map(ToString::to_string).unwrap_or_default();
    let as_expected = match case.expect {
        Expect::Rows => seen.verdict == Verdict::RowIndependent,
        Expect::Mixes | Expect::Unproven => seen.verdict == Verdict::PerUnitOnly && seen.mixed_by.is_some(),
        Expect::Refused(words) => seen.verdict == Verdict::Reject && said.contains(words),
    };
    if as_expected {
        Ok(())
    } else {
        Err(format!("{}: {:?} expected, {:?} {said} {:?}", case.name, case.expect, seen.verdict, seen.mixed_by))
    }
}

/// What is proven holds of the runtime; what is called mixing is.
#[test]
fn verdicts_hold_of_the_runtime() {
    let Some(environment) = runtime() else { return };
    let mut wrong = vec![];
    for case in cases::all().iter().filter(|case| !matches!(case.expect, Expect::Refused(_))) {
        let (model, inputs) = (case.graph.bytes(), &case.graph.inputs);
        let meet = Runs::new(&environment, &case.name, &model, inputs).and_then(|mut runs| rows_meet(&mut runs));
        match (case.expect, meet) {
            (Expect::Rows | Expect::Unproven, Ok(false)) | (Expect::Mixes, Ok(true)) => {}
            // Of a case whose shape shows it: there are other numbers of rows.
            (Expect::Unproven, _) => {}
            (expect, Ok(meet)) => wrong.push(format!("{}: {expect:?}, rows meet: {meet}", case.name)),
            (_, Err(e)) => wrong.push(e),
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
