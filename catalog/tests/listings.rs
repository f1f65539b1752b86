//! The catalogue: what is signed, in time and within bounds is kept, found and told; nothing else is.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use tidegate_catalog::listings::{Catalogue, CatalogueError, Heard, croissant};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, Listing, MicroRho, Signed,
    cost::FemtoDelta,
    limits,
    listing::{About, LIFETIME, ListedColumn},
    policy::{Access, JobKind},
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn text(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap().to_string()
}

fn owner(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

/// A dataset of `name`, listed at `issued`.
fn listing(name: &str, issued: SystemTime) -> Listing {
    let id = ContentHash::of(name.as_bytes());
    let cost = |micro| Cost::dp(MicroRho(micro), FemtoDelta(0));
    Listing {
        version: 1,
        name: name.into(),
        about: About { description: format!("About {name}."), keywords: vec!["health".into()], license: "CC0-1.0".into() },
        manifest: id,
        population: id,
        published: text(issued),
        issued: text(issued),
        expires: text(issued + LIFETIME),
        unit: "person".into(),
        max_units: 100,
        max_rows: 2,
        columns: vec![
            ListedColumn { name: "heart_rate".into(), arrow: "Float64".into(), lo: Some(30.0), hi: Some(220.0) },
            ListedColumn { name: "city".into(), arrow: "Utf8".into(), lo: None, hi: None },
        ],
        kinds: vec![JobKind::Sql],
        budget: cost(1_000_000),
        per_buyer: cost(100_000),
        delta_femto: FemtoDelta(1),
        compute: Access::Granted,
        replicate: Access::Nobody,
        bytes: Some(10),
        mock: None,
        sockets: vec!["192.0.2.7:4433".into()],
        relay: None,
        mirrors: vec![],
        holders: vec![],
    }
}

fn signed(seed: u8, listing: Listing) -> Signed<Listing> {
    Signed::sign(listing, &owner(seed)).unwrap()
}

fn catalogue(dir: &tempfile::TempDir, name: &str) -> Catalogue {
    Catalogue::open(&dir.path().join(name), Heard::everybody(vec![])).unwrap()
}

fn names(found: &[tidegate_catalog::listings::Kept]) -> Vec<&str> {
    found.iter().map(|one| one.listing.name.as_str()).collect()
}

#[test]
fn the_latest_of_an_owner_s_population_counts_until_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let ours = catalogue(&dir, "ours");
    let (first, second) =
        (listing("towns", now()), Listing { bytes: Some(11), ..listing("towns", now() + Duration::from_secs(1)) });
    let later = now() + Duration::from_secs(2);
    assert_eq!(ours.take(&[signed(1, second.clone())], later).unwrap().0, 1);
    assert_eq!(ours.take(&[signed(1, first), signed(1, second.clone())], later).unwrap().0, 0, "an older one is no news");
    // Another's listing of the same population is another's.
    ours.take(&[signed(2, Listing { bytes: Some(12), ..second })], later).unwrap();
    assert_eq!(ours.len().unwrap(), 2);
    let bytes: BTreeSet<_> = ours.search("towns", later, 9).unwrap().iter().map(|one| one.listing.bytes).collect();
    assert_eq!(bytes, [Some(11), Some(12)].into());
    let over = now() + LIFETIME + Duration::from_secs(1);
    assert!(ours.search("towns", over, 9).unwrap().is_empty() && ours.of(&[], over).unwrap().is_empty());
    ours.expire(over).unwrap();
    assert!(ours.is_empty().unwrap());
    // What is kept is kept by the next that opens it.
    ours.take(&[signed(1, listing("towns", over))], over).unwrap();
    drop(ours);
    assert_eq!(names(&catalogue(&dir, "ours").search("", over, 9).unwrap()), ["towns"]);
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ours"), [7; 9000]).unwrap();
    let ours = catalogue(&dir, "ours");
    assert_eq!(ours.take(&[signed(1, listing("towns", now()))], now()).unwrap().0, 1);
}

#[test]
fn words_find_names_first_and_nothing_is_an_operator() {
    let dir = tempfile::tempdir().unwrap();
    let ours = catalogue(&dir, "ours");
    let mut named = listing("arrhythmia", now());
    named.about.description = "Rhythm, by person".into();
    let mut described = listing("visits", now());
    described.about.description = "Visits for arrhythmia and others; Zürich".into();
    ours.take(&[signed(1, described), signed(2, named), signed(3, listing("prices", now()))], now()).unwrap();
    let found =
        |words: &str| ours.search(words, now(), 9).unwrap().iter().map(|one| one.listing.name.clone()).collect::<Vec<_>>();
    assert_eq!(found("arrhythmia"), ["arrhythmia", "visits"]);
    assert_eq!(found("arrhy zuri"), ["visits"], "beginnings, all of them, without marks");
    assert_eq!(found("heart rate").len(), 3, "columns count");
    assert_eq!(found("arrhythmia prices"), Vec::<String>::new());
    for odd in ["\"", "a\" OR \"b", "*", "NOT", "name:visits", "'; DROP TABLE listings; --", "(", "\0"] {
        let _ = found(odd);
    }
    assert_eq!(ours.len().unwrap(), 3);
}

#[test]
fn what_is_forged_late_or_too_much_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let ours = catalogue(&dir, "ours");
    let good = signed(1, listing("towns", now()));
    assert!(ours.check(good.envelope().clone(), now()).is_ok());
    let mut forged = good.envelope().clone();
    forged.signatures[0].keyid = owner(2).id().did();
    assert!(matches!(ours.check(forged, now()), Err(CatalogueError::Document(_))));
    let field = |listing: Listing| match ours.check(signed(1, listing).envelope().clone(), now()) {
        Err(CatalogueError::Listing(e)) => e.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(listing("future", now() + Duration::from_secs(600))), "issued");
    assert_eq!(field(listing("past", now() - LIFETIME)), "expires");
    assert_eq!(field(listing("\u{202e}evil", now())), "name");
    let mut long = listing("long", now());
    long.columns = vec![long.columns[0].clone(); 2000];
    assert!(ours.check(Signed::sign_within(long, &owner(1), 1 << 20).unwrap().envelope().clone(), now()).is_err());
    // One owner has so many.
    let many: Vec<_> = (0..limits::LISTINGS_PER_OWNER + 3).map(|i| signed(1, listing(&format!("d{i}"), now()))).collect();
    let (new, refused) = ours.take(&many, now()).unwrap();
    assert_eq!(new, limits::LISTINGS_PER_OWNER as u64);
    assert!(matches!(refused, Some(CatalogueError::Quota(key)) if key == owner(1).id()));
    assert_eq!(ours.take(&[signed(2, listing("other", now()))], now()).unwrap().0, 1, "others are not held up");
    // Of those in an address book alone.
    let known =
        Catalogue::open(&dir.path().join("known"), Heard { only_known: true, ..Heard::everybody(vec![owner(2).id()]) }).unwrap();
    assert!(matches!(known.check(good.envelope().clone(), now()), Err(CatalogueError::NotHeard(_))));
    assert!(known.check(signed(2, listing("theirs", now())).envelope().clone(), now()).is_ok());
}

#[test]
fn a_catalogue_that_strangers_filled_has_room_for_those_who_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard { most: 3, ..Heard::everybody(vec![owner(1).id()]) };
    let ours = Catalogue::open(&dir.path().join("ours"), heard).unwrap();
    let later = |seconds| now() + Duration::from_secs(seconds);
    let strangers: Vec<_> = (2..7).map(|i: u8| signed(i, listing(&format!("d{i}"), later(u64::from(i))))).collect();
    let (new, refused) = ours.take(&strangers, later(60)).unwrap();
    assert!(new == 3 && matches!(refused, Some(CatalogueError::Full)), "{new} {refused:?}");
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(ours.take(&[signed(1, listing(name, later(i as u64)))], later(60)).unwrap().0, 1);
    }
    assert_eq!(names(&ours.search("", later(60), 9).unwrap()), ["c", "b", "a"]);
    assert!(matches!(ours.take(&[signed(1, listing("d", now()))], later(60)).unwrap(), (0, Some(CatalogueError::Full))));
    assert_eq!(
        ours.take(&[signed(1, listing("a", later(30)))], later(60)).unwrap().0,
        1,
        "what takes another's place needs none"
    );
}

/// Takes what `theirs` has and `ours` lacks; how many bytes the messages had.
fn reconcile(ours: &Catalogue, theirs: &Catalogue, now: SystemTime) -> (BTreeSet<ContentHash>, usize) {
    let (mut reconciliation, first) = ours.reconcile(now).unwrap();
    let (mut next, mut lacking, mut bytes) = (Some(first), BTreeSet::new(), 0);
    while let Some(message) = next {
        let reply = theirs.answer(&message, now).unwrap();
        bytes += message.len() + reply.len();
        let (more, following) = reconciliation.read(&reply).unwrap();
        lacking.extend(more);
        next = following;
    }
    (lacking, bytes)
}

#[test]
fn two_catalogues_come_together_with_little_said() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (catalogue(&dir, "ours"), catalogue(&dir, "theirs"));
    let all: Vec<_> = (0..3000u32)
        .map(|i| signed((i / 60) as u8 + 1, listing(&format!("d{i}"), now() + Duration::from_secs((i % 50).into()))))
        .collect();
    let later = now() + Duration::from_secs(60);
    let known: Vec<_> = all.iter().enumerate().filter(|(i, _)| i % 100 != 7).map(|(_, one)| one.clone()).collect();
    assert_eq!(theirs.take(&all, later).unwrap().0, 3000);
    assert_eq!(ours.take(&known, later).unwrap().0, 2970);
    let (lacking, bytes) = reconcile(&ours, &theirs, later);
    let wanted: BTreeSet<_> = all.iter().skip(7).step_by(100).map(Signed::id).collect();
    assert_eq!(lacking, wanted);
    assert!(bytes < 3000 * 32 / 2, "{bytes} bytes for {} ids of {}", lacking.len(), all.len());
    let read = |text: &String| ours.check(Envelope::from_canonical_unchecked(text.as_bytes()).unwrap(), later).unwrap();
    let came: Vec<_> = theirs.of(&lacking.into_iter().collect::<Vec<_>>(), later).unwrap().iter().map(read).collect();
    let (new, refused) = ours.take(&came, later).unwrap();
    assert!(new == 30 && refused.is_none(), "{new} {refused:?}");
    assert_eq!(reconcile(&ours, &theirs, later).0, BTreeSet::new());
    // Whoever knows nothing gets all of it.
    let fresh = catalogue(&dir, "fresh");
    assert_eq!(reconcile(&fresh, &theirs, later).0.len(), 3000);
    for junk in [&b""[..], b"\x61", b"\xff\xff", &[0x61; 5000], &[0; 200_000]] {
        let _ = theirs.answer(junk, later);
        let _ = ours.reconcile(later).unwrap().0.read(junk);
    }
}

#[test]
fn what_is_exported_is_taken_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let ours = catalogue(&dir, "ours");
    ours.take(&[signed(1, listing("towns", now()))], now()).unwrap();
    let exported = croissant::export(&ours.find("towns", now()).unwrap()).unwrap();
    assert_eq!(exported["recordSet"][0]["field"][0]["dataType"], "sc:Float");
    let envelope = croissant::import(&exported).unwrap();
    assert_eq!(catalogue(&dir, "theirs").check(envelope, now()).unwrap().body().name, "towns");
    assert!(croissant::import(&serde_json::json!({ "name": "towns" })).is_err());
    let about = croissant::about(&exported);
    assert_eq!(
        (about.description.as_str(), about.keywords.as_slice(), about.license.as_str()),
        ("About towns.", &["health".to_owned()][..], "CC0-1.0")
    );
}

/// Croissant files as others write them: of versions 0.8, 1.0 and 1.1, and with JSON-LD's other ways to say the same.
#[test]
fn whoever_wrote_a_croissant_its_words_are_found() {
    use serde_json::json;
    let of = |value: serde_json::Value| {
        let about = croissant::about(&value);
        (about.description, about.keywords, about.license)
    };
    let right = ("Rain by day.".to_owned(), vec!["rain".to_owned(), "towns".to_owned()], "https://example.org/by".to_owned());
    let list = json!(["rain", "towns"]);
    for value in [
        json!({ "description": "Rain by day.", "keywords": list, "license": "https://example.org/by" }),
        json!({ "description": "Rain by day.", "keywords": "rain, towns", "license": ["https://example.org/by", "other"] }),
        json!({ "sc:description": "Rain by day.", "sc:keywords": list, "sc:license": { "@id": "https://example.org/by" } }),
        json!({ "https://schema.org/description": [{ "@value": "Rain by day.", "@language": "en" }], "schema:keywords": [{ "@value": "rain" }, { "@value": "towns" }],
            "http://schema.org/license": { "@type": "sc:CreativeWork", "name": "by", "url": "https://example.org/by" } }),
        json!({ "description": { "fr": "Pluie.", "en": "Rain by day." }, "keywords": [{ "@type": "sc:DefinedTerm", "name": "rain" }, "towns"], "license": [{ "url": "https://example.org/by" }] }),
        json!({ "@graph": [{ "@type": "Person", "description": "who" },
            { "@type": ["sc:Dataset"], "description": "Rain by day.", "keywords": list, "license": "https://example.org/by" }] }),
    ] {
        assert_eq!(of(value.clone()), right, "{value}");
    }
    // A file with a distribution and record sets alone is a Croissant file too.
    for bare in [json!({ "@type": "sc:Dataset", "distribution": [], "recordSet": [] }), json!([]), json!({ "license": 3 })] {
        assert_eq!(of(bare), Default::default());
    }
    assert_eq!(of(json!({ "description": { "fr": "Pluie." } })).0, "Pluie.");
}
