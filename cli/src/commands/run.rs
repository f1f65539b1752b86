//! `tidegate run`

use std::{path::PathBuf, time::Duration};

use indicatif::ProgressBar;
use tidegate_node::{
    Address,
    buyer::{Buyer, save},
    home::Home,
    jobfile::JobFile,
    table,
};

use crate::show;

/// What to run, where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job file.
    job: PathBuf,
    /// The owner's address.
    #[arg(long)]
    to: Address,
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let file = JobFile::read(&args.job)?;
    let grant = args.grant.map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let buyer = Buyer::bind(home.identity()?, &args.to).await?;
    let waiting = ProgressBar::new_spinner().with_message("the job is at the owner's node; replies leave at public ticks");
    waiting.enable_steady_tick(Duration::from_millis(200));
    let outcome = buyer.run(&args.to, &file, grant.trim(), args.request, args.created).await;
    waiting.finish_and_clear();
    buyer.close().await;
    let (offer, verified, answer) = outcome?;
    if let Some(path) = args.out.as_deref().filter(|path| table::is_table(path)) {
        table::write(&verified.result, answer.as_ref(), path)?;
    } else if let Some(folder) = &args.out {
        let name = args.job.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        save(&verified, &args.to.peer, folder, &name)?;
    }
    let at = offer.policy.body().delta_femto;
    if args.json {
        let receipt = serde_json::json!({ "index": verified.index, "statement": verified.receipt });
        println!(
            "{}",
            serde_json::json!({ "answer": answer.as_ref().map(show::answer_json), "result": verified.result, "receipt": receipt,
                "remaining": verified.remaining, "earlier": verified.delivery.earlier.is_some() })
        );
        return Ok(());
    }
    show::outcome(&verified.result, answer.as_ref());
    let interval = if verified.result.cost.reviewed > 0 { "[rounding]" } else { "[95 % interval of the noise]" };
    println!("value {interval}; cost {}", show::price(verified.result.cost, at));
    if verified.delivery.earlier.is_some() {
        println!("this was asked before: the result that was released then, at no further cost. Another price buys fresh noise");
    }
    println!("left for you: {}; receipt {} of the owner's log, verified", show::price(verified.remaining, at), verified.index);
    Ok(())
}
