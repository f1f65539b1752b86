//! What this machine has and lacks, and what to do about it.

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
    pace::Pace,
    worker::{WorkerFailed, Workers},
};

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

/// Names of the walls around workers that this kernel does not have, as a worker finds them, and whether a node should do without.
async fn missing() -> Vec<(&'static str, Need)> {
    let walls = Workers::default().walls().await.unwrap_or_else(|e| {
        tracing::error!("no worker: {e}");
        Standing::default()
    });
    let all = [
        ("landlock", walls.landlock, Need::Wanted),
        ("system-call filter", walls.calls, Need::Wanted),
        ("no privileges", walls.no_privileges, Need::Wanted),
        ("resource limits", walls.rlimits, Need::Wanted),
        ("namespaces", walls.namespaces, Need::Welcome),
    ];
    all.into_iter().filter(|(_, stands, _)| !stands).map(|(name, _, need)| (name, need)).collect()
}

/// How much a wall matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Without it nobody should serve.
    Wanted,
    /// The others do without it: containers often lack it.
    Welcome,
}

/// Names of the walls that a node should not do without, and this kernel does not have.
pub async fn missing_walls() -> Vec<&'static str> {
    missing().await.into_iter().filter(|(_, need)| *need == Need::Wanted).map(|(name, _)| name).collect()
}

/// Looks at key, runtime and walls.
pub async fn examine(home: &Home) -> Vec<Check> {
    let key = home.identity();
    let missing = missing().await;
    let wall = |what| {
        let lacks = missing.iter().find(|(name, _)| *name == what).map(|(_, need)| *need);
        let well = lacks.is_none();
        let seen = match lacks {
            None => "stands",
            Some(Need::Welcome) => "not here (containers often have none): workers run without, behind the other walls",
            Some(Need::Wanted) => "this kernel does not have it: `tidegate serve` needs --without-walls, and workers run without",
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

/// Of each of this owner's datasets: whether its newest version can be read within its slot.
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

/// Whether ONNX Runtime is there, and a job's runner can load it.
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

/// Whether a runner there loads the library, and the library's path, with why where it does not.
async fn loaded(path: &std::path::Path, place: Place) -> (bool, String) {
    match Workers::default().loads(place).await {
        Ok(()) => (true, path.display().to_string()),
        Err(WorkerFailed::Broken(why)) => (false, format!("{} cannot be loaded: {why}", path.display())),
        Err(e) => (false, format!("{} cannot be loaded: {e}", path.display())),
    }
}

/// Whether others may read what this party keeps.
fn modes(home: &Home) -> Check {
    let (well, seen) = match home.open_to_others() {
        Ok(open) => match open.first() {
            None => (true, "nobody else may look into it".to_owned()),
            Some(first) => {
                let (number, first) = (open.len(), first.display());
                let fix = "`tidegate serve` shuts them when it starts, as `chmod -R go= ` does";
                (false, format!("others may read {number} of its files and folders, {first} first: {fix}"))
            }
        },
        Err(e) => (false, e.to_string()),
    };
    Check { what: "folder", well, needed: false, seen }
}

/// How many operations of queries this machine does in a second, of the expression and the values that take it longest.
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
    check(
        false,
        format!("{seen}: write `[sql] mops = {:.0}`, {stated} is what policies say that say nothing", least.mops() / 1.5),
    )
}

/// How long a unit of fuel takes a program that does what this machine is slowest at.
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
        format!("{:.1} ns a unit of fuel at most ({}); it is taken to be {:.0}", worst.nanoseconds, worst.what, wasm::UNIT);
    // A slot has twice that for calls.
    if worst.nanoseconds <= 2.0 * wasm::UNIT {
        return check(true, seen);
    }
    check(false, format!("{seen}: a program may be late here because of one person; leave \"wasm\" out of `[jobs] kinds`"))
}

/// GPUs, and whether models can be run on them.
async fn gpu() -> Check {
    let check = |well, seen: String| Check { what: "GPU", well, needed: false, seen };
    let gpus = device::gpus();
    let names = gpus.iter().map(|gpu| format!("cuda:{} {}", gpu.index, gpu.name)).collect::<Vec<_>>().join(", ");
    let path = match library::find_cuda() {
        _ if gpus.is_empty() => return check(true, "none here: models run on the processor".into()),
        None => {
            return check(false, format!("{names}; no runtime for it: models run on the processor. {}", library::HOW_TO_CUDA));
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
