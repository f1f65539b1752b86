//! Encrypted files that are kept: what was encrypted once opens for good, here and with age's own tool (`interop/run.py`). `UPDATE_VECTORS=1` writes them anew.

use std::path::{Path, PathBuf};

use tidegate_catalog::sealed::{Keys, Padding, open, seal};
use tidegate_protocol::{ContentHash, Identity};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sealed")
}

fn party() -> Identity {
    Identity::from_seed([7; 32])
}

/// Longer than one of age's chunks.
fn rows() -> Vec<u8> {
    let rows: String = (0..10_000).map(|person| format!("{person},{}\n", person % 50)).collect();
    format!("person,spend\n{rows}").into_bytes()
}

fn make() {
    let keys = Keys::generate().renewed();
    let mut sealed = Vec::new();
    seal(&keys, &mut &*rows(), Padding::Rounded, &mut sealed, &mut |_| {}).unwrap();
    std::fs::create_dir_all(folder()).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder().join(name), bytes).unwrap();
    write("keys", keys.to_text().as_bytes());
    write("rows.csv.age", &sealed);
    write("wrapped", keys.wrap(&party().id()).unwrap().as_bytes());
    write("rows.csv.blake3", format!("{}\n", ContentHash::of(&rows())).as_bytes());
}

#[test]
fn what_was_encrypted_once_opens() {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        make();
    }
    let read = |name: &str| std::fs::read(folder().join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    let keys = Keys::unwrap(&text("wrapped"), &party()).unwrap();
    assert_eq!(keys.to_text(), text("keys"));
    let mut opened = Vec::new();
    let file = open(&keys, &*read("rows.csv.age"), &mut opened, rows().len() as u64, &mut |_| {}).unwrap();
    assert!(opened == rows());
    assert_eq!(format!("{}\n", file.hash), text("rows.csv.blake3"));
}
