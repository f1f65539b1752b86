//! `tidegate pending`, `approve`, `deny`

use tidegate_catalog::dataset::load_all;
use tidegate_node::{home::Home, owner::jobs::review};
use tidegate_protocol::{
    Job, Signed,
    job::{Key, Program},
};

use crate::show;

/// Options of `tidegate pending`.
#[derive(Debug, clap::Args)]
pub(crate) struct PendingArgs {
    /// Print JSON, a line for each job.
    #[arg(long)]
    json: bool,
}

/// A waiting job.
#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// Id of the job, or a prefix.
    job: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Describes an exact table that has left, as JSON.
fn table(other: &review::Beside) -> serde_json::Value {
    let (job, body) = (&other.job, other.job.body());
    serde_json::json!({ "job": job.id(), "buyer": job.signer(), "dataset": body.dataset, "query": body.program.sql(), "keys": keys(body),
        "measured": other.measured, "told": other.told })
}

fn keys(job: &Job) -> Option<Vec<Vec<Key>>> {
    if let Program::Sql { keys, .. } = &job.program { keys.clone() } else { None }
}

/// Prints a query line by line: a buyer's line break must not look like ours.
fn print_query(details: &serde_json::Value) {
    for line in details["query"].as_str().unwrap_or_default().lines() {
        println!("  | {}", show::plain(line));
    }
}

/// Options of `tidegate approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Exact result about the same people that has left, and that you have read beside this one: at least 8 first characters of
    /// its job's id.
    #[arg(long, value_name = "JOB")]
    beside: Vec<String>,
}

fn details(home: &Home, job: &Signed<Job>) -> anyhow::Result<serde_json::Value> {
    let body = job.body();
    let dataset = load_all(&home.datasets())?.into_iter().find(|d| d.manifest.id() == body.dataset);
    let name = dataset.map_or_else(|| body.dataset.to_string(), |d| d.manifest.body().name.clone());
    let keys = keys(body);
    // Not opened here: the content is a stranger's.
    let tables = Some(review::tables(home, &job.id())).filter(|path| path.exists());
    let beside: Vec<_> = review::beside(home, job)?.iter().map(table).collect();
    Ok(
        serde_json::json!({ "beside": beside, "job": job.id(), "buyer": job.signer(), "dataset": name, "query": body.program.sql(), "keys": keys,
        "tables": tables, "program": body.bound(), "created": body.created }),
    )
}

pub(crate) fn pending(home: &Home, args: PendingArgs) -> anyhow::Result<()> {
    let waiting = review::pending(home)?;
    for one in &waiting {
        let details = details(home, &one.job)?;
        if args.json {
            println!("{details}");
            continue;
        }
        let text = |field: &str| show::plain(details[field].as_str().unwrap_or_default());
        println!("{}", one.job.id());
        println!("  by {} on {}", one.job.signer(), text("dataset"));
        print_query(&details);
        if let Some(path) = details["tables"].as_str() {
            println!("  joined to the buyer's tables, which are part of the question: Arrow IPC streams in {path}");
        }
        if !details["keys"].is_null() {
            println!("  for the groups {}", show::plain(&details["keys"].to_string()));
        }
        for other in details["beside"].as_array().into_iter().flatten() {
            println!("  beside this released exact result about the same people: {}", other["job"].as_str().unwrap_or_default());
            println!("  by {} on {}", show::plain(&other["buyer"].to_string()), show::plain(&other["dataset"].to_string()));
            print_query(other);
            if !other["keys"].is_null() {
                println!("  for the groups {}", show::plain(&other["keys"].to_string()));
            }
            println!("  {}", show::plain(other["told"].as_str().unwrap_or_default()));
        }
    }
    if waiting.is_empty() && !args.json {
        println!("no job waits");
    } else if !args.json {
        println!("Its result would be exact, by the policy's [reviewed] rules. `tidegate approve HASH` or `tidegate deny HASH`");
    }
    Ok(())
}

pub(crate) fn approve(home: &Home, args: &ApproveArgs) -> anyhow::Result<()> {
    let (job, beside) = review::approve(home, &args.one.job, &args.beside)?;
    if args.one.json {
        let beside: Vec<_> = beside.iter().map(table).collect();
        println!("{}", serde_json::json!({ "job": job.id(), "buyer": job.signer(), "beside": beside }));
        return Ok(());
    }
    for other in beside {
        println!("beside {}: {}", other.job.id(), show::plain(&other.told));
    }
    println!("approved {}: {} gets the result by sending the job again", job.id(), job.signer().short());
    Ok(())
}

pub(crate) fn deny(home: &Home, args: &OneArgs) -> anyhow::Result<()> {
    let job = review::deny(home, &args.job)?;
    match args.json {
        true => println!("{}", serde_json::json!({ "job": job.id() })),
        false => println!("denied {}", job.id()),
    }
    Ok(())
}
