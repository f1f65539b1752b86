//! `tidegate pending`, `approve`, `deny`

use tidegate_catalog::dataset::load_all;
use tidegate_node::{home::Home, review};
use tidegate_protocol::{Job, Signed, job::Program};

use crate::show;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct PendingArgs {
    /// Print JSON, a line a job.
    #[arg(long)]
    json: bool,
}

/// Which job.
#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The job's id, or how it begins.
    job: String,
}

fn details(home: &Home, job: &Signed<Job>) -> anyhow::Result<serde_json::Value> {
    let body = job.body();
    let dataset = load_all(&home.datasets())?.into_iter().find(|d| d.manifest.id() == body.dataset);
    let name = dataset.map_or_else(|| body.dataset.to_string(), |d| d.manifest.body().name.clone());
    let keys = if let Program::Sql { keys, .. } = &body.program { keys.clone() } else { None };
    // Not opened here: they are a stranger's bytes.
    let tables = Some(review::tables(home, &job.id())).filter(|path| path.exists());
    Ok(serde_json::json!({ "job": job.id(), "buyer": job.signer(), "dataset": name, "query": body.program.sql(), "keys": keys,
        "tables": tables, "program": body.bound(), "created": body.created }))
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
        // Line by line: a buyer's line break must not look like ours.
        for line in details["query"].as_str().unwrap_or_default().lines() {
            println!("  | {}", show::plain(line));
        }
        if let Some(path) = details["tables"].as_str() {
            println!("  joined to tables that the buyer sent, which are part of the question: Arrow IPC streams in {path}");
        }
        if !details["keys"].is_null() {
            println!("  for the groups {}", show::plain(&details["keys"].to_string()));
        }
    }
    if waiting.is_empty() && !args.json {
        println!("no job waits");
    } else if !args.json {
        println!("Its result would be exact, by the policy's [reviewed] rules. `tidegate approve HASH` or `tidegate deny HASH`");
    }
    Ok(())
}

pub(crate) fn approve(home: &Home, args: &OneArgs) -> anyhow::Result<()> {
    let job = review::approve(home, &args.job)?;
    println!("approved {}: {} gets the result on asking again", job.id(), job.signer().short());
    Ok(())
}

pub(crate) fn deny(home: &Home, args: &OneArgs) -> anyhow::Result<()> {
    let job = review::deny(home, &args.job)?;
    println!("denied {}", job.id());
    Ok(())
}
