//! Publication: import, check, lay out, sign, log.

use std::path::PathBuf;

use tidegate_catalog::dataset::{self, DatasetRecord, Phase, Stamp, TableFiles};
use tidegate_exchange::blobs::Served;
use tidegate_ledger::Store;
use tidegate_protocol::{
    ContentHash, Identity, Signed, grant, limits,
    listing::About,
    manifest::{self, ColumnType, Content, DataFile, FileKey, Files, Layout, Manifest},
    policy::{Access, Answering, Policy, PolicyFile},
    receipt::{Predicate, entry::Change},
    shown::{is_plain, plain},
};

use crate::{
    NodeError, bad_path,
    error::{NoSuchDataset, PublishError},
    file_error,
    home::Home,
    ids,
    owner::witnesses::{is_own, quorum},
};

mod again;

use crate::owner::publish::again::{SAME_PEOPLE, is_ended, not_published, same_people};

/// A dataset version to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Files or folders; `TABLE=PATH` if there are several tables.
    pub files: Vec<PathBuf>,
    /// Name shown to people.
    pub name: String,
    /// Column of the privacy unit; must be the policy's.
    pub unit: String,
    /// Path of the policy, TOML.
    pub policy: PathBuf,
    /// Mock rows; `TABLE=PATH` if there are several tables.
    pub mock: Vec<PathBuf>,
    /// Manifest id of the preceding version, with which the budget is shared.
    pub version_of: Option<ContentHash>,
    /// Description for people.
    pub about: About,
}

/// Progress of a publication.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Hashing a file.
    Hashing {
        /// Name of the file.
        file: String,
        /// Bytes done.
        done: u64,
        /// Total number of bytes.
        total: u64,
    },
    /// Reading the rows and checking their order.
    Checking {
        /// Rows done.
        rows: u64,
    },
    /// Writing a copy ordered by unit.
    Ordering {
        /// Rows done.
        rows: u64,
    },
    /// A note on how the files were interpreted, or what was assumed of them.
    Noted {
        /// Text of the note.
        words: String,
    },
}

/// Receiver of progress.
pub type Report = Box<dyn FnMut(Progress) + Send>;

/// Publishes a dataset version. Its files stay where they are.
///
/// `served` refers to the files that may be copied; nobody may fetch them yet.
///
/// # Errors
/// [`NodeError`]; nothing is published then.
pub async fn publish(
    home: &Home,
    identity: &Identity,
    store: &Store,
    served: &Served,
    what: &Publication,
    mut report: Report,
) -> Result<dataset::Dataset, NodeError> {
    let text =
        std::fs::read_to_string(&what.policy).map_err(|source| PublishError::PolicyFile { path: what.policy.clone(), source })?;
    let policy = PolicyFile::parse(&text)?.check(|epsilon, delta| tidegate_gate::rho_of(epsilon, delta).ok())?;
    if policy.unit.column != what.unit {
        return Err(PublishError::Unit { unit: what.unit.clone(), policy: policy.unit.column.clone() }.into());
    }
    if let Some(rule) = &policy.witnesses {
        quorum(rule)?;
        if is_own(rule, &identity.id()) {
            return Err(PublishError::OwnWitness.into());
        }
    }
    if what.name.is_empty() || what.name.len() > limits::NAME_BYTES {
        let why = format!("must have 1 to {} bytes", limits::NAME_BYTES);
        return Err(NodeError::BadInput { field: "--name".into(), why });
    }
    shown("--name", &what.name)?;
    what.about.check().map_err(|e| PublishError::About(e.into()))?;
    let all = dataset::load_all(&home.datasets())?;
    // Whichever version was named, the new one follows the newest, and replaces that one's policy.
    let before = match what.version_of {
        None => None,
        Some(id) => {
            let population = find(home, &id.to_string())?.manifest.body().population;
            all.iter().rev().find(|d| d.manifest.body().population == population).cloned()
        }
    };
    if let Some(before) = &before
        && is_ended(store, before)?
    {
        return Err(PublishError::Retired { name: before.manifest.body().name.clone() }.into());
    }
    if let Some(other) = all.iter().rev().find(|d| before.is_none() && d.manifest.body().name == what.name) {
        let name = what.name.clone();
        return Err(match is_ended(store, other)? {
            true => PublishError::NameRetired { name },
            false => PublishError::NameTaken { name, id: other.manifest.id() },
        }
        .into());
    }
    if let Some(population) = before.as_ref().map(|before| before.manifest.body().population) {
        let known: Vec<_> = all.iter().filter(|d| d.manifest.body().population == population).map(|d| d.manifest.id()).collect();
        if let Answering::These(named) = &policy.versions
            && let Some(unknown) = named.iter().find(|id| !known.contains(id))
        {
            return Err(PublishError::NoSuchVersion { id: *unknown }.into());
        }
    }
    if before.as_ref().is_some_and(|before| before.policy.body().parties != policy.parties) {
        return Err(PublishError::Parties.into());
    }
    let tables = dataset::tables(&what.files, &policy)?;
    // Files that nobody may copy need not be prepared for serving: their hashes are enough.
    let copied = Some(served).filter(|_| policy.replicate == Access::Granted);
    let joined = policy.tables.is_empty() && !dataset::fit_a_manifest(&tables);
    let mut described = import_tables(copied.filter(|_| !joined), &tables, &mut report).await?;
    if !joined {
        within_bound(&described, &policy)?;
    }
    let lineage = before.as_ref().map(|b| b.manifest.body().population);
    not_published(&all, &described, lineage, (identity, store))?;
    let (mut profile, mut report) = lay_out(home, &tables, &described, &policy, ("clustered", None), report).await?;
    let mut lying: Vec<PathBuf> = tables.into_iter().flat_map(|t| t.files).collect();
    if joined {
        let words = format!(
            "{} files exceed the limit of a manifest: they are published as one file, with the columns of the privacy unit and the policy",
            lying.len()
        );
        report(Progress::Noted { words });
        // Not under the file's own name, which follows from the rows.
        let one = import_all(copied, &profile.compute, &mut report).await?;
        described = one.into_iter().map(|file| DataFile { name: JOINED.to_owned(), ..file }).collect();
        within_bound(&described, &policy)?;
        (lying, profile.layout) = (profile.compute.clone(), Layout::AsPublished);
    }
    not_published(&all, &described, lineage, (identity, store))?;
    profile.schema.iter().try_for_each(|column| shown("column", &column.name))?;
    for other in all.iter().filter(|d| Some(d.manifest.body().population) != lineage && d.manifest.signer() == identity.id()) {
        let share = other.record.people.as_ref().map_or(0, |people| people.in_common(&profile.people));
        if share >= SAME_PEOPLE {
            report(Progress::Noted { words: same_people(share, other) });
        }
    }
    let derived = match profile.layout {
        Layout::AsPublished => vec![],
        Layout::Clustered => import_all(None, &profile.compute, &mut report).await?,
    };
    // Mock rows are laid out in the same way (same columns, ordered by unit), so that a rehearsal runs as the job will.
    let (mut mock, mut mock_file) = (None, None);
    if !what.mock.is_empty() {
        let tables = dataset::tables(&what.mock, &policy).map_err(|e| PublishError::Mock(e.into()))?;
        let published = import_tables(None, &tables, &mut report).await?;
        let like = ("mock", Some(profile.schema.as_slice()));
        let laid = lay_out(home, &tables, &published, &policy, like, report).await;
        let (profile, mut report) = laid.map_err(|e| PublishError::Mock(e.into()))?;
        let [file] = profile.compute.as_slice() else {
            return Err(PublishError::MockFiles.into());
        };
        mock_file = import_all(Some(served), std::slice::from_ref(file), &mut report).await?.pop();
        mock = Some(file.clone());
    }
    let content = Content { published: described, layout: profile.layout, derived };
    let file_key = FileKey::fresh_for(&policy).map_err(NodeError::Entropy)?;
    let files = Files::commit(&content, &policy, file_key.as_ref()).map_err(PublishError::Files)?;
    let policy = Signed::sign(policy, identity)?;
    let mut draft = Manifest {
        version: 1,
        name: what.name.clone(),
        about: what.about.clone(),
        population: ContentHash([0; 32]),
        previous: before.as_ref().map(|b| b.manifest.id()),
        files,
        schema: profile.schema,
        mock: mock_file,
        policy: policy.id(),
        grant_key: grant::public_key(identity).map_err(|e| PublishError::GrantKey(e.into()))?,
        salt: Some(manifest::salt().map_err(NodeError::Entropy)?),
        published: later(before.as_ref().map(|b| b.manifest.body().published.as_str())).to_string(),
    };
    draft.population = match &before {
        Some(before) => before.manifest.body().population,
        None => Signed::sign(draft.clone(), identity)?.id(),
    };
    let manifest = Signed::sign(draft, identity)?;
    let record = DatasetRecord {
        manifest: manifest.envelope().clone(),
        policy: policy.envelope().clone(),
        file_key,
        files: lying,
        stamps: profile.compute.iter().map(|path| Stamp::of(path)).collect::<Result<_, _>>()?,
        compute: profile.compute,
        mock,
        people: Some(profile.people),
        dropped: profile.dropped,
        content,
    };
    store.record(
        "dataset manifest",
        manifest.envelope().payload_sha256(),
        Predicate::Publication {
            changes: before.as_ref().map(|before| changes(before, &record.content, &policy)).unwrap_or_default(),
            per_buyer: policy.body().per_buyer,
            manifest: manifest.id(),
            policy: policy.id(),
            population: manifest.body().population,
            previous: manifest.body().previous,
            cap: policy.body().budget,
            owner: None,
            versions: policy.body().versions.clone(),
        },
    )?;
    dataset::save(&home.datasets(), manifest.id(), &record)?;
    Ok(dataset::Dataset::open(record)?)
}

/// Returns the time now, or just after the preceding version's if the clock was set back: times are in the order of the log.
fn later(before: Option<&str>) -> jiff::Timestamp {
    let (now, moment) = (jiff::Timestamp::now(), jiff::SignedDuration::from_nanos(1));
    let after = before.and_then(|before| before.parse::<jiff::Timestamp>().ok()?.checked_add(moment).ok());
    after.map_or(now, |after| after.max(now))
}

/// Checks a public name, visible to everybody who hears of the dataset, for characters changing how nearby text is displayed.
fn shown(what: &str, name: &str) -> Result<(), NodeError> {
    if is_plain(name) {
        return Ok(());
    }
    let why = "it has control characters, or characters that change how it is displayed. Choose another name".into();
    Err(NodeError::BadInput { field: format!("{what} {:?}:", plain(name)), why })
}

/// Checks the policy's public bound on the size of each file.
fn within_bound(files: &[DataFile], policy: &Policy) -> Result<(), NodeError> {
    match files.iter().find(|file| !policy.files.fits(file.bytes)) {
        Some(file) => Err(PublishError::FileSize { file: file.name.clone() }.into()),
        None => Ok(()),
    }
}

/// Lists the changes from the preceding version for the log, which everybody may read.
///
/// If the manifests do not show the files' hashes to everybody, whether the data changed is nobody's business: they always count
/// as changed.
pub(crate) fn changes(before: &dataset::Dataset, content: &Content, policy: &Signed<Policy>) -> Vec<Change> {
    let (old, new) = (before.policy.body(), policy.body());
    let hidden = [old, new].iter().any(|policy| !policy.shows_hashes());
    let seen = [
        (hidden || before.record.content.published != content.published, Change::Data),
        (before.policy.id() != policy.id(), Change::Policy),
        ((old.budget, old.per_buyer) != (new.budget, new.per_buyer), Change::Budget),
    ];
    seen.into_iter().filter(|(changed, _)| *changed).map(|(_, change)| change).collect()
}

async fn import_tables(served: Option<&Served>, tables: &[TableFiles], report: &mut Report) -> Result<Vec<DataFile>, NodeError> {
    let mut described = Vec::new();
    for TableFiles { table, files, names, .. } in tables {
        names.iter().try_for_each(|name| shown("file name", name))?;
        let of_table = import_all(served, files, report).await?;
        let named = of_table.into_iter().zip(names);
        described.extend(named.map(|(file, name)| DataFile { name: name.clone(), table: table.clone(), ..file }));
    }
    Ok(described)
}

/// Hashes files and, with `served`, prepares the store to serve them.
pub(crate) async fn import_all(
    served: Option<&Served>,
    files: &[PathBuf],
    report: &mut Report,
) -> Result<Vec<DataFile>, NodeError> {
    let mut described = Vec::new();
    for path in files {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.len() > limits::NAME_BYTES {
            return Err(bad_path(path, "the file name is too long"));
        }
        shown("file name", &name)?;
        let total = std::fs::metadata(path).map_or(0, |m| m.len());
        let mut progress = |done| report(Progress::Hashing { file: name.clone(), done, total });
        let (hash, bytes) = match served {
            Some(served) => served.import(path, &mut progress).await?,
            None => tokio::task::block_in_place(|| dataset::hash(path, &mut progress)).map_err(|e| file_error(path, e))?,
        };
        described.push(DataFile { name, table: None, bytes, hash });
    }
    Ok(described)
}

/// Name of the file made of more files than a manifest can name.
const JOINED: &str = "rows.parquet";

/// Version of the format of copies.
///
/// A copy in another format has another name, and replaces none that an earlier version names.
const COPY: &str = "5";

/// Reads and checks `files`, away from the runtime's threads, and returns the report. A derived copy is named by a hash of its
/// inputs.
pub(crate) async fn lay_out(
    home: &Home,
    tables: &[TableFiles],
    described: &[DataFile],
    policy: &Policy,
    (kind, like): (&str, Option<&[ColumnType]>),
    mut report: Report,
) -> Result<(dataset::Profile, Report), NodeError> {
    let made_of: Vec<String> = described
        .iter()
        .map(|file| format!("{}{}", file.table.as_ref().map(|t| format!("{t}=")).unwrap_or_default(), file.hash))
        .chain([COPY.to_owned(), policy.unit.column.clone()])
        .chain(policy.columns.keys().cloned())
        // The rows depend on these too: columns from folder names, and the rules for reading text.
        .chain(described.iter().filter(|file| file.name.contains('=')).map(|file| file.name.clone()))
        .chain((!policy.read.is_default()).then(|| serde_json::to_string(&policy.read).unwrap_or_default()))
        .chain(like.into_iter().flatten().map(|column| format!("{}: {}", column.name, column.arrow)))
        .collect();
    let made_of = serde_json::to_vec(&made_of).map_err(NodeError::Encode)?;
    let derived = home.datasets().join(format!("{}.{kind}.parquet", ContentHash::of(&made_of)));
    let (tables, policy, like) = (tables.to_vec(), policy.clone(), like.map(<[_]>::to_vec));
    let work = move || {
        let mut progress = |phase, rows| {
            report(match phase {
                Phase::Checking => Progress::Checking { rows },
                Phase::Ordering => Progress::Ordering { rows },
            })
        };
        let profile = dataset::profile(&tables, &policy, like.as_deref(), &derived, &mut progress)?;
        profile.notes.iter().for_each(|words| report(Progress::Noted { words: words.clone() }));
        Ok::<_, dataset::DataError>((profile, report))
    };
    Ok(tokio::task::spawn_blocking(work).await.map_err(NodeError::Task)??)
}

/// Finds this party's dataset with this name (its latest version), or the version whose manifest id begins with `name`.
///
/// # Errors
/// [`NodeError::NoSuchDataset`] listing the published datasets.
pub fn find(home: &Home, name: &str) -> Result<dataset::Dataset, NodeError> {
    let me = home.identity()?.id();
    let all = dataset::load_all(&home.datasets())?.into_iter().filter(|d| d.manifest.signer() == me).collect::<Vec<_>>();
    let known: Vec<_> = all.iter().map(|d| d.manifest.body().name.clone()).collect();
    if let Some(named) = all.iter().rev().find(|d| d.manifest.body().name == name) {
        return Ok(named.clone());
    }
    let found = ids::only(all, |d| d.manifest.id(), name)?;
    Ok(found.ok_or_else(|| NoSuchDataset::Here { name: name.to_owned(), known })?)
}
