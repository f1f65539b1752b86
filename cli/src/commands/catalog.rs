//! `tidegate catalog`

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tidegate_audit::query::over;
use tidegate_catalog::listings::{Catalogue, Kept, croissant, query};
use tidegate_exchange::{bind_reaching, listening_for};
use tidegate_node::{
    Address,
    discovery::{address_book::Book, sync},
    home::Home,
};
use tidegate_protocol::Envelope;

use super::history;
use crate::{
    file,
    numbers::{bytes, count, price},
    place::Place,
    show::{batches, plain},
};

/// Listings heard by this party. A running node hears more (`tidegate serve --with PEER`); `sync` asks a peer.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Search for datasets with all of these words in name, keywords, description or columns: the best match first, or the latest
    /// first if no word is given.
    Search {
        /// Words, or prefixes of words.
        words: Vec<String>,
        /// Maximum number of results.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Show the whole listing of a dataset: columns and bounds, price, location.
    Show {
        /// Name of the dataset, or a prefix of the listing's or the manifest's id.
        dataset: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Answer a query over the table `listings`, with a row for each column of a dataset; or write the whole table to a file.
    Sql {
        /// The query, such as `SELECT DISTINCT name, rho_per_buyer FROM listings WHERE column = 'age'`; all rows, if not given.
        query: Option<String>,
        /// Write the answer to a file ending in .parquet, .arrow, .csv or .json, for other tools.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Print JSON lines.
        #[arg(long, conflicts_with = "out")]
        json: bool,
    },
    /// Fetch a peer's listings missing here.
    Sync {
        /// The peer's address, as `tidegate serve` prints it, or its name in the address book.
        #[arg(long)]
        from: Place,
        /// Keep only the listings of owners in the address book.
        #[arg(long)]
        only_known: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a listing for others: as signed, or as MLCommons Croissant.
    Export {
        /// Name of the dataset, or a prefix of the listing's or the manifest's id.
        dataset: String,
        /// Write JSON-LD, which other tools read.
        #[arg(long)]
        croissant: bool,
        /// Output file; the terminal, if not given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Show the versions of a dataset, and the changes from each to the next.
    History(history::Of),
    /// Show the differences between two versions, in schema and files.
    Diff {
        #[command(flatten)]
        before: history::Of,
        /// Manifest id of the other version; if a name is given, its latest version counts.
        after: String,
    },
    /// Import an exported listing, after checking its signature.
    Import {
        /// The file, in either form.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let catalogue = |only_known| sync::open(home, only_known);
    match args {
        Args::Search { words, limit, json } => {
            let (catalogue, book) = (catalogue(false)?, Book::open(home)?);
            let found = catalogue.search(&words.join(" "), now, limit)?;
            for one in &found {
                if json {
                    println!("{}", serde_json::json!({ "owner": one.owner, "id": one.id, "listing": one.listing }));
                } else {
                    line(one, &book);
                }
            }
            if found.is_empty() && !json {
                let all = count(catalogue.len()?, "listing", "listings");
                println!("nothing found among {all}; fetch more with `tidegate catalog sync --from PEER`");
            }
        }
        Args::Show { dataset, json } => {
            let one = catalogue(false)?.find(&dataset, now)?;
            if json {
                println!("{}", serde_json::json!({ "owner": one.owner, "id": one.id, "listing": one.listing }));
            } else {
                whole(&one, &Book::open(home)?);
            }
        }
        Args::Sql { query, out, json } => {
            let mut found = vec![query::table(&catalogue(false)?, now)?];
            if let Some(query) = query {
                found = over(query::TABLE, query::schema(), found, &query).await?;
            }
            batches(&found, out.as_deref(), json)?;
        }
        Args::Sync { from, only_known, json } => {
            let from = from.at(home)?;
            sync(home, catalogue(only_known)?, &from, json).await?;
        }
        Args::Export { dataset, croissant, out } => {
            let one = catalogue(false)?.find(&dataset, now)?;
            let text = match croissant {
                true => serde_json::to_string_pretty(&croissant::export(&one)?)?,
                false => serde_json::to_string_pretty(&one.envelope)?,
            };
            match out {
                Some(path) => file::write("--out", &path, text)?,
                None => println!("{text}"),
            }
        }
        Args::History(of) => history::history(home, &of).await?,
        Args::Diff { before, after } => history::diff(home, &before, &after).await?,
        Args::Import { file, json } => {
            let text = file::given(&file)?;
            let value: serde_json::Value = serde_json::from_str(&text)
                .with_context(|| format!("{}: give a file written by `tidegate catalog export`", file.display()))?;
            let envelope = match serde_json::from_value::<Envelope>(value.clone()) {
                Ok(envelope) => envelope,
                Err(_) => croissant::import(&value)?,
            };
            let catalogue = catalogue(false)?;
            let listing = catalogue.check(envelope, now)?;
            let (new, refused) = catalogue.take(std::slice::from_ref(&listing), now)?;
            if let Some(why) = refused {
                return Err(why.into());
            }
            let (name, signer) = (&listing.body().name, listing.signer());
            match json {
                true => println!("{}", serde_json::json!({ "owner": signer, "id": listing.id(), "name": name, "new": new > 0 })),
                false => {
                    let what = if new > 0 { "imported" } else { "nothing new" };
                    println!("{}, signed by {signer}: {what}", plain(name));
                }
            }
        }
    }
    Ok(())
}

async fn sync(home: &Home, catalogue: Catalogue, from: &Address, json: bool) -> anyhow::Result<()> {
    let endpoint = bind_reaching(&home.identity()?, &listening_for(std::slice::from_ref(from)), &home.reach()?).await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} listings, {elapsed}")?);
    let mut report = |came, all| {
        bar.set_length(all);
        bar.set_position(came);
    };
    let catalogue = Arc::new(catalogue);
    let synced = tokio::select! {
        synced = sync::sync(&endpoint, &catalogue, from, &mut report) => synced,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped: received listings are kept; run the same command to continue"),
    };
    bar.finish_and_clear();
    endpoint.close().await;
    let synced = synced?;
    if json {
        println!("{}", serde_json::to_string(&synced)?);
    } else {
        let lacking = count(synced.asked, "listing was", "listings were");
        println!("{lacking} new here, {} stored; {} in all", count(synced.new, "is", "are"), catalogue.len()?);
    }
    Ok(())
}

fn owner(one: &Kept, book: &Book) -> String {
    book.name_of(&one.owner).map_or_else(|| one.owner.to_string(), |name| format!("{name} ({})", one.owner.short()))
}

fn line(one: &Kept, book: &Book) {
    let listing = &one.listing;
    println!("{}  {}  of {}", plain(&listing.name), listing.manifest.short(), owner(one, book));
    let description: String = listing.about.description.chars().take(160).collect();
    if !description.is_empty() {
        println!("  {}", plain(&description));
    }
    let columns: Vec<_> = listing.columns.iter().take(12).map(|column| plain(&column.name)).collect();
    let more = if listing.columns.len() > columns.len() { ", …" } else { "" };
    println!("  {}{more}; one buyer may spend {}", columns.join(", "), price(listing.per_buyer, listing.delta_femto));
}

fn whole(one: &Kept, book: &Book) {
    let listing = &one.listing;
    println!("{}", plain(&listing.name));
    for (what, text) in [
        ("owner", owner(one, book)),
        ("address", listing.address(&one.owner)),
        ("mirrors", listing.mirrors.join(" ")),
        ("holders", listing.holders.join(" ")),
        ("about", listing.about.description.clone()),
        ("keywords", listing.about.keywords.join(", ")),
        ("licence", listing.about.license.clone()),
        ("manifest", listing.manifest.to_string()),
        ("population", listing.population.to_string()),
        ("published", listing.published.clone()),
        ("good until", listing.expires.clone()),
        (
            "unit",
            format!(
                "{}, at most {} of them, {} each in a group",
                listing.unit,
                listing.max_units,
                count(listing.max_rows, "row", "rows")
            ),
        ),
        ("jobs", listing.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")),
        (
            "budget",
            format!(
                "{}, of which one buyer may spend {}",
                price(listing.budget, listing.delta_femto),
                price(listing.per_buyer, listing.delta_femto)
            ),
        ),
        ("mock rows", listing.mock.as_ref().map_or_else(|| "none".into(), |mock| bytes(mock.bytes))),
    ] {
        if !text.is_empty() {
            println!("  {what:<11}{}", plain(&text));
        }
    }
    for column in &listing.columns {
        let bounds = column.lo.zip(column.hi).map(|(lo, hi)| format!(" in [{lo}, {hi}]"));
        println!("  column     {}: {}{}", plain(&column.name), plain(&column.arrow), bounds.unwrap_or_default());
    }
}
