//! Declared keys beside undeclared ones: a group that a job declares has the sums that it has in the same query without declared keys, and no other group has any.

use std::collections::BTreeMap;

use tidegate_gate::Plan;
use tidegate_protocol::job::Key;

use crate::{
    common::{
        queries::{Choices, query},
        tables::{self, Dice},
    },
    differential::{NAMES, World},
};

/// Of each group its key, its units and its sums.
type Groups = BTreeMap<String, (Vec<Key>, i64, Vec<i128>)>;

/// A group's sums by its key, in a form in which keys can be sorted.
fn by_key(world: &World, text: &str, keys: Option<&[Vec<Key>]>) -> Result<Groups, String> {
    let admitted = world.admitted(text, keys)?;
    let plan = Plan::new(admitted.shape.clone()).unwrap();
    let groups = world.groups(&admitted, &plan, text).into_iter();
    Ok(groups.map(|group| (format!("{:?}", group.key), (group.key, group.units, group.lanes))).collect())
}

#[test]
fn groups_that_are_declared_have_the_sums_that_they_have_undeclared() {
    let worlds: Vec<World> = (0..16).map(|seed| World::new(tables::table(seed), tables::COLUMNS)).collect();
    let (mut compared, mut groups, mut refused) = (0, 0, Vec::new());
    for seed in 0..3000 {
        let bytes: [u8; 256] = Dice::new("declared", seed).bytes();
        let text = query(&mut Choices::of_names(&bytes, &NAMES));
        if !text.contains("GROUP BY") || text.contains("ROLLUP") || text.contains("SETS") {
            continue;
        }
        // One key twice has one name, and `keys` go by names.
        let mut keys = text.rsplit("GROUP BY ").next().unwrap_or_default().split([' ', ',']).filter(|word| !word.is_empty());
        if keys.next().is_some_and(|first| keys.next() == Some(first)) {
            continue;
        }
        let world = &worlds[seed as usize % worlds.len()];
        let Ok(all) = by_key(world, &text, None) else { continue };
        // Every second one, the last first: their order in the job is the result's and nothing else.
        let declared: Vec<Vec<Key>> = all.values().rev().step_by(2).map(|(key, ..)| key.clone()).collect();
        if declared.is_empty() || declared[0].is_empty() {
            continue;
        }
        let found = match by_key(world, &text, Some(&declared)) {
            Ok(found) => found,
            Err(e) => {
                refused.push(format!("{seed}: {text}\n    {declared:?}: {e}"));
                continue;
            }
        };
        let expected: BTreeMap<_, _> = all.into_iter().filter(|(_, (key, ..))| declared.contains(key)).collect();
        let lanes = |all: &Groups| all.values().map(|(.., lanes)| lanes.len()).max();
        // With fewer groups a percentile may have finer bins: then the bins together are the same.
        let finer = lanes(&found).zip(lanes(&expected)).is_some_and(|(a, b)| a != b);
        let [found, expected] = [found, expected].map(|mut all| {
            all.values_mut().filter(|_| finer).for_each(|(.., lanes)| *lanes = vec![lanes.iter().sum()]);
            all
        });
        assert_eq!(found, expected, "{seed}: {text}");
        compared += 1;
        groups += expected.len();
    }
    println!("{compared} queries, {groups} groups; refused with declared keys: {}", refused.join("\n"));
    assert!(compared > 200 && refused.is_empty(), "{compared} compared; refused:\n{}", refused.join("\n"));
}
