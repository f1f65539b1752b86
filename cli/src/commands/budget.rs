//! `tidegate budget`

use tidegate_node::{home::Home, provider::Provider};

use crate::show::price;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    for (dataset, spent, links) in Provider::budget(home)? {
        let (manifest, policy) = (dataset.manifest.body(), dataset.policy.body());
        if args.json {
            let left = spent.left_of(policy.budget);
            println!(
                "{}",
                serde_json::json!({ "dataset": manifest.name, "population": manifest.population, "cap": policy.budget,
                    "spent": spent, "left": left, "charges": links })
            );
            continue;
        }
        let at = policy.delta_femto;
        println!("{} ({})", manifest.name, manifest.population.short());
        println!("  budget {}", price(policy.budget, at));
        println!("  spent  {} in {} jobs", price(spent, at), links.len());
        println!("  left   {}", price(spent.left_of(policy.budget), at));
    }
    Ok(())
}
