//! Published versions, each under the policy in force, which is not always the version's own.
//!
//! No other part of the node handles a version's own policy, so no superseded policy can take effect.
//!
//! The ledger says each time which version is the newest and which were retired ([`Store::lineage`]).

use tidegate_audit::lineage::{Lineage, NotInForce};
use tidegate_catalog::dataset::{Dataset, DatasetRecord};
use tidegate_ledger::{Store, StoreError};
use tidegate_protocol::{
    Code, ContentHash, Envelope, Refusal, Signed,
    frame::Published,
    manifest::Manifest,
    policy::{Access, Policy},
    receipt::JobFacts,
};

use crate::owner::refusals::{not_in_force, unavailable};

/// A version kept here.
#[derive(Debug)]
struct Version {
    dataset: Dataset,
    /// If another version is newer: its policy, and the meet of both policies.
    older: Option<(Signed<Policy>, Policy)>,
    /// Whether the newest version is here; otherwise the governing policy is unknown.
    known: bool,
    /// The version's own policy, with access to replays limited to what the newest policy allows.
    replays: Policy,
}

/// All versions, in order of publication.
#[derive(Debug)]
pub(in crate::owner) struct Versions(Vec<Version>);

/// A version under the policy in force.
#[derive(Debug, Clone, Copy)]
pub(in crate::owner) struct InForce<'a> {
    dataset: &'a Dataset,
    policy: &'a Policy,
    newest: Option<&'a Signed<Policy>>,
}

impl<'a> InForce<'a> {
    /// Returns the id of the manifest.
    pub(in crate::owner) fn id(&self) -> ContentHash {
        self.dataset.manifest.id()
    }

    /// Returns the dataset lineage.
    pub(in crate::owner) fn population(&self) -> ContentHash {
        self.dataset.manifest.body().population
    }

    /// Returns the manifest.
    pub(in crate::owner) fn manifest(&self) -> &'a Signed<Manifest> {
        &self.dataset.manifest
    }

    /// Returns the record of where the files are.
    pub(in crate::owner) fn record(&self) -> &'a DatasetRecord {
        &self.dataset.record
    }

    /// Returns the policy in force.
    pub(in crate::owner) fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Returns the id of the policy in the manifest and, if different, of the newest version's policy.
    pub(in crate::owner) fn policies(&self) -> (ContentHash, Option<ContentHash>) {
        (self.dataset.policy.id(), self.newest.map(Signed::id))
    }

    /// Returns manifest, policy and files as recorded on this machine.
    pub(in crate::owner) fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Builds the form shown to others.
    pub(in crate::owner) fn published(&self, lease: Option<Envelope>) -> Published {
        let (manifest, policy) = (self.dataset.record.manifest.clone(), self.dataset.record.policy.clone());
        Published { manifest, policy, lease, newest: self.newest.map(|newest| newest.envelope().clone()) }
    }
}

impl Version {
    /// Returns the version under its own policy or, if older, under its meet with the newest policy.
    fn under(&self) -> Option<InForce<'_>> {
        let (policy, newest) = match &self.older {
            None => (self.dataset.policy.body(), None),
            Some((newest, both)) => (both, Some(newest)),
        };
        self.known.then_some(InForce { dataset: &self.dataset, policy, newest })
    }

    fn population(&self) -> ContentHash {
        self.dataset.manifest.body().population
    }
}

impl Versions {
    /// Builds the versions of the datasets kept here.
    pub(in crate::owner) fn of(datasets: Vec<Dataset>, store: &Store) -> Result<Self, StoreError> {
        let mut all = Vec::with_capacity(datasets.len());
        for dataset in &datasets {
            let id = dataset.manifest.id();
            let lineage = store.lineage(&dataset.manifest.body().population)?;
            let newest = lineage.map(|lineage| lineage.newest().manifest);
            let found = datasets.iter().find(|other| Some(other.manifest.id()) == newest);
            let own = dataset.policy.body();
            let older = found.filter(|newest| newest.manifest.id() != id).map(|newest| {
                let both = own.meet(newest.policy.body());
                (newest.policy.clone(), both)
            });
            let replay = older.as_ref().map_or(own.replay, |(newest, _)| own.replay.meet(newest.body().replay));
            let replays = Policy { replay, ..own.clone() };
            all.push(Version { dataset: dataset.clone(), older, known: found.is_some(), replays });
        }
        Ok(Self(all))
    }

    fn find(&self, id: &ContentHash) -> Option<&Version> {
        self.0.iter().find(|version| version.dataset.manifest.id() == *id)
    }

    /// Returns the newest version here of a lineage, whether or not retired.
    pub(in crate::owner) fn newest(&self, population: &ContentHash) -> Option<InForce<'_>> {
        let newest = self.0.iter().rev().find(|version| version.population() == *population && version.older.is_none());
        newest.and_then(Version::under)
    }

    /// Returns the policies of all versions with this file: they name parties alike.
    pub(in crate::owner) fn with_file(&self, file: &ContentHash) -> impl Iterator<Item = &Policy> {
        let has = |version: &&Version| version.dataset.record.content.all().any(|f| f.hash == *file);
        self.0.iter().filter(has).map(|version| version.dataset.policy.body())
    }

    /// Returns the files of a version, or of a whole lineage: published, derived, and mock rows.
    pub(in crate::owner) fn files(&self, population: &ContentHash, manifest: Option<&ContentHash>) -> Vec<ContentHash> {
        let of = |version: &&Version| {
            version.population() == *population && manifest.is_none_or(|id| version.dataset.manifest.id() == *id)
        };
        let files = self.0.iter().filter(of).flat_map(|version| {
            let (content, mock) = (&version.dataset.record.content, &version.dataset.manifest.body().mock);
            content.all().chain(mock).map(|file| file.hash)
        });
        files.collect()
    }

    /// Returns the versions in force now.
    pub(in crate::owner) fn answering<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = InForce<'a>> {
        self.0.iter().filter_map(|version| self.in_force(store, &version.dataset.manifest.id()).ok())
    }

    /// Returns the versions not retired: the newest and earlier ones.
    pub(in crate::owner) fn kept<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = InForce<'a>> {
        self.0.iter().filter_map(|version| self.kept_one(store, &version.dataset.manifest.id()).ok())
    }

    fn kept_one(&self, store: &Store, id: &ContentHash) -> Result<InForce<'_>, Refusal> {
        let version = self.find(id).ok_or_else(|| none(id))?;
        let lineage = store.lineage(&version.population()).map_err(unavailable)?.ok_or_else(|| none(id))?;
        lineage.kept(id).map_err(|why| not_in_force(&why))?;
        version.under().ok_or_else(|| not_in_force(&NotInForce::Superseded(lineage.newest().manifest)))
    }

    /// Returns a version in force, under its governing policy.
    pub(in crate::owner) fn in_force(&self, store: &Store, id: &ContentHash) -> Result<InForce<'_>, Refusal> {
        let version = self.find(id).ok_or_else(|| none(id))?;
        let lineage = store.lineage(&version.population()).map_err(unavailable)?.ok_or_else(|| none(id))?;
        let newest = lineage.governed(id).map_err(|why| refused_of(&lineage, &why))?.map(|newest| newest.policy);
        // A version published since this node started is not here.
        let under = version.under().filter(|under| under.policies().1 == newest);
        under.ok_or_else(|| refused_of(&lineage, &NotInForce::Superseded(lineage.newest().manifest)))
    }
}

fn none(id: &ContentHash) -> Refusal {
    Refusal::new(Code::NotFound, format!("no dataset {} here", id.short())).at("dataset").fix("See `tidegate list`")
}

/// Like [`not_in_force`], but never sends a peer to a newest version already retired.
fn refused_of(lineage: &Lineage, why: &NotInForce) -> Refusal {
    let refusal = not_in_force(why);
    match (why, lineage.kept(&lineage.newest().manifest)) {
        (NotInForce::Superseded(_), Err(_)) => {
            refusal.fix("That version is also retired: no version accepts jobs until the owner publishes a new one")
        }
        _ => refusal,
    }
}

impl Versions {
    /// Returns a version that is kept here under its governing policy, in force or not: for a job's own result that was paid for.
    pub(in crate::owner) fn paid_for(&self, id: &ContentHash) -> Option<InForce<'_>> {
        self.find(id).and_then(Version::under)
    }

    /// Returns the version of a receipt for replays, under its own policy and the newest.
    pub(in crate::owner) fn replayed(&self, facts: &JobFacts) -> Result<(InForce<'_>, Published), Refusal> {
        let version = self.find(&facts.dataset).ok_or_else(|| none(&facts.dataset))?;
        let by = |id: &ContentHash| self.0.iter().find(|version| version.dataset.policy.id() == *id);
        let newest = match &facts.policy_newest {
            None => None,
            Some(id) => Some(by(id).ok_or_else(|| unavailable("the policy that governed it is missing"))?),
        };
        // A receipt whose salt was forgotten at once is not opened.
        if newest.is_some_and(|newest| newest.dataset.policy.body().replay == Access::Nobody) {
            let message = "the policy that governed this receipt's job allows nobody to replay this dataset";
            return Err(Refusal::new(Code::Policy, message).at("access.replay"));
        }
        let newest = newest.map(|newest| &newest.dataset.policy);
        let under = InForce { dataset: &version.dataset, policy: &version.replays, newest };
        Ok((under, under.published(None)))
    }
}
