//! `tidegate leases`

use tidegate_node::{
    home::Home,
    owner::budget::{Handed, accounts},
};

use crate::numbers::price;

/// Options of `tidegate leases`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

fn state(handed: &Handed) -> &'static str {
    match (&handed.settlement, handed.burnt) {
        (Some(_), _) => "returned",
        (None, true) => "lost",
        (None, false) => "out",
    }
}

pub(crate) fn run(home: &Home, args: &Args) -> anyhow::Result<()> {
    for account in accounts(home)? {
        let (name, at) = (&account.dataset.manifest.body().name, account.dataset.policy.body().delta_femto);
        for handed in &account.leases {
            let (lease, state, spent) = (&handed.lease, state(handed), handed.spent());
            if args.json {
                let line = serde_json::json!({ "dataset": name, "lease": handed.id, "holder": lease.holder, "amount": lease.amount,
                    "given": lease.given, "until": lease.until, "state": state, "spent": spent });
                println!("{line}");
                continue;
            }
            println!("{name}: {} to {} until {}", price(lease.amount, at), lease.holder, lease.until);
            let what = if handed.settlement.is_some() { "spent" } else { "counts as spent" };
            println!("  {state}; {what} {}", price(spent, at));
        }
    }
    Ok(())
}
