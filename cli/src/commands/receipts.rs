//! `tidegate receipts`

use tidegate_catalog::{
    audit::open_entry,
    log::{from_folder, read},
};
use tidegate_node::home::Home;
use tidegate_protocol::receipt::Predicate;

/// What to show of this party's own log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// A line an entry.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// One entry, whole.
    Show {
        /// Its index.
        index: u64,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let owner = home.identity()?.id();
    let log = read(&owner, from_folder(home.path().join("log")))?;
    let open = |index: usize, entry: &[u8]| {
        open_entry(entry, &owner).map_err(|(rule, detail)| anyhow::anyhow!("entry {index}: {rule}: {detail}"))
    };
    match args {
        Args::Show { index } => {
            let size = log.entries.len();
            let entry = log.entries.get(index as usize).ok_or_else(|| anyhow::anyhow!("the log has {size} entries"))?;
            println!("{}", serde_json::to_string_pretty(&open(index as usize, entry)?)?);
        }
        Args::List { json } => {
            for (index, entry) in log.entries.iter().enumerate() {
                let statement = open(index, entry)?;
                if json {
                    println!("{}", serde_json::json!({ "index": index, "statement": statement }));
                    continue;
                }
                match statement.predicate {
                    Predicate::Publication { manifest, .. } => println!("{index:>6}  published {}", manifest.short()),
                    Predicate::Intent(f) => {
                        println!(
                            "{index:>6}  intent    {} {} by {} for {}",
                            f.kind,
                            f.job.short(),
                            f.buyer.short(),
                            f.ledger.cost
                        );
                    }
                    Predicate::Outcome { facts, intent, outcome, .. } => {
                        println!("{index:>6}  {outcome}  {} closes {intent}", facts.job.short());
                    }
                }
            }
        }
    }
    Ok(())
}
