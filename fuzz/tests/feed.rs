//! Each module is fed its seeds, pieces of what it would like, and bytes of all kinds.

use tidegate_fuzz::{blobs, components, documents, gate, listings, models, notes, queries, rows, sql, tables, tokens};

/// Bytes that are the same in every run.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn feed(name: &str, run: fn(&[u8]), likes: &[&[u8]]) {
    let folder = format!("{}/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    let seeds = std::fs::read_dir(folder).into_iter().flatten().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    for mut input in seeds.chain(likes.iter().map(|like| like.to_vec())) {
        run(&input);
        run(&input[..input.len() / 2]);
        if let Some(byte) = input.last_mut() {
            *byte ^= 0x55;
        }
        run(&input);
    }
    (0..40).for_each(|seed| run(&bytes(seed, seed as usize * 7)));
}

#[test]
fn the_seed_of_listings_is_a_listing() {
    let seed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/listings/towns.json")).unwrap();
    let listing: tidegate_protocol::Listing = serde_json::from_slice(&seed).unwrap();
    listing.check(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600)).unwrap();
}

#[test]
fn every_module_takes_whatever_comes() {
    feed("blobs", blobs::run, &[blobs::right()]);
    feed("components", components::run, &[b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0"]);
    feed("documents", documents::run, &[b"{\"payload\":\"e30=\",\"payloadType\":\"a\",\"signatures\":[]}"]);
    feed("gate", |bytes| _ = gate::run(bytes), &[&[0; 60], &[255; 60]]);
    feed("listings", listings::run, &[b"{\"tidegate:listing\":\"{}\"}", b"\x61\x00\x00\x02\x00"]);
    feed("models", models::run, &[b"\x08\x08\x12\x00\x3a\x04\x0a\x02\x0a\x00"]);
    feed("notes", notes::run, &[b"origin\n1\nAAAA\n\n\xe2\x80\x94 a b\n", &[0; 64]]);
    feed("queries", queries::run, &[&[0; 40], &[255; 40]]);
    feed("rows", |bytes| _ = rows::run(bytes), &[&[0, 30, 60, 5, 7, 10], &[12, 3, 5, 12], &[13, 39, 65, 14]]);
    feed("sql", sql::run, &[b"SELECT count(*) FROM dataset", b"SELECT t, avg(x) FROM dataset GROUP BY t"]);
    feed("tables", tables::run, &[b"ARROW1", b"\xff\xff\xff\xff\x00\x00\x00\x10"]);
    feed("tokens", tokens::run, &[b"did:key:z6Mk", b"En0KEw", &tokens::right()]);
}

/// A block that narrowing made is taken; changed anywhere, it gives no more, if it is one still.
#[test]
fn no_block_gives_more_than_the_grant() {
    let mut block = tokens::right();
    assert!(tokens::append(&block));
    let mut taken = 0;
    for at in 0..block.len() {
        block[at] ^= 1;
        taken += usize::from(tokens::append(&block));
        block[at] ^= 1;
        tokens::append(&block[..at]);
    }
    // Another number, or another name of a variable.
    assert!(taken < 12, "{taken} of {} changes are blocks still", block.len());
}

#[test]
fn a_right_answer_is_taken_and_none_that_is_changed() {
    let mut answer = blobs::right().to_vec();
    assert_eq!(blobs::take(&answer), 3);
    for at in (0..answer.len()).step_by(37) {
        answer[at] ^= 1;
        assert!(blobs::take(&answer) < 3, "{at}");
        assert!(blobs::take(&answer[..at]) < 3, "{at}");
        answer[at] ^= 1;
    }
}

/// Some of what is fuzzed as row functions is proven, most is a near miss, and no proof is wrong.
#[test]
fn proofs_of_row_functions_hold() {
    let proven = (0..600).filter(|seed| rows::run(&bytes(*seed, 2 + *seed as usize % 5))).count();
    assert!((50..550).contains(&proven), "{proven} of 600 are proven");
}

/// Models that try something, whole and cut off.
#[test]
fn hostile_models_are_refused_or_understood() {
    for file in std::fs::read_dir(tidegate_fixtures::path("models/hostile")).unwrap() {
        let model = std::fs::read(file.unwrap().path()).unwrap();
        models::run(&model);
        (1..8).for_each(|eighths| models::look(&model[..model.len() * eighths / 8]));
    }
}

/// Models of every operator, with a byte changed here and there, and cut off.
#[test]
fn damaged_models_are_refused_or_understood() {
    for (i, case) in tidegate_fixtures::models::cases::all().into_iter().enumerate() {
        let model = case.graph.bytes();
        models::look(&model);
        let places = bytes(i as u64, 160);
        for (n, pair) in places.chunks_exact(2).enumerate() {
            let at = (usize::from(pair[0]) * 256 + n * 37) % model.len();
            let mut damaged = model.clone();
            damaged[at] ^= pair[1] | 1;
            models::look(&damaged);
            models::look(&model[..at]);
            damaged.drain(at..(at + 3).min(damaged.len()));
            models::look(&damaged);
        }
    }
}

/// Bytes of which every eighth or so is an end of a float's range, so that many are plans.
#[test]
fn no_plan_lets_a_row_or_unit_add_more_than_its_noise_is_for() {
    let floats = [0.0, -0.0, 1.0, -1.0, 100.0, 5e-324, f64::MAX, f64::NAN, f64::INFINITY, 1e12, -1e-12, 1.0 + f64::EPSILON];
    let plans = (0..40_000u64).filter(|seed| {
        let mut input = bytes(*seed, 300);
        for at in (0..290).step_by(3).filter(|at| (at * 7 + *seed as usize).is_multiple_of(5)) {
            input[at..at + 8].copy_from_slice(&floats[(at + *seed as usize) % floats.len()].to_le_bytes());
        }
        gate::run(&input)
    });
    let plans = plans.count();
    assert!(plans > 300, "{plans}");
}
