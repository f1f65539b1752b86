//! What this machine has and lacks, and what to do about it.

use serde::Serialize;
use tidegate_gpu_runner::library;

use crate::home::Home;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub well: bool,
    /// Whether a node cannot do without it.
    pub needed: bool,
    /// What was seen, and what to do where it is not well.
    pub seen: String,
}

/// Names of the walls around workers that this kernel does not have.
pub fn missing_walls() -> Vec<&'static str> {
    let walls = tidegate_lockdown::probe();
    let all = [("landlock", walls.landlock), ("system-call filter", walls.calls), ("no new privileges", walls.no_new_privileges)];
    all.into_iter().filter(|(_, stands)| !stands).map(|(name, _)| name).collect()
}

/// Looks at key, runtime and walls.
pub fn examine(home: &Home) -> Vec<Check> {
    let key = home.identity();
    let runtime = library::find();
    let missing = missing_walls();
    let wall = |what| {
        let well = !missing.contains(&what);
        let seen = if well {
            "stands"
        } else {
            "this kernel does not have it: `tidegate serve` needs --without-walls, and workers run without"
        };
        Check { what, well, needed: false, seen: seen.into() }
    };
    vec![
        Check {
            what: "key",
            well: key.is_ok(),
            needed: true,
            seen: key.map_or_else(|e| e.to_string(), |identity| identity.id().to_string()),
        },
        Check {
            what: "ONNX Runtime",
            well: runtime.is_some(),
            needed: false,
            seen: runtime.map_or_else(|| library::HOW_TO.to_owned(), |path| path.display().to_string()),
        },
        wall("landlock"),
        wall("system-call filter"),
        wall("no new privileges"),
    ]
}
