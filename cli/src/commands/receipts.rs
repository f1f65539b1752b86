//! `tidegate receipts`

use tidegate_catalog::{
    audit::open_entry,
    log::{from_folder, scan},
    note::{BadNote, Verifier},
};
use tidegate_node::home::Home;
use tidegate_protocol::{
    Cost,
    receipt::{Predicate, Statement, entry::Ending},
};

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
    let mut wanted = None;
    // Nothing is shown before all of it is verified.
    let mut lines = Vec::new();
    let read = scan(&Verifier::log(&owner), &mut from_folder(home.path().join("log")), |index, entry| {
        let statement =
            open_entry(entry, &owner).map_err(|(rule, detail)| BadNote(format!("entry {index}: {rule}: {detail}")))?;
        match args {
            Args::Show { index: shown } if shown == index => wanted = Some(statement),
            Args::Show { .. } => {}
            Args::List { json: true } => lines.push(serde_json::json!({ "index": index, "statement": statement }).to_string()),
            Args::List { json: false } => lines.push(format!("{index:>6}  {}", line(statement))),
        }
        Ok(())
    })?;
    if matches!(args, Args::Show { .. }) {
        let size = read.checkpoint.size;
        let statement = wanted.ok_or_else(|| anyhow::anyhow!("the log has {size} entries"))?;
        println!("{}", serde_json::to_string_pretty(&statement)?);
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

/// An entry in a few words.
fn line(statement: Statement) -> String {
    match statement.predicate {
        Predicate::Publication { manifest, previous: None, .. } => format!("published  {}", manifest.short()),
        Predicate::Publication { manifest, previous: Some(previous), changes, .. } => {
            let changes: Vec<_> = changes.iter().map(|change| format!("{change:?}").to_lowercase()).collect();
            format!("published  {} after {}: {} changed", manifest.short(), previous.short(), changes.join(", "))
        }
        Predicate::Intent(f) => format!("intent     {} {} by {} for {}", f.kind, f.job.short(), f.buyer.short(), f.ledger.cost),
        Predicate::Outcome { facts, intent, outcome: Ending::Released, .. } => {
            format!("released   {} closes {intent}", facts.job.short())
        }
        Predicate::Outcome { facts, intent, outcome: Ending::SpentNotReleased, .. } => {
            format!("no result  {} closes {intent}, spent and not released", facts.job.short())
        }
        Predicate::Refusal { job, buyer, outcome, .. } => {
            format!("refused    {} by {}: {}", job.short(), buyer.short(), format!("{outcome:?}").to_lowercase())
        }
        Predicate::Grant { grant, holder, actions, rho_ceiling, epsilon_ceiling, expires, .. } => {
            let actions: Vec<_> = actions.iter().map(|action| action.word()).collect();
            let most = Cost { rho_micro: rho_ceiling, epsilon_micro: epsilon_ceiling, ..Cost::default() };
            let id = grant.get(..10).unwrap_or_default();
            format!("granted    {id} to {}: {} for {most} a job until {expires}", holder.short(), actions.join(", "))
        }
        Predicate::Revocation { grant } => format!("revoked    {}", grant.get(..10).unwrap_or_default()),
        Predicate::Approval { job, approval: Some(_) } => format!("approved   {}", job.short()),
        Predicate::Approval { job, approval: None } => format!("denied     {}", job.short()),
        Predicate::Copy { peer, manifest, .. } => format!("copy       {} by {}", manifest.short(), peer.short()),
        Predicate::Fetch { peer, file, ranges, .. } => {
            format!("sent       {} to {}, {} range(s)", file.short(), peer.short(), ranges.len())
        }
        Predicate::Replay { auditor, job, .. } => format!("replay     {} by {}", job.short(), auditor.short()),
    }
}
