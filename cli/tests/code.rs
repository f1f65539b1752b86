//! Components are compiled once: the code is kept, and kept code that has changed is not run.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::common::World;

const JOB: &str = r#"
    rho = 0.01
    [wasm]
    module = "heavy.wasm"
    select = "SELECT spend FROM dataset"
    outputs = [
      { name = "mean", lo = 0, hi = 100, reducer = "mean", default = 0 },
      { name = "heavy", lo = 0, hi = 1, reducer = "mean", default = 0 },
    ]
"#;

fn kept(world: &World, who: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(world.path(who).join("code")).unwrap().map(|f| f.unwrap().path());
    files.filter(|f| f.file_name().unwrap() != "key").collect()
}

#[test]
fn code_is_kept_and_made_again_where_it_was_changed() {
    let world = World::new();
    fs::write(world.path("heavy.wasm"), tidegate_fixtures::guest("heavy").unwrap()).unwrap();
    let job = world.job("job.toml", JOB);
    let check = || world.ok("owner", &["check", &job]);
    let said = check();
    let files = kept(&world, "owner");
    assert_eq!(files.len(), 1, "{files:?}");
    let written = fs::read(&files[0]).unwrap();
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // Another's code, under this one's name.
    let mut other = written.clone();
    *other.last_mut().unwrap() ^= 1;
    for changed in [&other[..], &written[..100], b""] {
        fs::write(&files[0], changed).unwrap();
        assert_eq!(check(), said);
        assert_eq!(fs::read(&files[0]).unwrap(), written, "made again, the same");
    }
    // Made by another owner: its seal says nothing here.
    fs::write(world.path("owner").join("code/key"), [7; 32]).unwrap();
    assert_eq!(check(), said);
    assert_ne!(fs::read(&files[0]).unwrap(), written, "sealed anew");
    // Where nothing can be kept, the job is checked all the same.
    fs::remove_dir_all(world.path("owner").join("code")).unwrap();
    fs::write(world.path("owner").join("code"), "").unwrap();
    assert_eq!(check(), said);
}

/// What no compiler should be given is refused before one is.
#[test]
fn a_compile_bomb_is_refused() {
    let world = World::new();
    let bodies = "(func)".repeat(tidegate_protocol::limits::FUNCTIONS + 1);
    fs::write(world.path("heavy.wasm"), wat::parse_str(format!("(component (core module {bodies}))")).unwrap()).unwrap();
    let said = world.fails("owner", &["check", &world.job("job.toml", JOB)]);
    assert!(said.contains("functions"), "{said}");
}
