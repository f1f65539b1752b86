//! `tidegate list`

use std::path::PathBuf;

use tidegate_node::{buyer::Buyer, home::Home};

use crate::{place::Place, show::price};

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The peer's address, as `tidegate serve` prints it, or its name in the address book.
    #[arg(long)]
    to: Place,
    /// A grant, where the owner does not show everybody what there is.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let grant = args.grant.as_ref().map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let to = args.to.at(home)?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant.trim());
    for offer in buyer.offers(&to).await? {
        // What was superseded is history: `tidegate catalog history`.
        if !offer.answers() {
            continue;
        }
        let (manifest, policy) = (offer.manifest.body(), &*offer.in_force()?);
        if args.json {
            println!("{}", serde_json::json!({ "id": offer.manifest.id(), "manifest": manifest, "policy": policy }));
            continue;
        }
        let older = if offer.newest.is_some() { "  (an older version: what its policy and the newest allow)" } else { "" };
        println!("{}  {}{older}", manifest.name, offer.manifest.id());
        println!("  unit {}, at most {} of them; jobs {:?}", policy.unit.column, policy.unit.max_units, policy.kinds);
        println!("  one buyer may spend {}", price(policy.per_buyer, policy.delta_femto));
        for (name, rule) in &policy.columns {
            match rule.bounds() {
                Some((lo, hi)) => println!("  {name} in [{lo}, {hi}]"),
                None => println!("  {name}"),
            }
        }
    }
    buyer.close().await;
    Ok(())
}
