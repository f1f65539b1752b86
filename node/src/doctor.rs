//! Examination of this machine: present and missing features, and remedies.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_catalog::dataset::load_all;
use tidegate_gpu_runner::{device, library};
use tidegate_lockdown::Standing;
use tidegate_protocol::{PeerId, device::Place};
use tidegate_sandbox::{sql, wasm};

use crate::{
    NodeError,
    home::Home,
    owner::pace::Pace,
    worker::{WorkerFailed, Workers},
};

/// Result of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Subject of the check.
    pub what: &'static str,
    /// Whether the subject is as it should be.
    pub well: bool,
    /// Whether a node cannot run without this.
    pub needed: bool,
    /// Finding, with the remedy if something is not well.
    pub seen: String,
}

/// Returns the parts of process confinement missing in this kernel, as a worker finds them, and how much each matters.
async fn missing() -> Vec<(&'static str, Need)> {
    let walls = Workers::default().walls().await.unwrap_or_else(|e| {
        tracing::error!("no worker: {e}");
        Standing::default()
    });
    lacking(walls)
}

/// Returns the parts of process confinement not in force, and how much each matters.
fn lacking(walls: Standing) -> Vec<(&'static str, Need)> {
    let all = [
        ("landlock", walls.landlock, Need::Wanted),
        ("system-call filter", walls.calls, Need::Wanted),
        ("no privileges", walls.no_privileges, Need::Wanted),
        ("resource limits", walls.rlimits, Need::Wanted),
        ("namespaces", walls.namespaces, Need::Welcome),
    ];
    all.into_iter().filter(|(_, stands, _)| !stands).map(|(name, _, need)| (name, need)).collect()
}

/// Importance of a part of the confinement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nobody should serve without this part.
    Wanted,
    /// Optional: the other parts do without it, and containers often lack it.
    Welcome,
}

/// Returns the parts of process confinement not in force that a node should not do without.
pub(crate) fn missing_walls(walls: Standing) -> Vec<&'static str> {
    lacking(walls).into_iter().filter(|(_, need)| *need == Need::Wanted).map(|(name, _)| name).collect()
}

/// Examines this machine: key, runtimes, speed, confinement and each dataset's slot.
pub async fn examine(home: &Home) -> Vec<Check> {
    let key = home.identity();
    let missing = missing().await;
    let wall = |what| {
        let lacks = missing.iter().find(|(name, _)| *name == what).map(|(_, need)| *need);
        let well = lacks.is_none();
        let seen = match lacks {
            None => "stands",
            Some(Need::Welcome) => {
                "not available here (often so in containers): workers run with the other parts of process confinement"
            }
            Some(Need::Wanted) => "missing in this kernel: `tidegate serve` needs --without-walls, and workers run without it",
        };
        Check { what, well, needed: false, seen: seen.into() }
    };
    let own = key.as_ref().map(|identity| identity.id()).ok();
    let mut checks = vec![
        Check {
            what: "key",
            well: key.is_ok(),
            needed: true,
            seen: key.map_or_else(|e| e.to_string(), |identity| identity.id().to_string()),
        },
        runtime().await,
        modes(home),
        gpu().await,
        queries().await,
        programs().await,
        wall("landlock"),
        wall("system-call filter"),
        wall("no privileges"),
        wall("resource limits"),
        wall("namespaces"),
    ];
    checks.extend(slots(home, own).await);
    checks
}

/// Checks for each of this owner's datasets whether its newest version can be read within its slot.
async fn slots(home: &Home, own: Option<PeerId>) -> Vec<Check> {
    let check = |name: &str, well, seen: String| Check { what: "slot", well, needed: false, seen: format!("{name}: {seen}") };
    let folder = home.datasets();
    let measured = tokio::task::spawn_blocking(move || {
        let mut newest = BTreeMap::new();
        for version in load_all(&folder).unwrap_or_default().into_iter().filter(|version| Some(version.manifest.signer()) == own)
        {
            newest.insert(version.manifest.body().population, version);
        }
        newest.into_values().map(|version| (version.manifest.body().name.clone(), Pace::of(&version))).collect::<Vec<_>>()
    });
    let one = |(name, pace): (String, Result<Pace, NodeError>)| match pace {
        Ok(pace) => check(&name, pace.fits(), pace.words()),
        Err(e) => check(&name, false, e.to_string()),
    };
    measured.await.unwrap_or_default().into_iter().map(one).collect()
}

/// Checks whether ONNX Runtime is installed and a job's runner can load it.
async fn runtime() -> Check {
    let check = |well, seen| Check { what: "ONNX Runtime", well, needed: false, seen };
    match library::find() {
        None => check(false, library::HOW_TO.to_owned()),
        Some(path) => {
            let (well, seen) = loaded(&path, Place::Cpu).await;
            check(well, if well { seen } else { format!("{seen}. {}", library::HOW_TO) })
        }
    }
}

/// Tries to load the library in a runner at `place`. Returns whether this worked, and the library's path, with the error if it
/// did not.
async fn loaded(path: &std::path::Path, place: Place) -> (bool, String) {
    match Workers::default().loads(place).await {
        Ok(()) => (true, path.display().to_string()),
        Err(WorkerFailed::Broken(why)) => (false, format!("{} cannot be loaded: {why}", path.display())),
        Err(e) => (false, format!("{} cannot be loaded: {e}", path.display())),
    }
}

/// Checks whether others may read this party's folder.
fn modes(home: &Home) -> Check {
    let (well, seen) = match home.open_to_others() {
        Ok(open) => match open.first() {
            None => (true, "no other user can read it".to_owned()),
            Some(first) => {
                let (number, first) = (open.len(), first.display());
                let fix = "`tidegate serve` removes that access when it starts, as `chmod -R go= ` does";
                (false, format!("other users can read {number} of its files and folders, the first of them {first}: {fix}"))
            }
        },
        Err(e) => (false, e.to_string()),
    };
    Check { what: "folder", well, needed: false, seen }
}

/// Measures how many query operations this machine does per second, for its slowest expression and values.
async fn queries() -> Check {
    let check = |well, seen: String| Check { what: "queries", well, needed: false, seen };
    let stated = tidegate_protocol::policy::QueryRules::default().work_per_ms as f64 / 1e3;
    let measured = tokio::task::spawn_blocking(|| sql::measure(1024, 3)).await;
    let Ok(Ok(measured)) = measured else { return check(false, "the measurement failed".into()) };
    let Some(least) = measured.iter().min_by(|a, b| a.mops().total_cmp(&b.mops())) else {
        return check(false, "nothing was measured".into());
    };
    let seen =
        format!("{:.0} million operations a second at least ({} of {} values)", least.mops(), least.expression, least.values);
    if least.mops() >= stated {
        return check(true, seen);
    }
    check(false, format!("{seen}: write `[sql] mops = {:.0}` in policies, whose default is {stated}", least.mops() / 1.5))
}

/// Measures the time of a unit of fuel for the kind of program at which this machine is slowest.
async fn programs() -> Check {
    let check = |well, seen: String| Check { what: "programs", well, needed: false, seen };
    let measured = match tokio::task::spawn_blocking(|| wasm::measure(false)).await {
        Ok(Ok(measured)) => measured,
        Ok(Err(e)) => return check(false, format!("WebAssembly does not run here: {e}")),
        Err(e) => return check(false, e.to_string()),
    };
    let Some(worst) = measured.iter().max_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds)) else {
        return check(false, "nothing was measured".into());
    };
    let seen =
        format!("at most {:.1} ns for each unit of fuel ({}); {:.0} is assumed", worst.nanoseconds, worst.what, wasm::UNIT);
    // A slot allows calls twice that time.
    if worst.nanoseconds <= 2.0 * wasm::UNIT {
        return check(true, seen);
    }
    check(
        false,
        format!(
            "{seen}: the rows of one person could make a program exceed its time budget here; remove \"wasm\" from `[jobs] kinds`"
        ),
    )
}

/// Checks for GPUs, and whether models can run on them.
async fn gpu() -> Check {
    let check = |well, seen: String| Check { what: "GPU", well, needed: false, seen };
    let gpus = device::gpus();
    let names = gpus.iter().map(|gpu| format!("cuda:{} {}", gpu.index, gpu.name)).collect::<Vec<_>>().join(", ");
    let path = match library::find_cuda() {
        _ if gpus.is_empty() => return check(true, "none here: models run on the CPU".into()),
        None => {
            return check(false, format!("{names}; no runtime for it: models run on the CPU. {}", library::HOW_TO_CUDA));
        }
        Some(path) => path,
    };
    for gpu in &gpus {
        let (well, seen) = loaded(&path, Place::Cuda { index: gpu.index, tf32: false }).await;
        if !well {
            return check(false, format!("{names}; cuda:{}: {seen}", gpu.index));
        }
    }
    check(true, format!("{names}; {}", path.display()))
}
