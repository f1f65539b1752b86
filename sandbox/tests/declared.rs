//! Declared keys beside undeclared ones: a group that a job declares has the sums that it has in the same query without declared keys, and no other group has any.

use std::collections::{BTreeMap, BTreeSet};

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

/// A key that is grouped by twice, by one name or by two, is one key; a key and a cast of it are two.
#[test]
fn a_key_twice_is_one_and_a_cast_of_it_another() {
    let world = World::new(tables::table(3), tables::COLUMNS);
    let once = by_key(&world, "SELECT visits, COUNT(*) AS n FROM dataset GROUP BY visits", None).unwrap();
    assert!(once.len() > 2, "{}", once.len());
    let declared: Vec<Vec<Key>> = once.values().map(|(key, ..)| key.clone()).collect();
    for text in [
        "SELECT visits, visits AS again, COUNT(*) AS n FROM dataset GROUP BY visits, again",
        "SELECT visits, COUNT(*) AS n FROM dataset GROUP BY 1, 1",
        "SELECT COUNT(*) AS n, visits FROM dataset GROUP BY visits, visits, visits",
        "SELECT visits AS a, visits AS b, COUNT(*) AS n FROM dataset GROUP BY a, b",
        "SELECT visits, COUNT(*) AS n FROM dataset GROUP BY visits, visits HAVING COUNT(*) > 1 ORDER BY visits",
    ] {
        assert_eq!(world.admitted(text, None).unwrap().keys, 1, "{text}");
        for keys in [None, Some(declared.as_slice())] {
            let found = by_key(&world, text, keys).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(found, once, "{text}");
        }
        let two: Vec<Vec<Key>> = declared.iter().map(|key| [key.clone(), key.clone()].concat()).collect();
        let refused = by_key(&world, text, Some(&two)).unwrap_err();
        assert!(refused.contains("has 2 values for 1 keys") && refused.contains("twice is one"), "{text}: {refused}");
    }
    // The second key follows from the first: the groups are the same, by keys of two values.
    for text in [
        "SELECT spend, CAST(spend AS INT) AS whole, COUNT(*) AS n FROM dataset GROUP BY spend, CAST(spend AS INT)",
        "SELECT spend, CAST(spend AS INT) AS whole, COUNT(*) AS n FROM dataset GROUP BY spend, whole",
        "SELECT spend, CAST(spend AS INT), COUNT(*) AS n FROM dataset GROUP BY 1, 2",
        "SELECT COUNT(*) AS n FROM dataset GROUP BY spend, CAST(spend AS INT)",
        "SELECT spend + 1 AS a, CAST(spend AS INT) + 1 AS b, COUNT(*) AS n FROM dataset GROUP BY a, b",
    ] {
        let admitted = world.admitted(text, None).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(admitted.keys, 2, "{text}");
        assert_ne!(admitted.shape.key_names[0], admitted.shape.key_names[1], "{text}");
        let found = by_key(&world, text, None).unwrap();
        let firsts: BTreeSet<String> = found.values().map(|(key, ..)| format!("{:?}", key[0])).collect();
        assert!(found.len() > 2 && firsts.len() == found.len(), "{text}");
        let declared: Vec<Vec<Key>> = found.values().map(|(key, ..)| key.clone()).collect();
        assert_eq!(by_key(&world, text, Some(&declared)).unwrap_or_else(|e| panic!("{text}: {e}")), found, "{text}");
    }
    for (text, what) in [
        ("SELECT city, COUNT(*) AS n FROM dataset GROUP BY ROLLUP(city, city)", "two columns are called city"),
        ("SELECT city, COUNT(*) AS n FROM dataset GROUP BY GROUPING SETS ((city), (city))", "(city) is there twice"),
    ] {
        let refused = by_key(&world, text, None).unwrap_err();
        assert!(refused.contains(what) && refused.contains("once"), "{text}: {refused}");
    }
}
