//! `tidegate run`

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

use anyhow::Context as _;
use indicatif::ProgressBar;
use tidegate_node::{
    Address,
    buyer::{Buyer, fresh_request, now, save},
    home::Home,
    jobfile::JobFile,
    table,
    training::Run,
};
use tidegate_protocol::receipt::Predicate;

use crate::{
    file,
    place::{self, Place, Places},
    show,
};

/// What to run, where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job file.
    job: PathBuf,
    /// The owner's address, or its name in the address book, or that of a node that holds the dataset for it; if not given, where the owner's listing in the
    /// catalogue says that it is, or where that is not there, who holds it.
    #[arg(long)]
    to: Option<Place>,
    /// The owner's grant.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// A folder keeps result, receipt and proof for an auditor; a file ending in .arrow, .parquet, .csv or .json gets the table.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Request id, 32 hexadecimal characters: the same id and job is charged once and answered with the same bytes.
    #[arg(long)]
    request: Option<String>,
    /// Creation time in seconds since 1970, to send a job again byte for byte.
    #[arg(long)]
    created: Option<i64>,
    /// Have the owner's log say that this party has the result and its receipt.
    #[arg(long)]
    countersign: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let file = JobFile::read(&args.job)?;
    let grant = file::optional_grant(args.grant.as_deref())?;
    // A result that was paid for has a place to go to.
    match args.out.as_deref() {
        Some(path) if table::is_table(path) && file.training.is_none() => file::can_write("--out", path)?,
        Some(folder) => file::can_hold("--out", folder)?,
        None => {}
    }
    let places = place::of_jobs(home, args.to.as_ref(), &file.dataset, &grant)?;
    let buyer = Buyer::bind_to(home, &places.all).await?.showing(grant.as_str());
    let to = match chosen(&buyer, &places).await {
        Ok(to) => to,
        Err(e) => {
            buyer.close().await;
            return Err(e);
        }
    };
    let waiting = ProgressBar::new_spinner().with_message("the job is at the owner's node; replies leave at public ticks");
    waiting.enable_steady_tick(Duration::from_millis(200));
    if file.training.is_some() {
        let trained = tokio::select! {
            trained = train((&buyer, &to), &file, &grant, &args, &waiting) => trained,
            interrupted = tokio::signal::ctrl_c() => {
                waiting.finish_and_clear();
                interrupted.map_err(Into::into).and(Err(anyhow::anyhow!("interrupted")))
            }
        };
        buyer.close().await;
        return trained;
    }
    let request = args.request.clone().map_or_else(fresh_request, Ok)?;
    let created = args.created.unwrap_or_else(now);
    let outcome = tokio::select! {
        outcome = buyer.run(&to, &file, &grant, Some(request.clone()), Some(created)) => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            waiting.finish_and_clear();
            // The owner's node learns of it, and drops the job if it is not charged yet.
            buyer.close().await;
            anyhow::bail!(
                "interrupted. If the job was charged by then it goes on: get its result, at no further charge, with --request {request} --created {created}"
            );
        }
    };
    waiting.finish_and_clear();
    let countersigned = match &outcome {
        Ok((_, verified, _)) if args.countersign => Some(buyer.countersign(&to, verified).await),
        _ => None,
    };
    buyer.close().await;
    let (offer, verified, answer) = outcome?;
    // The result is there whatever becomes of this.
    let countersigned = countersigned.and_then(|word| {
        let failed =
            |e: &dyn std::fmt::Display| eprintln!("the receipt could not be countersigned: {}", show::plain(&e.to_string()));
        word.inspect_err(|e| failed(e)).ok()
    });
    if let Some(path) = args.out.as_deref().filter(|path| table::is_table(path)) {
        table::write(&verified.result, answer.as_ref(), path)?;
    } else if let Some(folder) = &args.out {
        let name = args.job.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        save(&verified, &to.peer, folder, &name)?;
        if let Some((_, word)) = &countersigned {
            file::write("--out", &folder.join(format!("receipts/{name}.countersignature.json")), word.to_canonical()?)?;
        }
    }
    let at = offer.policy.body().delta_femto;
    if args.json {
        let receipt = serde_json::json!({ "index": verified.index, "statement": verified.receipt });
        println!(
            "{}",
            serde_json::json!({ "answer": answer.as_ref().map(tidegate_node::table::json), "result": verified.result, "receipt": receipt,
                "remaining": verified.remaining, "earlier": verified.delivery.earlier.is_some(),
                "countersigned": countersigned.as_ref().map(|(index, _)| index) })
        );
        return Ok(());
    }
    show::outcome(&verified.result, answer.as_ref());
    if let Predicate::Outcome { facts, .. } = &verified.receipt.predicate {
        show::counted(&facts.mechanism);
    }
    let interval = if verified.result.cost.reviewed > 0 { "[rounding]" } else { "[95 % interval of the noise]" };
    println!("value {interval}; cost {}", show::price(verified.result.cost, at));
    if verified.delivery.earlier.is_some() {
        println!("this was asked before: the result that was released then, at no further cost. Another price buys fresh noise");
    }
    println!("left for you: {}; receipt {} of the owner's log, verified", show::price(verified.remaining, at), verified.index);
    if let Some((index, _)) = &countersigned {
        println!("entry {index} says that you have it");
    }
    Ok(())
}

/// The first place that is there. A grant is shown to its owner, and to who shows that owner's lease.
async fn chosen(buyer: &Buyer, places: &Places) -> anyhow::Result<Address> {
    let (first, others) = places.all.split_first().context("the owner's listing has no address")?;
    if let Some(owner) = &places.owner {
        let answers = buyer.answers_for(first, owner).await?;
        anyhow::ensure!(answers, "the grant is {owner}'s, and {} shows no lease of that owner's", first.peer);
        return Ok(first.clone());
    }
    if others.is_empty() {
        return Ok(first.clone());
    }
    let mut gone = None;
    for place in &places.all {
        match buyer.ping(place).await {
            Ok(()) => return Ok(place.clone()),
            Err(e) => {
                eprintln!("{} is not there: {e}", place.peer.short());
                gone = Some(e);
            }
        }
    }
    Err(gone.map_or_else(|| anyhow::anyhow!("nobody is there"), Into::into))
}

/// A training run: a line a round, the weights at the end.
async fn train(
    (buyer, to): (&Buyer, &Address),
    file: &JobFile,
    grant: &str,
    args: &Args,
    waiting: &ProgressBar,
) -> anyhow::Result<()> {
    let rounds = file.training.as_ref().map_or(0, |training| training.rounds);
    let run = Run::new(args.request.clone(), args.created)?;
    if !args.json {
        let Run { request, created, .. } = &run;
        waiting.suspend(|| {
            eprintln!("to go on after a break, at no further charge for what was run: --request {request} --created {created}")
        });
    }
    let (mut at, mut left, mut unsaved) = (None, None, None);
    let stem = args.job.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let trained = buyer
        .train(to, file, grant, &run, |round, offer, verified, _| {
            waiting.set_message(format!("round {} of {rounds} is done, receipt {}", round + 1, verified.index));
            (at, left) = (Some(offer.policy.body().delta_femto), Some(verified.remaining));
            let saved = args.out.as_ref().map(|folder| save(verified, &to.peer, folder, &format!("{stem}-{:04}", round + 1)));
            match saved {
                Some(Err(e)) => {
                    unsaved = Some(e);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        })
        .await;
    waiting.finish_and_clear();
    if let Some(e) = unsaved {
        return Err(e.into());
    }
    let trained = trained?;
    let text = serde_json::to_string(&trained)?;
    if let Some(folder) = &args.out {
        file::write("--out", &folder.join(format!("{stem}-weights.json")), &text)?;
    }
    if args.json {
        println!("{text}");
        return Ok(());
    }
    println!("weights after {} rounds:", trained.rounds);
    trained.weights.iter().enumerate().for_each(|(i, w)| println!("  [{i}]  {w:.6}"));
    if let (Some(at), Some(left)) = (at, left) {
        println!("cost {}; a receipt a round, each verified", show::price(trained.cost, at));
        println!("left for you: {}", show::price(left, at));
    }
    Ok(())
}
