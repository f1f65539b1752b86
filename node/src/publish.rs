//! Publication: check, lay out, hash, sign, log.

use std::path::PathBuf;

use tidegate_catalog::{
    Store,
    dataset::{self, DatasetRecord},
};
use tidegate_protocol::{
    ContentHash, Identity, Sha256Digest, Signed, grant, limits,
    manifest::{Layout, Manifest},
    policy::PolicyFile,
    receipt::Predicate,
};

use crate::{NodeError, file_error, home::Home};

/// What to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Files or folders.
    pub files: Vec<PathBuf>,
    /// Name for people.
    pub name: String,
    /// The unit column; must be the policy's.
    pub unit: String,
    /// The policy, TOML.
    pub policy: PathBuf,
    /// Mock rows, Parquet.
    pub mock: Option<PathBuf>,
    /// Manifest id of the version this one follows: the budget is shared.
    pub version_of: Option<ContentHash>,
}

/// Publishes a dataset version; `progress` is told file name, bytes done and bytes in all.
///
/// # Errors
/// [`NodeError`]; nothing is published then.
pub fn publish(
    home: &Home,
    identity: &Identity,
    store: &Store,
    what: &Publication,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<dataset::Dataset, NodeError> {
    let text = std::fs::read_to_string(&what.policy).map_err(|e| file_error(&what.policy, e))?;
    let policy = PolicyFile::parse(&text)?.check(|epsilon, delta| tidegate_gate::rho_of(epsilon, delta).ok())?;
    if policy.unit.column != what.unit {
        return Err(NodeError::File(format!("--unit {} is not the policy's unit column {}", what.unit, policy.unit.column)));
    }
    if what.name.is_empty() || what.name.len() > limits::NAME_BYTES {
        return Err(NodeError::File(format!("--name must have 1 to {} bytes", limits::NAME_BYTES)));
    }
    let before = match what.version_of {
        None => None,
        Some(id) => Some(find(home, &id.to_string())?),
    };
    let all = dataset::load_all(&home.datasets())?;
    if before.is_none() && all.iter().any(|d| d.manifest.body().name == what.name) {
        return Err(NodeError::File(format!(
            "{:?} is published already: the same people under a fresh budget would be paid for twice. Publish a new version with --version-of ID",
            what.name
        )));
    }
    let files = dataset::expand(&what.files)?;
    let mut describe = |path: &PathBuf| {
        let total = std::fs::metadata(path).map_or(0, |m| m.len());
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        dataset::describe(path, |done| progress(&name, done, total))
    };
    let described = files.iter().map(&mut describe).collect::<Result<Vec<_>, _>>()?;
    let lineage = before.as_ref().map(|b| b.manifest.body().population);
    for other in all.iter().filter(|d| Some(d.manifest.body().population) != lineage) {
        if let Some(file) = described.iter().find(|f| other.manifest.body().files.iter().any(|o| o.hash == f.hash)) {
            return Err(NodeError::File(format!(
                "{} is part of {:?} already, whose budget protects the same people. Publish it with --version-of {}",
                file.name,
                other.manifest.body().name,
                other.manifest.id()
            )));
        }
    }
    // The first file's hash names the derived copy: content-addressed by what it was made of.
    let derived = home.datasets().join(format!("{}.clustered.parquet", described[0].hash));
    let profile = dataset::profile(&files, &policy, &derived)?;
    let derived = match profile.layout {
        Layout::AsPublished => vec![],
        Layout::Clustered => profile.compute.iter().map(&mut describe).collect::<Result<Vec<_>, _>>()?,
    };
    // Mock rows go through the same door: same columns, ordered by unit, so that a rehearsal runs as the job will.
    let mock = match &what.mock {
        None => None,
        Some(path) => {
            let files = dataset::expand(std::slice::from_ref(path))?;
            let hash = dataset::describe(&files[0], |_| {})?.hash;
            let derived = home.datasets().join(format!("{hash}.mock.parquet"));
            dataset::profile(&files, &policy, &derived)?.compute.into_iter().next()
        }
    };
    let mock_file = mock.as_ref().map(&mut describe).transpose()?;
    let policy = Signed::sign(policy, identity)?;
    let mut draft = Manifest {
        version: 1,
        name: what.name.clone(),
        population: ContentHash([0; 32]),
        previous: before.as_ref().map(|b| b.manifest.id()),
        files: described,
        derived,
        layout: profile.layout,
        schema: profile.schema,
        mock: mock_file,
        policy: policy.id(),
        grant_key: grant::public_key(identity).map_err(|e| NodeError::File(e.to_string()))?,
        published: jiff::Timestamp::now().to_string(),
    };
    draft.population = match &before {
        Some(before) => before.manifest.body().population,
        None => Signed::sign(draft.clone(), identity)?.id(),
    };
    let manifest = Signed::sign(draft, identity)?;
    let record = DatasetRecord {
        manifest: manifest.envelope().clone(),
        policy: policy.envelope().clone(),
        files,
        compute: profile.compute,
        mock,
    };
    store.log_publication(
        Sha256Digest::of(manifest.id().to_string().as_bytes()),
        Predicate::Publication {
            manifest: manifest.id(),
            policy: policy.id(),
            population: manifest.body().population,
            previous: manifest.body().previous,
            cap: policy.body().budget,
        },
    )?;
    dataset::save(&home.datasets(), manifest.id(), &record)?;
    Ok(dataset::Dataset::open(record)?)
}

/// The dataset of this name (its latest version) or manifest id.
///
/// # Errors
/// [`NodeError::File`] naming what is there.
pub fn find(home: &Home, name: &str) -> Result<dataset::Dataset, NodeError> {
    let all = dataset::load_all(&home.datasets())?;
    let known: Vec<_> = all.iter().map(|d| d.manifest.body().name.clone()).collect();
    all.into_iter()
        .rev()
        .find(|d| d.manifest.body().name == name || d.manifest.id().to_string() == name)
        .ok_or_else(|| NodeError::File(format!("no dataset {name:?} here. Published: {}", known.join(", "))))
}
