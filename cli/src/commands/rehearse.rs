//! `tidegate rehearse`

use std::{collections::HashMap, path::PathBuf};

use tidegate_node::{
    buyer::Buyer,
    expected,
    home::Home,
    rehearse::{Fuel, rehearse, rehearse_own},
    table,
    telling::Telling,
};

use crate::{
    file,
    place::Place,
    question::{Question, pointed},
    show,
};

/// Most different lines of the program that are shown; `--json` has all.
const MOST_LINES: usize = 40;

/// What to rehearse, on which rows.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    question: Question,
    /// Fetch policy and mock rows from this owner, where the dataset was published with some (`tidegate publish --mock`).
    #[arg(long, conflicts_with_all = ["mock", "policy"], required_unless_present = "mock")]
    to: Option<Place>,
    /// Mock rows of one's own: any files that could be published; where the policy has tables, TABLE=FILE, once for each.
    #[arg(long, requires = "policy")]
    mock: Vec<PathBuf>,
    /// The policy, TOML.
    #[arg(long, requires = "mock")]
    policy: Option<PathBuf>,
    /// A grant, where the owner does not give mock rows to everybody.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    // Mock rows of one's own have no name.
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
            // By whatever of its names it was found.
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
    show::outcome(&shown.result, &telling, shown.answer.as_ref());
    if let (Some(training), Some((weights, rounds))) = (&file.training, &shown.trained) {
        let weights = weights.iter().map(|w| format!("{w:.4}")).collect::<Vec<_>>().join(", ");
        println!("weights after {rounds} of {} rounds: {weights}; above is the last of them, below each", training.rounds);
    }
    let rounds = file.training.as_ref().map_or(1, |training| training.rounds);
    let all = show::price(shown.result.cost.times(rounds.into()), policy.delta_femto);
    match rounds {
        1 => println!("mock rows, real noise. The job would cost {all}"),
        _ => println!(
            "mock rows, real noise. The run would cost {all}, each round {}",
            show::price(shown.result.cost, policy.delta_femto)
        ),
    }
    show::noise(&shown.mechanism, &shown.split);
    if let Some(Fuel { limit, calls, least, mean, most }) = shown.said.fuel {
        println!("{calls} calls took {least} to {most} fuel, {mean} on average; each may take {limit}");
    }
    // Where one line comes again and again it is shown once, in the place where it came first.
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
        println!("  … and {} more lines", seen.len() - MOST_LINES);
    }
    Ok(())
}
