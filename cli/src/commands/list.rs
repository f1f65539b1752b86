//! `tidegate list`

use std::path::PathBuf;

use tidegate_node::{
    client::{Buyer, Offer},
    home::Home,
    kind_of_manifest,
};

use crate::{
    file,
    numbers::{count, price},
    place::Place,
    show::plain,
};

/// Options of `tidegate list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The peer's address, as printed by `tidegate serve`, or its name in the address book.
    #[arg(long)]
    to: Place,
    /// Grant, if the owner does not list its datasets for everybody.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let grant = file::optional_grant(args.grant.as_deref())?;
    let to = args.to.at(home)?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant.as_str());
    let offers = buyer.offers(&to).await;
    buyer.close().await;
    // Superseded versions are history: see `tidegate catalog history`.
    let (answering, superseded): (Vec<_>, Vec<_>) = offers?.into_iter().partition(Offer::answers);
    if answering.is_empty() && !args.json {
        let grant = if grant.is_empty() { " A grant may show more (--grant)." } else { "" };
        let older = match superseded.len() {
            0 => String::new(),
            1 => " The only version is retired: `tidegate catalog history NAME --to …` shows it.".to_owned(),
            n => format!(
                " Of {} the newest is retired: `tidegate catalog history NAME --to …` shows them.",
                count(n, "earlier version", "earlier versions")
            ),
        };
        println!("nothing is offered.{grant}{older}");
    }
    for offer in answering {
        let (manifest, policy) = (offer.manifest.body(), &*offer.in_force()?);
        if args.json {
            println!("{}", serde_json::json!({ "id": offer.manifest.id(), "manifest": manifest, "policy": policy }));
            continue;
        }
        let older = if offer.newest.is_some() { "  (an older version: what its policy and the newest allow)" } else { "" };
        println!("{}  {}{older}", manifest.name, offer.manifest.id());
        let kinds: Vec<_> = policy.kinds.iter().map(|kind| kind.word()).collect();
        let kind = |name: &str| {
            let column = manifest.schema.iter().find(|column| column.name == name);
            column.map_or_else(String::new, |column| format!(": {}", plain(&kind_of_manifest(&column.arrow))))
        };
        let unit = &policy.unit.column;
        println!("  unit {unit}{}, at most {} of them; jobs: {}", kind(unit), policy.unit.max_units, kinds.join(", "));
        println!("  one buyer may spend {}", price(policy.per_buyer, policy.delta_femto));
        for (name, rule) in &policy.columns {
            match rule.bounds() {
                Some((lo, hi)) => println!("  {name}{} in [{lo}, {hi}]", kind(name)),
                None => println!("  {name}{}", kind(name)),
            }
        }
    }
    Ok(())
}
