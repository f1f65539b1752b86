//! `tidegate hold`

use std::path::PathBuf;

use tidegate_node::{
    client::Buyer,
    home::Home,
    owner::{
        leases::{begin, store},
        publish::Progress,
    },
};
use tidegate_protocol::ContentHash;

use crate::{
    file,
    numbers::count,
    place::Place,
    show::{bytes_bar, report},
};

/// Commands on held datasets.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Answer jobs over another owner's dataset: its files are here, and `tidegate serve` asks for a part of its budget.
    Begin(Begin),
    /// Show the held datasets.
    List(List),
    /// Stop answering jobs over a dataset. Stop `tidegate serve` first, which gives back the rest of the budget.
    Drop(Drop),
}

/// Options of `tidegate hold begin`.
#[derive(Debug, clap::Args)]
pub(crate) struct Begin {
    /// The dataset's name or manifest id.
    dataset: String,
    /// The owner's address, or its name in the address book.
    #[arg(long)]
    to: Place,
    /// The owner's grant, with the action `hold`.
    #[arg(long)]
    grant: PathBuf,
    /// Folder with the dataset's files, as left by `tidegate fetch`. If not given, no rows are kept here except the columns that
    /// jobs read, which come from the owner when the first job reads them: the grant needs `replicate` too.
    #[arg(long)]
    data: Option<PathBuf>,
    /// ρ of the part of the budget to ask for at a time; the same share of pure ε and δ is asked for.
    #[arg(long, default_value_t = 0.1)]
    rho: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `tidegate hold list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

/// Options of `tidegate hold drop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drop {
    /// Dataset lineage, the `population` shown by `tidegate hold list`.
    population: ContentHash,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Begin(args) => hold(home, args).await,
        Args::List(args) => list(home, &args),
        Args::Drop(args) => {
            store::forget(home, &args.population)?;
            match args.json {
                true => println!("{}", serde_json::json!({ "population": args.population })),
                false => println!("dropped {}", args.population),
            }
            Ok(())
        }
    }
}

async fn hold(home: &Home, args: Begin) -> anyhow::Result<()> {
    let owner = args.to.at(home)?;
    let token = file::grant("--grant", &args.grant)?;
    let buyer = Buyer::bind(home, &owner).await?.showing(token.as_str());
    let bar = bytes_bar()?;
    let shown = bar.clone();
    let progress = move |progress| match progress {
        Progress::Hashing { file, done, total } => report(&shown, &file, done, total),
        Progress::Checking { rows } => shown.set_message(format!("checking: {}", count(rows, "row", "rows"))),
        Progress::Ordering { rows } => shown.set_message(format!("ordering by unit: {}", count(rows, "row", "rows"))),
        // These notes are for the owner, who has seen them.
        Progress::Noted { .. } => {}
    };
    let ask = begin::Ask { owner: &owner, dataset: &args.dataset, grant: &token, data: args.data.as_deref(), rho: args.rho };
    let begun = begin::begin(home, &buyer, ask, Box::new(progress)).await;
    bar.finish_and_clear();
    buyer.close().await;
    let (held, name) = begun?;
    if args.json {
        println!("{}", serde_json::json!({ "population": held.population, "owner": held.place.owner, "name": name }));
        return Ok(());
    }
    println!(
        "this party is a replica of {name} ({}) for {}. Answer jobs with `tidegate serve`",
        held.population, held.place.owner
    );
    Ok(())
}

fn list(home: &Home, args: &List) -> anyhow::Result<()> {
    for one in store::load_all(home)? {
        let fresh = one.list.as_ref().map(|list| list.body().expires.clone());
        if args.json {
            let place = &one.place;
            let line = serde_json::json!({ "population": one.population, "owner": place.owner, "want": place.want, "answered_until": fresh });
            println!("{line}");
            continue;
        }
        println!("{} of {}, {} at a time", one.population, one.place.owner, one.place.want);
        println!("  jobs are answered until {}, unless the owner sends a newer list", fresh.as_deref().unwrap_or("(not at all)"));
    }
    Ok(())
}
