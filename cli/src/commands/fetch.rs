//! `tidegate fetch`

use std::path::PathBuf;

use tidegate_node::{Address, buyer::Buyer, home::Home};

/// What to copy, from whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The dataset's name or manifest id.
    dataset: String,
    /// The owner's address.
    #[arg(long)]
    to: Address,
    /// The owner's grant.
    #[arg(long)]
    grant: Option<PathBuf>,
    /// Where to put the files.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let grant = args.grant.map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let buyer = Buyer::bind(home.identity()?, &args.to).await?;
    let fetched = buyer.fetch(home.path(), &args.to, &args.dataset, grant.trim(), &args.out).await;
    buyer.close().await;
    for path in fetched? {
        println!("{}", path.display());
    }
    Ok(())
}
