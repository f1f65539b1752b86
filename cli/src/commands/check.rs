//! `tidegate check`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use tidegate_catalog::dataset;
use tidegate_node::{NodeError, check, expected, home::Home, jobfile::JobFile, publish::find};
use tidegate_protocol::{manifest::Manifest, policy::Policy};

use crate::{file, show};

/// What to check, against what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job file.
    job: PathBuf,
    /// Lines that `tidegate list --json` printed; without it, the datasets published here.
    #[arg(long, conflicts_with_all = ["rows", "policy"])]
    offers: Option<PathBuf>,
    /// A file with the dataset's columns: only its schema is read. Where the policy has tables, TABLE=FILE, once for each.
    #[arg(long, requires = "policy")]
    rows: Vec<PathBuf>,
    /// The policy, TOML.
    #[arg(long, requires = "rows")]
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Deserialize)]
struct Offer {
    id: String,
    manifest: Manifest,
    policy: Policy,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let file = JobFile::read(&args.job)?;
    let (policy, schema) = match (&args.offers, args.rows.as_slice(), &args.policy) {
        (Some(offers), ..) => {
            let text = file::text("--offers", offers)?;
            let parsed = text.lines().map(serde_json::from_str::<Offer>).collect::<Result<Vec<_>, _>>();
            let wrong = || format!("--offers {}: give what `tidegate list --json` printed", offers.display());
            let offers = parsed.with_context(wrong)?;
            let known: Vec<_> = offers.iter().map(|o| o.manifest.name.clone()).collect();
            let found = offers.into_iter().rev().find(|o| o.manifest.name == file.dataset || o.id == file.dataset);
            let offer = found.with_context(|| format!("no dataset {:?}; there are: {}", file.dataset, known.join(", ")))?;
            let schema = check::schema(&offer.manifest)?;
            (offer.policy, schema)
        }
        (None, [_, ..], Some(policy)) => {
            let policy = file::policy(policy)?;
            let schema = dataset::schema(&dataset::tables(&args.rows, &policy)?, &policy)?;
            (policy, schema)
        }
        _ => {
            let dataset = find(home, &file.dataset)?;
            (dataset.policy.body().clone(), check::schema(dataset.manifest.body())?)
        }
    };
    match check::plan(home, &file, &policy, schema).await {
        Ok(planned) => {
            let rounds = file.training.as_ref().map_or(1, |training| training.rounds);
            let (mechanism, cost, program) = (planned.mechanism(), planned.work.job.cost, planned.work.job.bound());
            if args.json {
                println!(
                    "{}",
                    serde_json::json!({ "verdict": "accept", "cost": cost, "rounds": rounds, "cost_of_all": cost.times(rounds.into()),
                        "mechanism": mechanism, "noise": expected::noise(&mechanism), "notes": expected::notes(&mechanism), "split": planned.split(), "program": program })
                );
            } else {
                let all = show::price(cost.times(rounds.into()), policy.delta_femto);
                if file.training.is_some() {
                    println!("accept: {rounds} rounds would cost {all}, each {}", show::price(cost, policy.delta_femto));
                } else {
                    println!("accept: it would cost {all}");
                }
                show::noise(&mechanism, &planned.split());
                show::counted(&mechanism);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(NodeError::Refused(refusal)) => {
            if args.json {
                println!(
                    "{}",
                    serde_json::json!({ "verdict": "reject", "reason": refusal.message, "code": refusal.code,
                        "field": refusal.field, "fix": refusal.fix })
                );
            } else {
                println!("reject: {refusal}");
            }
            Ok(ExitCode::FAILURE)
        }
        Err(other) => Err(other.into()),
    }
}
