//! `tidegate catalog history`, `catalog diff`

use tidegate_node::{
    client::Buyer,
    discovery::history::{Difference, difference, versions},
    home::Home,
    ids,
};
use tidegate_protocol::{Signed, manifest::Manifest};

use crate::{file, numbers, place::Place, show::plain};

/// A dataset and its owner.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// Name of the dataset, or id of a manifest.
    dataset: String,
    /// The owner's address, or its name in the address book; if not given, this party's own datasets are used.
    #[arg(long)]
    to: Option<Place>,
    /// Grant, if the owner does not list its datasets for everybody.
    #[arg(long)]
    grant: Option<std::path::PathBuf>,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

async fn all(home: &Home, of: &Of) -> anyhow::Result<Vec<Signed<Manifest>>> {
    let Some(place) = &of.to else {
        let own = tidegate_catalog::dataset::load_all(&home.datasets())?;
        return Ok(own.into_iter().map(|d| d.manifest).collect());
    };
    let to = place.at(home)?;
    let grant = file::optional_grant(of.grant.as_deref())?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant.as_str());
    let offers = buyer.offers(&to).await;
    buyer.close().await;
    Ok(offers?.into_iter().map(|offer| offer.manifest).collect())
}

pub(crate) async fn history(home: &Home, of: &Of) -> anyhow::Result<()> {
    let mut before: Option<Signed<Manifest>> = None;
    for version in versions(all(home, of).await?, &of.dataset)? {
        let manifest = version.body();
        let changed = before.as_ref().map(|before| difference(before.body(), manifest));
        if of.json {
            println!("{}", serde_json::json!({ "id": version.id(), "manifest": manifest, "difference": changed }));
        } else {
            println!("{}  {}  {}", version.id(), manifest.published, plain(&manifest.name));
            if let Some(changed) = changed {
                tell(&changed);
            }
        }
        before = Some(version);
    }
    Ok(())
}

pub(crate) async fn diff(home: &Home, of: &Of, after: &str) -> anyhow::Result<()> {
    let all = all(home, of).await?;
    let one = |word: &str| {
        let found = versions(all.clone(), word)?;
        let by_id = found.iter().find(|version| ids::names(&version.id(), word)).or(found.last()).cloned();
        by_id.ok_or_else(|| anyhow::anyhow!("no version {word:?}: `tidegate catalog history {}` lists the versions", of.dataset))
    };
    let changed = difference(one(&of.dataset)?.body(), one(after)?.body());
    match of.json {
        true => println!("{}", serde_json::to_string(&changed)?),
        false => tell(&changed),
    }
    Ok(())
}

/// Returns a file's size, to follow its name; nothing where the size is not stated.
fn size(bytes: Option<u64>) -> String {
    bytes.map(|bytes| format!(": {}", numbers::bytes(bytes))).unwrap_or_default()
}

fn tell(changed: &Difference) {
    for (name, kind) in &changed.columns_added {
        println!("  + column {}: {}", plain(name), plain(kind));
    }
    for (name, kind) in &changed.columns_removed {
        println!("  - column {}: {}", plain(name), plain(kind));
    }
    for (name, (was, is)) in &changed.columns_changed {
        println!("  ~ column {}: {} was {}", plain(name), plain(is), plain(was));
    }
    for (name, bytes) in &changed.files_added {
        println!("  + file {}{}", plain(name), size(*bytes));
    }
    for (name, bytes) in &changed.files_removed {
        println!("  - file {}{}", plain(name), size(*bytes));
    }
    for (changed, what) in [(changed.policy_changed, "policy"), (changed.mock_changed, "mock rows")] {
        if changed {
            println!("  ~ {what}");
        }
    }
    match changed.bytes_shared.zip(changed.bytes) {
        Some((shared, all)) => println!("  {} of {} are the same files", numbers::bytes(shared), numbers::bytes(all)),
        None => println!("  which files are the same is not told: nobody may copy them"),
    }
}
