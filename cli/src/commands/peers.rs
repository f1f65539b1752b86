//! `tidegate peers`

use tidegate_node::{
    discovery::address_book::{Book, Entry},
    home::Home,
};

/// Options of `tidegate peers`; without a command, the address book is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Option<Change>,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

/// Changes to the address book.
#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Give a name to a key.
    Add {
        /// The name, for this party alone.
        name: String,
        /// The key, or key and location: did:key:…@ip:port, as printed by `tidegate serve`.
        peer: String,
    },
    /// Remove a name.
    Remove {
        /// The name.
        name: String,
    },
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let mut book = Book::open(home)?;
    match args.change {
        Some(Change::Add { name, peer }) => {
            let entry = match peer.parse() {
                Ok(tidegate_node::Address { peer, sockets, relay }) => Entry { key: peer, sockets, relay },
                Err(e) => Entry { key: peer.parse().map_err(|_| e)?, sockets: vec![], relay: None },
            };
            book.add(&name, entry)?;
        }
        Some(Change::Remove { name }) => book.remove(&name)?,
        None => {
            for (name, entry) in book.entries() {
                if args.json {
                    println!("{}", serde_json::json!({ "name": name, "key": entry.key, "sockets": entry.sockets }));
                    continue;
                }
                let sockets: Vec<_> = entry.sockets.iter().map(ToString::to_string).collect();
                println!("{name}  {}{}{}", entry.key, if sockets.is_empty() { "" } else { "@" }, sockets.join(","));
            }
        }
    }
    Ok(())
}
