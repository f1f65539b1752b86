//! `tidegate fetch`

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tidegate_exchange::NetError;
use tidegate_node::{NodeError, client::Buyer, home::Home};

use crate::{
    file, numbers,
    place::{self, Place},
    show::{bytes_bar, report},
};

/// Options of `tidegate fetch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The dataset's name or manifest id.
    dataset: String,
    /// The owner's address, or its name in the address book; if not given, the address in its listing in the catalogue.
    #[arg(long)]
    to: Option<Place>,
    /// Mirror with the encrypted dataset: its address, or its name in the address book. May be given more than once; the owner,
    /// if given, is a further source.
    #[arg(long)]
    from: Vec<Place>,
    /// The owner's grant.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Folder for the files.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let grant = file::optional_grant(args.grant.as_deref())?;
    let grant = grant.as_str();
    let mut sources = args.from.iter().map(|place| place.at(home)).collect::<anyhow::Result<Vec<_>>>()?;
    let is_sealed = !sources.is_empty();
    if args.to.is_some() || !is_sealed {
        sources.push(place::of(home, args.to.as_ref(), &args.dataset, grant)?);
    }
    let mirrors = if is_sealed { vec![] } else { place::mirrors(home, &args.dataset, grant)? };
    let all = [sources.as_slice(), &mirrors].concat();
    let buyer = Buyer::bind_to(home, &all).await?.showing(grant);
    let bar = bytes_bar()?;
    // Ctrl-C stops cleanly: what has come is kept, and the same command resumes.
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        asked.store(true, Ordering::Relaxed);
    });
    let mut progress = |name: &str, done, total| {
        report(&bar, name, done, total);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let asked = (args.dataset.as_str(), grant);
    let fetched = match sources.as_slice() {
        [owner] if !is_sealed => match buyer.fetch(home.path(), owner, asked, &args.out, &mut progress).await {
            Err(NodeError::Net(NetError::Unreachable { .. })) if !mirrors.is_empty() => {
                eprintln!("{} is not reachable: fetching from its mirrors", owner.peer.short());
                buyer.fetch_sealed(home.path(), &mirrors, asked, &args.out, &mut progress).await.map(|(_, files)| files)
            }
            fetched => fetched,
        },
        sources => buyer.fetch_sealed(home.path(), sources, asked, &args.out, &mut progress).await.map(|(_, files)| files),
    };
    bar.finish_and_clear();
    buyer.close().await;
    for file in fetched? {
        if args.json {
            println!("{}", serde_json::to_string(&file)?);
            continue;
        }
        // Standard output has only the files' names, for other programs.
        println!("{}", file.path.display());
        if file.came < file.bytes {
            eprintln!("fetched {} of {}: the rest was already here", numbers::bytes(file.came), numbers::bytes(file.bytes));
        }
    }
    Ok(())
}
