//! `tidegate budget`

use tidegate_node::{budget::accounts, home::Home};

use crate::show::price;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    for account in accounts(home)? {
        let (manifest, policy) = (account.dataset.manifest.body(), account.dataset.policy.body());
        let left = account.spent.left_of(policy.budget);
        if args.json {
            let buyers: serde_json::Map<_, _> =
                account.buyers.iter().map(|(b, c)| (b.to_string(), serde_json::json!(c))).collect();
            println!(
                "{}",
                serde_json::json!({ "dataset": manifest.name, "manifest": account.dataset.manifest.id(), "population": manifest.population, "cap": policy.budget,
                    "spent": account.spent, "left": left, "buyers": buyers, "charges": account.charges })
            );
            continue;
        }
        let at = policy.delta_femto;
        println!("{} ({})", manifest.name, manifest.population.short());
        println!("  budget {}", price(policy.budget, at));
        println!("  spent  {} in {} jobs", price(account.spent, at), account.charges.len());
        println!("  left   {}", price(left, at));
        for (buyer, spent) in &account.buyers {
            println!("  {} spent {}", buyer.short(), price(*spent, at));
        }
    }
    Ok(())
}
