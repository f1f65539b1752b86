//! `tidegate policy check`

use std::path::PathBuf;

use tidegate_protocol::policy::Policy;

use super::{
    buys::{Bought, bought},
    findings::findings,
};
use crate::{
    file,
    numbers::{count, price, significant},
    show::plain,
};

/// Options of `tidegate policy check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy, TOML.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let policy = file::policy_of("policy", &args.file)?;
    let (warnings, buys) = (findings(&policy), bought(&policy));
    if args.json {
        println!(
            "{}",
            serde_json::json!({ "verdict": "valid", "warnings": warnings, "budget": policy.budget, "per_buyer": policy.per_buyer, "buys": buys })
        );
        return Ok(());
    }
    let found = if warnings.is_empty() {
        "no unsafe or unusual setting".to_owned()
    } else {
        count(warnings.len(), "warning", "warnings")
    };
    println!("{} is a policy to publish under: {found}", args.file.display());
    for warning in &warnings {
        println!("  {} {}. {}", warning.key, plain(&warning.problem), warning.fix);
    }
    shown(&policy, &buys);
    Ok(())
}

/// Prints what a buyer's budget buys.
fn shown(policy: &Policy, buys: &[Bought]) {
    println!("one buyer may spend {}", price(policy.per_buyer, policy.delta_femto));
    for bought in buys {
        let one = price(bought.price, policy.delta_femto);
        match bought.questions {
            1 => println!("  one question for all of the budget, {one}:"),
            more => println!("  {more} questions that share the budget, each for {one}:"),
        }
        for answer in &bought.answers {
            match answer.half_width_95 {
                Some(half) => println!("    {} is right to ± {} (95 %)", plain(&answer.of), significant(half)),
                None => println!("    {} is not possible at this cost", plain(&answer.of)),
            }
        }
    }
    println!(
        "  each is over all rows together, within the bounds: the ± does not cover rows and values beyond the bounds, which are left out or clipped"
    );
}
