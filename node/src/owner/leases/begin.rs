//! Beginning to hold a dataset: brings its rows here, checks them against the publication, and logs for whom they are held.

use std::path::{Path, PathBuf};

use tidegate_catalog::dataset::{self, DatasetRecord, Stamp};
use tidegate_exchange::Address;
use tidegate_protocol::{
    Cost, MicroRho, Signed,
    cost::{FemtoDelta, MicroEpsilon, out_of_range},
    frame::Request,
    grant::{self, Action},
    manifest::{Content, FileKey, Layout, Manifest},
    policy::{Access, Policy},
    receipt::Predicate,
};

use crate::owner::leases::{
    sparse_file::Sparse,
    store::{Held, Place, all, load},
};
use crate::{
    NodeError,
    client::{Buyer, Offer},
    error::{Denied, GrantError, HoldError, Unverified},
    given::Given,
    gone,
    home::Home,
    mirror::{lists, seal::put},
    owner::{
        publish::{self, Progress, import_all, lay_out},
        spool,
        witnesses::is_own,
    },
};

/// Request to hold a dataset.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The owner.
    pub owner: &'a Address,
    /// The dataset's name or manifest id.
    pub dataset: &'a str,
    /// The owner's grant, with the `hold` action.
    pub grant: &'a str,
    /// The dataset's files, as left by `tidegate fetch`; `None` to keep no rows but the columns that jobs read.
    pub data: Option<&'a Path>,
    /// ρ of each lease.
    pub rho: f64,
}

/// Computes the amount of each lease: `rho`, and the same share of whatever else the policy counts.
fn want(policy: &Policy, rho: f64) -> Result<Cost, NodeError> {
    let rho_micro = MicroRho::ceil(rho).filter(|rho| rho.0 > 0);
    let rho_micro =
        rho_micro.ok_or_else(|| NodeError::BadInput { field: "--rho".into(), why: out_of_range(rho, MicroRho::MOST) })?;
    let budget = policy.budget;
    let share = (rho_micro.0 as f64 / budget.rho_micro.0.max(1) as f64).min(1.0);
    let part = |of: u64| (of as f64 * share) as u64;
    let epsilon_micro = MicroEpsilon(part(budget.epsilon_micro.0));
    Ok(Cost { rho_micro, epsilon_micro, delta_femto: FemtoDelta(part(budget.delta_femto.0)), reviewed: 0 })
}

/// Begins to hold a dataset.
///
/// Everything is checked before anything is kept. The node asks for a lease when it serves.
///
/// # Errors
/// Returns [`NodeError`] if owner, policy or grant do not let this party hold the dataset, or the files are not what was
/// published.
pub async fn begin(home: &Home, buyer: &Buyer, ask: Ask<'_>, report: publish::Report) -> Result<(Held, String), NodeError> {
    let shown = grant::show(ask.grant, None).map_err(|e| GrantError::Unreadable(Box::new(e)))?;
    if shown.owner.as_deref() != Some(&ask.owner.peer.did()) {
        return Err(GrantError::OtherOwner { owner: ask.owner.peer }.into());
    }
    let offer = buyer.offer(ask.owner, ask.dataset).await?;
    let Offer { manifest, policy, newest, .. } = &offer;
    if newest.is_some() {
        return Err(HoldError::Superseded.into());
    }
    let (body, rules, me) = (manifest.body(), policy.body(), home.identity()?.id());
    if manifest.signer() != ask.owner.peer {
        return Err(HoldError::NotOwner.into());
    }
    if rules.hold == Access::Nobody {
        return Err(Denied::Hold.into());
    }
    if shown.holder.as_deref() != Some(&me.to_string()) || !shown.actions.iter().any(|action| action == Action::Hold.word()) {
        return Err(GrantError::NotToHold.into());
    }
    if shown.population.as_deref() != Some(&body.population.to_string()) {
        return Err(GrantError::OtherDataset.into());
    }
    if rules.witnesses.as_ref().is_some_and(|rule| is_own(rule, &me)) {
        return Err(HoldError::OwnWitness.into());
    }
    let want = want(rules, ask.rho)?;
    let folder = all(home).join(body.population.to_string());
    let token = ask.grant.trim();
    let file_key = match body.files.plain() {
        Some(_) => None,
        None => Some(buyer.file_key(ask.owner, manifest.id(), token).await?),
    };
    let Rows { files, compute, content, mut report } = match (ask.data, body.files.plain()) {
        (Some(data), _) => here(home, manifest, rules, (data, file_key.as_ref()), report).await?,
        (None, Some(content)) => {
            let sparse = Sparse::new(&folder, content);
            let permission = Request::Replicate { dataset: manifest.id(), grant: token.to_owned() };
            sparse.begin(home.path(), buyer, ask.owner, &permission).await?;
            Rows { files: vec![], compute: sparse.paths(), content: content.clone(), report }
        }
        (None, None) => {
            return Err(Denied::Columns.into());
        }
    };
    report(Progress::Checking { rows: 0 });
    let mock = match &body.mock {
        Some(_) => Some(buyer.mock(home.path(), ask.owner, &offer).await?),
        None => None,
    };
    let list = lists::opened(buyer.revocations(ask.owner, ask.owner.peer).await?, &ask.owner.peer)?;
    let record = DatasetRecord {
        manifest: manifest.envelope().clone(),
        policy: policy.envelope().clone(),
        content,
        file_key,
        files,
        stamps: compute.iter().map(|path| Stamp::of(path)).collect::<Result<_, _>>()?,
        compute,
        mock,
        people: None,
        dropped: vec![],
    };
    log(home, manifest, policy, &record.content)?;
    dataset::save(&home.datasets(), manifest.id(), &record)?;
    let place = Place {
        owner: ask.owner.peer,
        at: ask.owner.to_string(),
        grant: ask.grant.trim().to_owned(),
        want,
        columns: ask.data.is_none(),
    };
    let text = serde_json::to_vec(&place).map_err(NodeError::Encode)?;
    put(&folder.join("place.json"), &text)?;
    let mut held = load(folder.clone(), body.population)?.ok_or_else(|| gone(&folder, " again"))?;
    held.hear(list)?;
    Ok((held, body.name.clone()))
}

/// Files of a dataset on this machine.
struct Rows {
    files: Vec<PathBuf>,
    compute: Vec<PathBuf>,
    content: Content,
    report: publish::Report,
}

/// Checks the files in `data` against the manifest, and lays them out as the owner's node did.
async fn here(
    home: &Home,
    manifest: &Signed<Manifest>,
    rules: &Policy,
    (data, key): (&Path, Option<&FileKey>),
    mut report: publish::Report,
) -> Result<Rows, NodeError> {
    let body = manifest.body();
    let mut hashing = |name: &str| report(Progress::Hashing { file: name.into(), done: 0, total: 0 });
    let published = Given::of((body, rules), key, data, &mut hashing)?;
    let tables = published.tables;
    let (profile, mut report) = lay_out(home, &tables, &published.files, rules, ("clustered", None), report).await?;
    let derived = match profile.layout {
        Layout::AsPublished => vec![],
        Layout::Clustered => import_all(None, &profile.compute, &mut report).await?,
    };
    let content = Content { published: published.files, layout: profile.layout, derived };
    if profile.schema != body.schema || !body.files.are(&content, key) {
        return Err(Unverified::Layout.into());
    }
    let files = tables.into_iter().flat_map(|table| table.files).collect();
    Ok(Rows { files, compute: profile.compute, content, report })
}

/// Logs the held version and its owner; once for each version.
fn log(home: &Home, manifest: &Signed<Manifest>, policy: &Signed<Policy>, content: &Content) -> Result<(), NodeError> {
    let (body, known) = (manifest.body(), dataset::load_all(&home.datasets())?);
    if known.iter().any(|dataset| dataset.manifest.id() == manifest.id()) {
        return Ok(());
    }
    let before = known.into_iter().find(|dataset| Some(dataset.manifest.id()) == body.previous);
    let predicate = Predicate::Publication {
        manifest: manifest.id(),
        policy: policy.id(),
        population: body.population,
        previous: body.previous,
        changes: before.map(|before| publish::changes(&before, content, policy)).unwrap_or_default(),
        cap: policy.body().budget,
        per_buyer: policy.body().per_buyer,
        owner: Some(manifest.signer()),
        versions: policy.body().versions.clone(),
    };
    spool::say(home, &spool::Word::record("dataset manifest", manifest.envelope().payload_sha256(), predicate))
}
