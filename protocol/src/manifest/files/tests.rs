use super::*;
use crate::policy::{FileRules, PolicyFile};

/// A policy that lets these copy the files.
fn policy(replicate: &str) -> Policy {
    let text = format!(
        r#"
        unit = {{ column = "person", max_units = 100, max_rows = 3, max_groups = 2 }}
        budget = {{ delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }}
        jobs = {{ kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }}
        access = {{ compute = "granted", replicate = "{replicate}" }}
        columns = {{ n = {{ lo = 0, hi = 1 }} }}
        "#
    );
    PolicyFile::parse(&text).unwrap().check(|e, _| Some(e)).unwrap()
}

fn key(policy: &Policy) -> Option<FileKey> {
    FileKey::fresh_for(policy).unwrap()
}

fn file(name: &str, bytes: &[u8]) -> DataFile {
    DataFile { name: name.into(), table: None, bytes: bytes.len() as u64, hash: ContentHash::of(bytes) }
}

fn content(last: &str) -> Content {
    let rows = |value: &str| format!("person,n\n1,1\n2,{value}\n");
    let published = vec![file("a.csv", rows("1").as_bytes()), file("b.csv", rows(last).as_bytes())];
    Content { published, layout: Layout::Clustered, derived: vec![file("c.parquet", format!("ordered {last}").as_bytes())] }
}

#[test]
fn the_policy_alone_decides_how_files_are_named() {
    let (closed, open) = (policy("nobody"), policy("granted"));
    assert!(key(&open).is_none());
    let secret = key(&closed);
    assert!(secret.is_some() && secret != key(&closed));
    let keyed = Files::commit(&content("0"), &closed, secret.as_ref()).unwrap();
    let plain = Files::commit(&content("0"), &open, None).unwrap();
    assert_eq!((keyed.plain(), plain.plain()), (None, Some(&content("0"))));
    for (policy, key) in [(&closed, None), (&open, secret.as_ref())] {
        assert_eq!(Files::commit(&content("0"), policy, key), Err(BadFiles::Key));
    }
    // As others read them: a plain hash is refused where nobody may copy.
    let read = |files: &Files| serde_json::from_value::<Files>(serde_json::to_value(files).unwrap()).unwrap();
    assert_eq!((read(&plain).check(&closed), read(&plain).check(&open)), (Err(BadFiles::Plain), Ok(())));
    assert_eq!((read(&keyed).check(&open), read(&keyed).check(&closed)), (Err(BadFiles::Keyed), Ok(())));
    let good = serde_json::to_value(&keyed).unwrap();
    let mut sized = good.clone();
    sized["keyed"]["published"][0]["bytes"] = serde_json::json!(content("0").published[0].bytes);
    assert!(serde_json::from_value::<Files>(sized).is_err(), "a size that nobody may see");
    let mut none = good.clone();
    none["keyed"]["published"] = serde_json::json!([]);
    assert_eq!(serde_json::from_value::<Files>(none).unwrap().check(&closed), Err(BadFiles::Count));
    let mut more = good;
    more["keyed"]["hash"] = serde_json::json!("00");
    assert!(serde_json::from_value::<Files>(more).is_err(), "a field that is not known");
}

/// Whoever has all but one value, and everything that is public, tries every value: with plain hashes that finds it, with keyed ones it does not.
#[test]
fn trying_values_finds_nothing_without_the_key() {
    let values: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let (closed, open, truth) = (policy("nobody"), policy("granted"), &values[37]);
    let (secret, guessed) = (key(&closed), key(&closed));
    let found = |public: &Files, by: Option<&FileKey>| {
        // By each hash and each size on its own, wherever it is in the manifest, by place and by the whole.
        let text = serde_json::to_string(public).unwrap();
        let fits = |value: &&String| {
            let guess = content(value);
            let last = guess.published.last().unwrap();
            public.are(&guess, by)
                || public.is(1, last, by)
                || guess.all().any(|f| f.hash != guess.published[0].hash && text.contains(&f.hash.to_string()))
        };
        values.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let plain = Files::commit(&content(truth), &open, None).unwrap();
    assert_eq!(found(&plain, None), std::slice::from_ref(truth), "the attack is one");
    let keyed = Files::commit(&content(truth), &closed, secret.as_ref()).unwrap();
    assert_eq!(found(&keyed, guessed.as_ref()), Vec::<String>::new());
    assert_eq!(found(&keyed, None), Vec::<String>::new());
    assert_eq!(found(&keyed, secret.as_ref()), std::slice::from_ref(truth), "who has the key sees whether it is the file");
    // All that is said of it is the same whatever the value, but for hashes that nobody without the key can make.
    let told = |value: &str| match Files::commit(&content(value), &closed, secret.as_ref()).unwrap() {
        Files::Keyed(keyed) => keyed.published.into_iter().map(|f| (f.name, f.table)).collect::<Vec<_>>(),
        Files::Plain(_) => panic!("plain"),
    };
    assert!(values.iter().all(|value| told(value) == told(truth)));
}

/// A manifest's form does not follow from sizes: neither for a byte more nor for a gigabyte more, with a bound or without one.
#[test]
fn a_size_is_in_no_manifest_of_files_that_nobody_may_copy() {
    let (closed, open) = (policy("nobody"), policy("granted"));
    let bounded = Policy { files: FileRules { max_bytes: Some(2 << 30) }, ..closed.clone() };
    let sized = |bytes: u64| {
        let mut sized = content("0");
        sized.published[0].bytes = bytes;
        sized.derived[0].bytes = bytes / 2;
        sized
    };
    let step = 1 << 20;
    let secret = key(&closed);
    for policy in [&closed, &bounded] {
        let named = |bytes| Files::commit(&sized(bytes), policy, secret.as_ref()).unwrap();
        let least = named(0);
        assert!([1, step - 1, step, step + 1, step * 9 / 8 + 1, 1 << 30].into_iter().all(|bytes| named(bytes) == least));
        assert_eq!(least.bytes(), None);
        assert!(least.published().all(|(_, _, bytes)| bytes.is_none()));
    }
    let plain = Files::commit(&sized(step), &open, None).unwrap();
    assert_eq!(plain.bytes(), Some(step + content("0").published[1].bytes));
    // Beyond the bound there is no manifest.
    assert!(Files::commit(&sized(2 << 30), &bounded, secret.as_ref()).is_ok());
    assert_eq!(Files::commit(&sized((2 << 30) + 1), &bounded, secret.as_ref()), Err(BadFiles::Size));
}

/// That two files are the same, or are what they were in an earlier version, would be a fact about their rows.
#[test]
fn the_same_file_is_named_otherwise_at_another_place_and_in_another_version() {
    let closed = policy("nobody");
    let (one, other) = (key(&closed), key(&closed));
    let same = Content {
        published: vec![file("a.csv", b"rows"), file("b.csv", b"rows")],
        layout: Layout::Clustered,
        derived: vec![file("c", b"c")],
    };
    let named = |key: &Option<FileKey>| match Files::commit(&same, &closed, key.as_ref()).unwrap() {
        Files::Keyed(keyed) => keyed,
        Files::Plain(_) => panic!("plain"),
    };
    let (first, second) = (named(&one), named(&other));
    assert_ne!(first.published[0].keyed_hash, first.published[1].keyed_hash);
    assert_ne!(first.published[0].keyed_hash, second.published[0].keyed_hash);
    assert_ne!(first.rows, second.rows);
    // Nor is it seen whether the rows lie in order as they were published.
    let ordered = Content { layout: Layout::AsPublished, derived: vec![], ..same.clone() };
    let ordered = Files::commit(&ordered, &closed, one.as_ref()).unwrap();
    let shape = |files: &Files| serde_json::to_string(files).unwrap().len();
    assert_eq!(shape(&ordered), shape(&Files::commit(&same, &closed, one.as_ref()).unwrap()));
    assert!(!ordered.are(&same, one.as_ref()));
}

#[test]
fn what_is_named_is_the_files_and_nothing_else() {
    for policy in [policy("nobody"), policy("granted")] {
        let key = key(&policy);
        let (key, good) = (key.as_ref(), content("0"));
        let named = Files::commit(&good, &policy, key).unwrap();
        assert!(named.are(&good, key));
        assert_eq!((named.count(), named.published().nth(1).unwrap().1), (2, "b.csv"));
        type Change = fn(&mut Content);
        let changes: [Change; 8] = [
            |c| c.published[0].hash.0[0] ^= 1,
            |c| c.published[1].name.push('x'),
            |c| c.published[1].table = Some("t".into()),
            |c| c.published.swap(0, 1),
            |c| drop(c.published.pop()),
            |c| c.published.push(file("d.csv", b"d")),
            |c| c.derived[0].hash.0[31] ^= 1,
            |c| c.layout = Layout::AsPublished,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = good.clone();
            change(&mut other);
            assert!(!named.are(&other, key), "change {number}");
        }
        // A size is named in plain manifests alone: the hash is of the whole file.
        let mut longer = good.clone();
        longer.published[0].bytes += 1;
        assert_eq!(named.are(&longer, key), named.plain().is_none());
        assert!(named.is(0, &good.published[0], key) && !named.is(1, &good.published[0], key));
        assert!(!named.is(2, &good.published[0], key));
    }
}

#[test]
fn a_key_is_not_shown_and_read_whole() {
    let key = key(&policy("nobody")).unwrap();
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<FileKey>(&text).unwrap(), key);
    assert!(!format!("{key:?}").contains(&text[1..9]));
    let said = serde_json::from_str::<FileKey>(&text.replacen('"', "\"0", 1)).unwrap_err().to_string();
    assert!(!said.contains(&text[1..9]), "{said}");
}
