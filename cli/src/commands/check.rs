//! `tidegate check`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use tidegate_catalog::dataset;
use tidegate_node::{
    NodeError,
    buyer::{check, expected, pointing},
    client::Buyer,
    home::Home,
    owner::publish::find,
};
use tidegate_protocol::{manifest::Manifest, policy::Policy};

use crate::{
    file,
    numbers::{self, count},
    place::Place,
    question::Question,
    show,
};

/// Options of `tidegate check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Question,
    /// Check against this peer's offers: its address, or its name in the address book.
    #[arg(long, conflicts_with_all = ["offers", "rows", "policy"])]
    to: Option<Place>,
    /// Grant under which the job must be allowed, too.
    #[arg(long, requires = "to")]
    grant: Option<PathBuf>,
    /// File with the output of `tidegate list --json`; without --offers and --to, the datasets published here are used.
    #[arg(long, conflicts_with_all = ["rows", "policy"])]
    offers: Option<PathBuf>,
    /// File with the dataset's columns: only its schema is read. If the policy has tables, TABLE=FILE for each.
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
    let grant = file::optional_grant(args.grant.as_deref())?;
    let file = args.asked.file(home, args.to.as_ref(), &grant, None).await?;
    let mut owner = None;
    let (policy, schema) = match (&args.to, &args.offers, args.rows.as_slice(), &args.policy) {
        (Some(to), ..) => {
            let to = &to.at(home)?;
            let buyer = Buyer::bind(home, to).await?.showing(&grant);
            let offer = buyer.offer(to, &file.dataset).await;
            buyer.close().await;
            let offer = offer?;
            let found = (offer.in_force()?.into_owned(), check::schema(offer.manifest.body())?);
            owner = Some(offer.manifest);
            found
        }
        (_, Some(offers), ..) => {
            let text = file::text("--offers", offers)?;
            let parsed = text.lines().map(serde_json::from_str::<Offer>).collect::<Result<Vec<_>, _>>();
            let wrong = || format!("--offers {}: give a file with the output of `tidegate list --json`", offers.display());
            let offers = parsed.with_context(wrong)?;
            let known: Vec<_> = offers.iter().map(|o| o.manifest.name.clone()).collect();
            let found = offers.into_iter().rev().find(|o| o.manifest.name == file.dataset || o.id == file.dataset);
            let offer = found.with_context(|| format!("no dataset {:?}; there are: {}", file.dataset, known.join(", ")))?;
            let schema = check::schema(&offer.manifest)?;
            (offer.policy, schema)
        }
        (_, None, [_, ..], Some(policy)) => {
            let policy = file::policy(policy)?;
            let schema = dataset::schema(&dataset::tables(&args.rows, &policy)?, &policy)?;
            // There is no manifest: the job's name for the dataset is used.
            (policy, check::published(&schema, &file.dataset))
        }
        _ => {
            let elsewhere = "to check against a peer's offer, give --to PEER, or --offers FILE with the output of `tidegate list --to PEER --json`; \
                             to check against your own files and policy, give --rows FILE --policy FILE";
            let dataset = find(home, &file.dataset).map_err(|e| anyhow::anyhow!("{e}; {elsewhere}"))?;
            (dataset.policy.body().clone(), check::schema(dataset.manifest.body())?)
        }
    };
    let mut planned = check::plan(home, &file, &policy, schema).await;
    if let (Ok(plan), Some(manifest), false) = (&planned, &owner, grant.is_empty())
        && let Err(refusal) = check::granted(&grant, home.identity()?.id(), manifest.body(), plan)
    {
        planned = Err(refusal.into());
    }
    match planned {
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
                let all = numbers::price(cost.times(rounds.into()), policy.delta_femto);
                if file.training.is_some() {
                    let all_rounds = count(rounds, "round", "rounds");
                    println!("accept: {all_rounds} would cost {all}, each {}", numbers::price(cost, policy.delta_femto));
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
                if let Some(shown) = pointing::pointed(&file, &refusal) {
                    println!("{shown}");
                }
            }
            Ok(ExitCode::FAILURE)
        }
        Err(other) => Err(other.into()),
    }
}
