//! `tidegate revocations`

use std::process::ExitCode;

use tidegate_node::{
    client::Buyer,
    home::Home,
    mirror::{audit, lists},
};
use tidegate_protocol::PeerId;

use crate::{numbers::count, place::Place};

/// Options of `tidegate revocations`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Peer to ask: the owner, or a mirror of its datasets.
    #[arg(long)]
    to: Place,
    /// The owner's key, if another peer is asked.
    #[arg(long)]
    owner: Option<PeerId>,
    /// The owner's node: its log is read, and the list compared with it.
    #[arg(long)]
    against: Option<Place>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let to = args.to.at(home)?;
    let owner = args.owner.unwrap_or(to.peer);
    let log = args.against.map(|place| place.at(home)).transpose()?;
    let all: Vec<_> = std::iter::once(&to).chain(&log).cloned().collect();
    let buyer = Buyer::bind_to(home, &all).await?;
    let list = lists::opened(buyer.revocations(&to, owner).await?, &owner)?;
    let wrong = match &log {
        None => None,
        Some(log) => Some(audit::against(&buyer, log, &list)?),
    };
    buyer.close().await;
    let body = list.body();
    if args.json {
        println!(
            "{}",
            serde_json::json!({ "owner": owner, "list": body, "fits": wrong.as_ref().map(Option::is_none), "why": wrong.clone().flatten() })
        );
    } else {
        let all = count(body.number, "revocation", "revocations");
        println!("{all} in all, {} of grants that could still be used", body.revoked.len());
        println!("signed {}, good until {}", body.issued, body.expires);
        match &wrong {
            None => {}
            Some(None) => println!("the list matches the log"),
            Some(Some(why)) => println!("the list does NOT match the log: {why}"),
        }
    }
    Ok(if wrong.flatten().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
