//! `tidegate results`

use std::path::PathBuf;

use anyhow::Context as _;
use tidegate_node::{
    buyer::{
        results::{Kept, Results, can_save, can_write, save},
        table,
    },
    client::{Buyer, Verified},
    home::Home,
};
use tidegate_protocol::PeerId;

use crate::{
    file,
    numbers::{self, time},
    place::Place,
    show, words,
};

/// Commands on this party's requests and their results.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// List the requests: id, time, whether an answer came, dataset, cost, and the first line of the query.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Show a query and its result, verified again.
    Show {
        /// Id of the request, or at least six of its first characters.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a result to a folder for an auditor, or to a table.
    Export {
        /// As in `show`.
        id: String,
        /// A folder keeps result, receipt and proof; a file ending in .csv, .arrow, .parquet or .json gets the table.
        /// A folder's name has no ending, or a slash after it.
        #[arg(long)]
        out: PathBuf,
        /// Overwrite existing files.
        #[arg(long)]
        force: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask for the missing answer to a request: with the same job, which is charged once.
    Fetch {
        /// As in `show`.
        id: String,
        /// Address of the owner's node now, if not where the job was sent.
        #[arg(long)]
        to: Option<Place>,
        /// How long to retry while the node is busy or gone.
        #[arg(long, default_value = "1m")]
        wait: humantime::Duration,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let results = Results::of(home);
    match args {
        Args::List { json } => list(&results.list()?, json),
        Args::Show { id, json } => {
            let kept = results.find(&id)?;
            let (_, verified) = answered(&kept)?;
            one(&kept, &verified, json).await
        }
        Args::Export { id, out, force, json } => export(&results.find(&id)?, &out, force, json).await,
        Args::Fetch { id, to, wait, json } => {
            let kept = results.find(&id)?;
            let to = to.map_or_else(|| Ok(kept.to.clone()), |to| to.at(home))?;
            let buyer = Buyer::bind(home, &to).await?.patient(*wait);
            let fetched = buyer.fetch_again(&to, &kept).await;
            buyer.close().await;
            one(&kept, &fetched?, json).await
        }
    }
}

/// Number of characters before a query in the list.
const QUERY_INDENT: usize = 4;

fn list(all: &[Kept], json: bool) -> anyhow::Result<()> {
    for kept in all {
        let (job, state) = (kept.job.body(), if kept.is_answered() { "answered" } else { "pending" });
        if json {
            println!(
                "{}",
                serde_json::json!({ "request": kept.id, "job": kept.job.id(), "created": job.created, "to": kept.to.to_string(),
                    "dataset": kept.dataset(), "version": job.dataset, "query": kept.query(), "cost": job.cost, "state": state })
            );
            continue;
        }
        let price = numbers::price(job.cost, kept.offer.policy.body().delta_femto);
        println!("{}  {}  {state}  {}  {price}", kept.id, time(job.created), show::plain(kept.dataset()));
        println!("    {}", words::first_line(kept.query(), QUERY_INDENT));
        if !kept.is_answered() {
            println!("    sent to {}: `tidegate results fetch {}` gets the answer, at no further charge", kept.to, kept.id);
        }
    }
    if all.is_empty() && !json {
        println!("no requests yet");
    }
    Ok(())
}

fn answered(kept: &Kept) -> anyhow::Result<(PeerId, Verified)> {
    let id = &kept.id;
    kept.verified()?.with_context(|| format!("request {id} has no answer yet: get it with `tidegate results fetch {id}`"))
}

async fn one(kept: &Kept, verified: &Verified, json: bool) -> anyhow::Result<()> {
    let (answer, telling) = (kept.answer(verified).await, verified.telling());
    if json {
        let receipt = serde_json::json!({ "index": verified.index, "statement": verified.receipt });
        println!(
            "{}",
            serde_json::json!({ "request": kept.id, "query": kept.query(),
                "answer": answer.as_ref().map(|answer| table::json(answer, &telling)), "result": verified.result, "cell_notes": telling.notes(&verified.result),
                "receipt": receipt, "remaining": verified.remaining, "earlier": verified.delivery.earlier.is_some() })
        );
        return Ok(());
    }
    println!("{}, asked at {} of {}", show::plain(kept.dataset()), time(kept.job.body().created), kept.to.peer);
    words::text(kept.query()).iter().for_each(|line| println!("  {line}"));
    show::verified(verified, answer.as_ref(), kept.offer.policy.body().delta_femto, None);
    Ok(())
}

async fn export(kept: &Kept, out: &std::path::Path, force: bool, json: bool) -> anyhow::Result<()> {
    let (owner, verified) = answered(kept)?;
    if table::is_table(out) {
        can_write(out, force).map_err(|e| file::of("--out", &e))?;
        table::write(&verified.result, &verified.telling(), kept.answer(&verified).await.as_ref(), out)?;
    } else {
        can_save(Some(&owner), out, &kept.id, force).map_err(|e| file::of("--out", &e))?;
        save(&verified, &owner, out, &kept.id, force)?;
    }
    match json {
        true => println!("{}", serde_json::json!({ "request": kept.id, "out": out })),
        false => println!("written to {}", out.display()),
    }
    Ok(())
}
