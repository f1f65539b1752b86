//! `tidegate rehearse`

use std::{collections::HashMap, path::PathBuf};

use tidegate_node::{
    buyer::{
        expected,
        rehearse::{Fuel, rehearse, rehearse_own},
        table,
        telling::Telling,
    },
    client::Buyer,
    home::Home,
};

use crate::{
    file,
    numbers::{self, computed, count},
    place::Place,
    question::{Question, pointed},
    show,
};

/// Maximum number of distinct lines of the program to show; `--json` has all.
const MOST_LINES: usize = 40;

/// Options of `tidegate rehearse`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    question: Question,
    /// Fetch policy and mock rows from this owner, if the dataset was published with mock rows (`tidegate publish --mock`).
    #[arg(long, conflicts_with_all = ["mock", "policy"], required_unless_present = "mock")]
    to: Option<Place>,
    /// Your own mock rows: any publishable files; if the policy has tables, TABLE=FILE for each.
    #[arg(long, requires = "policy")]
    mock: Vec<PathBuf>,
    /// The policy, TOML.
    #[arg(long, requires = "mock")]
    policy: Option<PathBuf>,
    /// Grant, if the owner does not give mock rows to everybody.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    // Own mock rows have no name.
    let question = if args.to.is_some() { args.question } else { args.question.about("mock") };
    let grant = file::optional_grant(args.grant.as_deref())?;
    let mut file = question.file(home, args.to.as_ref(), grant.as_str(), None).await?;
    let (policy, shown) = match (&args.to, &args.policy) {
        (Some(to), _) => {
            let to = &to.at(home)?;
            let buyer = Buyer::bind(home, to).await?.showing(grant.as_str());
            let offer = buyer.offer(to, &file.dataset).await?;
            let mock = buyer.mock(home.path(), to, &offer).await;
            buyer.close().await;
            let policy = offer.in_force()?.into_owned();
            // The job may have named the dataset by an id.
            file.dataset.clone_from(&offer.manifest.body().name);
            let shown = rehearse(home, &file, &policy, &mock?).await.map_err(|e| pointed(&file, e))?;
            (policy, shown)
        }
        (None, Some(policy)) => {
            let policy = file::policy(policy)?;
            let shown = rehearse_own(home, &file, &policy, &args.mock).await.map_err(|e| pointed(&file, e))?;
            (policy, shown)
        }
        _ => anyhow::bail!("give --to PEER, or --mock FILE and --policy FILE"),
    };
    let telling = Telling::of(&shown.mechanism, &shown.result);
    if args.json {
        println!(
            "{}",
            serde_json::json!({ "answer": shown.answer.as_ref().map(|answer| table::json(answer, &telling)), "result": shown.result, "cell_notes": telling.notes(&shown.result), "mechanism": shown.mechanism, "noise": expected::noise(&shown.mechanism), "notes": expected::notes(&shown.mechanism), "split": shown.split, "trained": shown.trained, "lines": shown.said.lines, "fuel": shown.said.fuel })
        );
        return Ok(());
    }
    show::outcome(&shown.result, &telling, shown.answer.as_ref(), Some("--json prints them"));
    if let (Some(training), Some((weights, rounds))) = (&file.training, &shown.trained) {
        let weights = weights.iter().map(|w| computed(*w)).collect::<Vec<_>>().join(", ");
        println!(
            "weights after {rounds} of {} rounds: {weights}; the last round is above, all rounds are below",
            training.rounds
        );
    }
    let rounds = file.training.as_ref().map_or(1, |training| training.rounds);
    let all = numbers::price(shown.result.cost.times(rounds.into()), policy.delta_femto);
    match rounds {
        1 => println!("mock rows, real noise. The job would cost {all}"),
        _ => println!(
            "mock rows, real noise. The run would cost {all}, each round {}",
            numbers::price(shown.result.cost, policy.delta_femto)
        ),
    }
    show::noise(&shown.mechanism, &shown.split);
    if let Some(Fuel { limit, calls, least, mean, most }) = shown.said.fuel {
        println!(
            "{} took {least} to {most} fuel, {mean} on average; the limit of each is {limit}",
            count(calls, "call", "calls")
        );
    }
    // A repeated line is shown once, where it first came.
    let mut seen = Vec::<(&str, u64)>::new();
    let mut known = HashMap::new();
    for line in &shown.said.lines {
        let at = *known.entry(line.as_str()).or_insert_with(|| {
            seen.push((line, 0));
            seen.len() - 1
        });
        seen[at].1 += 1;
    }
    for (line, times) in seen.iter().take(MOST_LINES) {
        let times = if *times > 1 { format!("({times} times) ") } else { String::new() };
        println!("  program: {times}{}", line.split('\n').map(show::plain).collect::<Vec<_>>().join("\n    "));
    }
    if seen.len() > MOST_LINES {
        println!("  … and {}", count(seen.len() - MOST_LINES, "more line", "more lines"));
    }
    Ok(())
}
