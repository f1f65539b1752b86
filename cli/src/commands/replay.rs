//! `tidegate replay`

use std::{path::PathBuf, process::ExitCode};

use indicatif::{ProgressBar, ProgressStyle};
use tidegate_node::{
    auditor::replay::{Ask, Replayed, Verdict, replay},
    client::Buyer,
    home::Home,
};

use crate::{file, place::Place, show::plain};

/// Options of `tidegate replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Index of the receipt in the owner's log.
    entry: u64,
    /// The owner's address, or its name in the address book.
    #[arg(long)]
    to: Place,
    /// Grant with the action `replay`.
    #[arg(long)]
    grant: PathBuf,
    /// Folder with the dataset's files, as left by `tidegate fetch`.
    #[arg(long)]
    data: PathBuf,
    /// The buyer's copy of the receipt (`….dsse.json`): the entry must be the same.
    #[arg(long)]
    receipt: Option<PathBuf>,
    /// Attachment of the job (component with its data, model, public tables), if no longer kept by the owner.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let grant = file::grant("--grant", &args.grant)?;
    let receipt = args.receipt.as_ref().map(|path| file::bytes("--receipt", path)).transpose()?;
    let ask = Ask { entry: args.entry, receipt, grant: &grant, data: &args.data, program: args.program.clone() };
    let to = args.to.at(home)?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant.as_str());
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}, {elapsed}")?);
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let mut report = |what: &str| bar.set_message(plain(what));
    let replayed = tokio::select! {
        replayed = replay(home, &buyer, &to, ask, &mut report) => replayed,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped: the same command starts again from the beginning"),
    };
    bar.finish_and_clear();
    buyer.close().await;
    let replayed = replayed?;
    if args.json {
        println!("{}", serde_json::to_string(&replayed)?)
    } else {
        page(&replayed)
    }
    Ok(if replayed.verdict == Verdict::Different { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn page(replayed: &Replayed) {
    let Replayed { entry, job, buyer, dataset, .. } = replayed;
    println!("entry {entry}: job {} of {} on {}", job.short(), buyer.short(), plain(dataset));
    println!("  the rows match the publication; noise and cost match the job and the policy");
    match replayed.verdict {
        Verdict::Same => println!("  SAME: the receipt commits to the sums that this machine computed"),
        Verdict::PublicDefault => {
            println!(
                "  DEFAULT: the receipt commits to the fallback value, not to sums of rows: the job failed at the owner's node, or did not run"
            );
        }
        Verdict::Different => println!("  DIFFERENT: the receipt commits to other sums than this machine computed"),
    }
    if let Some(why) = &replayed.failed {
        println!("  the job failed here: {}", plain(why));
    }
    for other in &replayed.other_here {
        println!("  possible reason: {}", plain(other));
    }
    println!("  not proven: that the noise was drawn honestly, and that the result is exactly these sums with this noise");
}
