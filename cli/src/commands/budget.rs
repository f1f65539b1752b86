//! `tidegate budget`

use std::io::IsTerminal as _;

use rasciigraph::{Config, plot};
use tidegate_node::{
    home::Home,
    owner::budget::{Account, Charge, accounts},
};
use tidegate_protocol::Cost;

use crate::numbers::{count, price};

/// Options of `tidegate budget`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the spending, job by job, even if the output is not a terminal.
    #[arg(long)]
    plot: bool,
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    for account in accounts(home)? {
        let (manifest, policy) = (account.dataset.manifest.body(), account.dataset.policy.body());
        let left = account.spent.left_of(policy.budget);
        if args.json {
            let buyer = |(b, c): (&_, &Cost)| {
                let left = c.left_of(policy.per_buyer);
                serde_json::json!({ "buyer": b, "spent": c, "left": left })
            };
            let buyers: Vec<_> = account.buyers.iter().map(buyer).collect();
            let charge = |c: &Charge| serde_json::json!({ "at": c.at, "open": c.open, "link": c.link });
            let charges: Vec<_> = account.charges.iter().map(charge).collect();
            println!(
                "{}",
                serde_json::json!({ "dataset": manifest.name, "manifest": account.dataset.manifest.id(), "population": manifest.population,
                    "cap": policy.budget, "spent": account.spent, "reserved": account.reserved, "left": left, "buyers": buyers,
                    "fallbacks": account.fallbacks, "charges": charges, "leases": account.leases })
            );
            continue;
        }
        let at = policy.delta_femto;
        println!("{} ({})", manifest.name, manifest.population.short());
        println!("  budget {}", price(policy.budget, at));
        println!("  spent  {} in {}", price(account.spent, at), count(account.charges.len(), "job", "jobs"));
        if account.reserved != Cost::default() {
            println!("         of which {} for jobs without a result yet", price(account.reserved, at));
        }
        if account.fallbacks > 0 {
            println!(
                "         {} of them were answered with noise over the fallback value: `tidegate receipts list` shows the reasons",
                account.fallbacks
            );
        }
        let out = account.leases.iter().filter(|handed| handed.settlement.is_none() && !handed.burnt).count();
        if !account.leases.is_empty() {
            let (leases, out) = (count(account.leases.len(), "lease", "leases"), count(out, "is", "are"));
            println!("         and in {leases}, of which {out} outstanding: `tidegate leases`");
        }
        println!("  left   {}", price(left, at));
        for (buyer, spent) in &account.buyers {
            println!("  {} spent {}, has {} left", buyer.short(), price(*spent, at), price(spent.left_of(policy.per_buyer), at));
        }
        if account.charges.len() > 1 && (args.plot || std::io::stdout().is_terminal()) {
            draw(&account);
        }
    }
    Ok(())
}

/// Draws the total spent after each job, starting from zero: ρ and pure ε, as far as the policy has them.
fn draw(account: &Account) {
    let cap = account.dataset.policy.body().budget;
    let times = |c: Option<&Charge>| c.map(|c| c.at.chars().take(16).collect::<String>()).unwrap_or_default();
    type Part = fn(&Cost) -> f64;
    let parts: [(&str, Part); 2] = [("ρ", |c| c.rho_micro.rho()), ("pure ε", |c| c.epsilon_micro.epsilon())];
    for (name, part) in parts.into_iter().filter(|(_, part)| part(&cap) > 0.0) {
        let mut points = vec![0.0];
        for charge in &account.charges {
            points.push(points.last().unwrap_or(&0.0) + part(&charge.link.cost));
        }
        let (first, last) = (times(account.charges.first()), times(account.charges.last()));
        println!("  {name} by job, of {}: {first} to {last}", part(&cap));
        println!("{}", plot(points, Config::default().with_offset(4).with_height(8).with_width(60)));
    }
}
