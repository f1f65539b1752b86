//! `tidegate ping`

use std::time::Instant;

use anyhow::Context as _;
use tidegate_node::{client::Buyer, home::Home};

use crate::{numbers::duration, place::Place};

/// Options of `tidegate ping`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The peer's address, as printed by `tidegate serve`, or its name in the address book.
    #[arg(required_unless_present = "to", conflicts_with = "to")]
    peer: Option<Place>,
    /// The same, under the name used in other commands.
    #[arg(long)]
    to: Option<Place>,
    /// Number of requests.
    #[arg(long, default_value_t = 3)]
    times: u32,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let to =
        args.to.or(args.peer).context("give the peer's address, or its name in the address book (`tidegate peers`)")?.at(home)?;
    let buyer = Buyer::bind(home, &to).await?;
    for _ in 0..args.times {
        let start = Instant::now();
        buyer.ping(&to).await?;
        let took = start.elapsed();
        match args.json {
            true => println!("{}", serde_json::json!({ "peer": to.peer, "milliseconds": took.as_secs_f64() * 1e3 })),
            false => println!("{to} answers after {}, including the connection", duration(took)),
        }
    }
    buyer.close().await;
    Ok(())
}
