//! `tidegate run`

use std::{io::IsTerminal as _, ops::ControlFlow, path::PathBuf, time::Duration};

use anyhow::Context as _;
use indicatif::ProgressBar;
use tidegate_node::{
    Address,
    buyer::{answer::Answer, job_file::JobFile, results, table, training::Run},
    client::{Buyer, Verified, fresh_request, now},
    home::Home,
};
use tidegate_protocol::{Envelope, PeerId};

use crate::{
    file,
    numbers::{self, computed, count, time},
    place::{self, Place, Places},
    question::{Question, pointed},
    show,
};

/// Options of `tidegate run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Question,
    /// Address, or name in the address book, of the owner or of a node that holds the dataset for it; if not given, the address
    /// in the owner's listing in the catalogue, or a holder's if the owner is not there.
    #[arg(long)]
    to: Option<Place>,
    /// The owner's grant.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// A folder keeps result, receipt and proof for an auditor; a file ending in .csv, .arrow, .parquet or .json gets the table. A
    /// folder's name has no ending, or a slash after it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Request id, 32 hexadecimal characters: the same job under the same id is charged once and answered with the same bytes.
    #[arg(long)]
    request: Option<String>,
    /// Creation time in seconds since 1970, to send a job again byte for byte.
    #[arg(long)]
    created: Option<i64>,
    /// Overwrite existing files at --out.
    #[arg(long)]
    force: bool,
    /// Ask even if the same was asked before, which is charged again unless the owner repeats its answer for nothing. Without
    /// this, a user at a terminal is asked first, and a script is refused.
    #[arg(long)]
    again: bool,
    /// How long to retry while the node is busy, or gone after the job was sent.
    #[arg(long, default_value = "1m")]
    wait: humantime::Duration,
    /// Have the owner's log say that this party has the result and its receipt.
    #[arg(long)]
    countersign: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let grant = file::optional_grant(args.grant.as_deref())?;
    // The date in the query is the job's, since the job may be sent again byte for byte.
    let created = args.created.unwrap_or_else(now);
    let file = args.asked.file(home, args.to.as_ref(), &grant, Some(created)).await?;
    can_leave(&args, &file, None)?;
    let places = place::of_jobs(home, args.to.as_ref(), &file.dataset, &grant)?;
    let buyer = Buyer::bind_to(home, &places.all).await?.showing(grant.as_str()).patient(*args.wait);
    let to = chosen(&buyer, &places).await.and_then(|to| can_leave(&args, &file, Some(&to.peer)).map(|()| to));
    let to = match to {
        Ok(to) => to,
        Err(e) => {
            buyer.close().await;
            return Err(e);
        }
    };
    if file.training.is_none() && args.request.is_none() && !args.again {
        match asked_before(&buyer, &to, &file, &grant).await {
            Ok(true) => {}
            stopped => {
                buyer.close().await;
                return stopped.map(drop);
            }
        }
    }
    let waiting = ProgressBar::new_spinner()
        .with_message("the job is at the owner's node, which replies at the end of a public release interval");
    waiting.enable_steady_tick(Duration::from_millis(200));
    if file.training.is_some() {
        let trained = tokio::select! {
            trained = train((&buyer, &to), &file, &grant, &args, &waiting) => trained,
            interrupted = tokio::signal::ctrl_c() => {
                waiting.finish_and_clear();
                interrupted.map_err(Into::into).and(Err(anyhow::anyhow!("interrupted: `tidegate results list` shows the requests")))
            }
        };
        buyer.close().await;
        return trained;
    }
    let request = args.request.clone().map_or_else(fresh_request, Ok)?;
    let outcome = tokio::select! {
        outcome = buyer.run(&to, &file, &grant, Some(request.clone()), Some(created)) => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            waiting.finish_and_clear();
            // The owner's node notices, and drops the job if it is not charged yet.
            buyer.close().await;
            anyhow::bail!(
                "interrupted. A charged job continues: get its result, at no further charge, with `tidegate results fetch {request}`, \
                 or --request {request} --created {created}"
            );
        }
    };
    waiting.finish_and_clear();
    let countersigned = match &outcome {
        Ok((_, verified, _)) if args.countersign => Some(buyer.countersign(&to, verified).await),
        _ => None,
    };
    buyer.close().await;
    let (offer, verified, answer) = outcome.map_err(|e| pointed(&file, e))?;
    // The result is there even if this fails.
    let countersigned = countersigned.and_then(|word| {
        let failed = |e: &dyn std::fmt::Display| eprintln!("cannot countersign the receipt: {}", show::plain(&e.to_string()));
        word.inspect_err(|e| failed(e)).ok()
    });
    let left = leave(&args, &to, (&verified, answer.as_ref()), countersigned.as_ref().map(|(_, word)| word));
    let at = offer.policy.body().delta_femto;
    if args.json {
        let telling = verified.telling();
        let receipt = serde_json::json!({ "index": verified.index, "statement": verified.receipt });
        println!(
            "{}",
            serde_json::json!({ "answer": answer.as_ref().map(|answer| table::json(answer, &telling)), "result": verified.result,
                "cell_notes": telling.notes(&verified.result), "receipt": receipt,
                "remaining": verified.remaining, "earlier": verified.delivery.earlier.is_some(),
                "countersigned": countersigned.as_ref().map(|(index, _)| index) })
        );
        return left;
    }
    let elsewhere = format!("`tidegate results show {request}` shows them");
    show::verified(&verified, answer.as_ref(), at, Some(&elsewhere));
    if let Some((index, _)) = &countersigned {
        println!("entry {index} countersigns the receipt");
    }
    left
}

/// Checks before payment that a result can be written. With --request, the files may be there already.
fn can_leave(args: &Args, file: &JobFile, owner: Option<&PeerId>) -> anyhow::Result<()> {
    let Some(out) = args.out.as_deref() else { return Ok(()) };
    let checked = if table::is_table(out) && file.training.is_none() {
        results::can_write(out, args.force)
    } else {
        let name = if file.training.is_some() { round(&args.asked.stem(), 0) } else { args.asked.stem() };
        results::can_save(owner, out, &name, args.force || args.request.is_some())
    };
    checked.map_err(|e| file::of("--out", &e))
}

/// Writes a result to --out. The buyer's home keeps a copy in any case.
fn leave(
    args: &Args,
    to: &Address,
    (verified, answer): (&Verified, Option<&Answer>),
    word: Option<&Envelope>,
) -> anyhow::Result<()> {
    let Some(out) = &args.out else { return Ok(()) };
    let name = args.asked.stem();
    let written = if table::is_table(out) {
        table::write(&verified.result, &verified.telling(), answer, out).map_err(Into::into)
    } else {
        let saved = results::save(verified, &to.peer, out, &name, args.force).map_err(anyhow::Error::from);
        saved.and_then(|()| match word {
            Some(word) => file::write("--out", &out.join(format!("receipts/{name}.countersignature.json")), word.to_canonical()?),
            None => Ok(()),
        })
    };
    let id = args.request.as_deref().unwrap_or(&verified.result.job.to_string()).to_owned();
    written.with_context(|| {
        format!("the result is verified and stored, but --out could not be written: write it with `tidegate results export {id} --out FILE`")
    })
}

/// Tells the cost of asking exactly the same again, and offers the kept result. Returns whether to go on.
///
/// # Errors
/// Fails if the job would be charged again and there is no terminal on which to agree.
async fn asked_before(buyer: &Buyer, to: &Address, file: &JobFile, grant: &str) -> anyhow::Result<bool> {
    let asking = buyer.prepare(to, file, grant, None, None).await?;
    let Some(kept) = buyer.asked_before(&asking)? else { return Ok(true) };
    let (id, policy) = (&kept.id, asking.offer.in_force()?);
    let (when, price) = (time(kept.job.body().created), numbers::price(asking.job.body().cost, policy.delta_femto));
    let said = match (kept.is_answered(), policy.answer_again) {
        (true, true) => {
            eprintln!("the same job was sent at {when}: the owner sends the same released result again, without a charge");
            return Ok(true);
        }
        (true, false) => format!(
            "the same job was sent at {when}: a new request is charged again ({price}). The earlier result is stored: `tidegate results show {id}`"
        ),
        (false, _) => format!(
            "the same job was sent at {when} without an answer, and may have been charged. Get its result with `tidegate results fetch {id}`; a new \
             request is charged again ({price})"
        ),
    };
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        anyhow::bail!("{said}. Nothing was sent: --again sends it anyway");
    }
    eprintln!("{said}\nsend it anyway? [y/N]");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}

fn round(stem: &str, round: u32) -> String {
    format!("{stem}-{:04}", round + 1)
}

/// Returns the first place to answer. A grant is shown to its owner, and to a peer with this owner's lease.
async fn chosen(buyer: &Buyer, places: &Places) -> anyhow::Result<Address> {
    let (first, others) =
        places.all.split_first().context("the owner's listing has no address: give the owner's node with --to PEER")?;
    if let Some(owner) = &places.owner {
        let answers = buyer.answers_for(first, owner).await?;
        anyhow::ensure!(
            answers,
            "the grant was issued by {owner}, and {} shows no lease of that owner: give the owner's node with --to",
            first.peer
        );
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
                eprintln!("{} is not reachable: {e}", place.peer.short());
                gone = Some(e);
            }
        }
    }
    Err(gone.map_or_else(|| anyhow::anyhow!("no node is reachable: try again, or give a node with --to PEER"), Into::into))
}

/// Runs a training run: a message for each round, the weights at the end.
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
            eprintln!("to continue after an interruption, without a second charge for finished rounds: --request {request} --created {created}")
        });
    }
    let (mut at, mut left, mut unsaved) = (None, None, None);
    let stem = args.asked.stem();
    let trained = buyer
        .train(to, file, grant, &run, |round, offer, verified, _| {
            waiting.set_message(format!("round {} of {rounds} is done, receipt {}", round + 1, verified.index));
            (at, left) = (Some(offer.policy.body().delta_femto), Some(verified.remaining));
            let saved =
                args.out.as_ref().map(|folder| results::save(verified, &to.peer, folder, &self::round(&stem, round), args.force));
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
    println!("weights after {}:", count(trained.rounds, "round", "rounds"));
    trained.weights.iter().enumerate().for_each(|(i, w)| println!("  [{i}]  {}", computed(*w)));
    if let (Some(at), Some(left)) = (at, left) {
        println!("cost {}; a receipt a round, each verified", numbers::price(trained.cost, at));
        println!("your remaining budget: {}", numbers::price(left, at));
    }
    Ok(())
}
