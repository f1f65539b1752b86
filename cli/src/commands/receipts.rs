//! `tidegate receipts`

use std::{collections::BTreeMap, path::PathBuf};

use tidegate_audit::{
    log::scan,
    note::{BadNote, Verifier},
    open_entry,
};
use tidegate_ledger::from_folder;
use tidegate_node::{
    auditor::{self, names},
    home::Home,
    owner::{access::pseudonyms, jobs::fallbacks},
};
use tidegate_protocol::{
    ContentHash, Cost,
    receipt::{Predicate, Statement, entry::Ending},
};

use crate::{
    numbers::count,
    show::{batches, plain},
};

/// Commands on the receipts in this party's own log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// List the entries, a line each.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Show a whole entry.
    Show {
        /// Index of the entry.
        index: u64,
    },
    /// Open the commitments in place of parties' names, if a policy says `receipts.parties = "hidden"`: a line each, for auditors
    /// (`tidegate audit --parties`).
    Parties,
    /// Answer a query over the table `receipts`, with a row for each entry; or write the whole table to a file.
    Sql {
        /// The query, such as `SELECT buyer, SUM(rho) FROM receipts GROUP BY buyer`; all rows, if not given.
        query: Option<String>,
        /// Folder with a log, as left by `tidegate audit --keep`; this party's own log, if not given.
        #[arg(long)]
        folder: Option<PathBuf>,
        /// Write the answer to a file ending in .parquet, .arrow, .csv or .json, for other tools.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Print JSON lines.
        #[arg(long, conflicts_with = "out")]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    if let Args::Sql { query, folder, out, json } = &args {
        let found = auditor::sql::sql(home, folder.as_deref(), query.as_deref()).await?;
        return batches(&found, out.as_deref(), *json);
    }
    if let Args::Parties = &args {
        for one in pseudonyms::list(home)? {
            println!("{}", serde_json::to_string(&one)?);
        }
        return Ok(());
    }
    let owner = home.identity()?.id();
    let (mut wanted, fallbacks) = (None, fallbacks::all(home)?);
    let mut datasets = Datasets::default();
    if let Args::List { json: false } = &args {
        datasets.names = names::of_datasets(home);
    }
    let why = |statement: &Statement| match &statement.predicate {
        Predicate::Outcome { facts, .. } => fallbacks.get(&facts.job).map(|one| one.why.clone()),
        _ => None,
    };
    // Nothing is shown before the whole log is verified.
    let mut lines = Vec::new();
    let read = scan(&Verifier::log(&owner), &mut from_folder(home.path().join("log")), |index, entry| {
        let statement =
            open_entry(entry, &owner).map_err(|(rule, detail)| BadNote(format!("entry {index}: {rule}: {detail}")))?;
        match args {
            Args::Show { index: shown } if shown == index => wanted = Some(statement),
            Args::Show { .. } | Args::Sql { .. } | Args::Parties => {}
            Args::List { json: true } => lines.push(match why(&statement) {
                None => serde_json::json!({ "index": index, "statement": statement }).to_string(),
                Some(why) => serde_json::json!({ "index": index, "statement": statement, "fallback": why }).to_string(),
            }),
            Args::List { json: false } => {
                let why = why(&statement).map(|why| format!(" (noise over the fallback value: {})", plain(&why)));
                let of = datasets.name(&statement.predicate);
                lines.push(format!("{index:>6}  {}{}", line(statement, &of), why.unwrap_or_default()));
            }
        }
        Ok(())
    })?;
    if matches!(args, Args::Show { .. }) {
        let size = read.checkpoint.size;
        let statement = wanted.ok_or_else(|| {
            anyhow::anyhow!(
                "no such entry: the log has {}, numbered from 0. `tidegate receipts list` lists them",
                count(size, "entry", "entries")
            )
        })?;
        println!("{}", serde_json::to_string_pretty(&statement)?);
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

/// Datasets that entries are about.
#[derive(Default)]
struct Datasets {
    /// Names by lineage, as far as this party knows them.
    names: BTreeMap<String, String>,
    /// Lineages of the manifests published so far in the log.
    lineages: BTreeMap<ContentHash, ContentHash>,
}

impl Datasets {
    /// Returns the name of an entry's dataset, with a space after it; empty if the entry tells none, or the name is not known.
    ///
    /// Expects a log's entries in order.
    fn name(&mut self, entry: &Predicate) -> String {
        let population = match entry {
            Predicate::Publication { manifest, population, .. } => {
                self.lineages.insert(*manifest, *population);
                Some(population)
            }
            Predicate::Retirement { population, .. }
            | Predicate::Grant { population, .. }
            | Predicate::Copy { population, .. }
            | Predicate::LeaseEnd { population, .. }
            | Predicate::Replay { population, .. } => Some(population),
            Predicate::Lease { lease, .. } | Predicate::LeaseTaken { lease, .. } => Some(&lease.population),
            Predicate::Intent(facts) | Predicate::Outcome { facts, .. } => self.lineages.get(&facts.dataset),
            Predicate::Refusal { dataset, .. } => self.lineages.get(dataset),
            Predicate::Revocation { .. }
            | Predicate::Approval { .. }
            | Predicate::Fetch { .. }
            | Predicate::Countersignature { .. } => None,
        };
        let name = population.and_then(|population| self.names.get(&population.to_string()));
        name.map(|name| format!("{} ", plain(name))).unwrap_or_default()
    }
}

/// Describes an entry in a few words, with the name `of` its dataset.
fn line(statement: Statement, of: &str) -> String {
    match statement.predicate {
        Predicate::Publication { manifest, previous: None, .. } => format!("published  {of}{}", manifest.short()),
        Predicate::Publication { manifest, previous: Some(previous), changes, .. } => {
            let changes: Vec<_> = changes.iter().map(|change| change.word()).collect();
            format!("published  {of}{} after {}: {} changed", manifest.short(), previous.short(), changes.join(", "))
        }
        Predicate::Retirement { manifest: Some(manifest), .. } => format!("retired    {of}{}", manifest.short()),
        Predicate::Retirement { manifest: None, population } => format!("retired    all of {of}{}", population.short()),
        Predicate::Intent(f) => {
            format!("intent     {of}{} {} by {} for {}", f.kind, f.job.short(), f.buyer.short(), f.ledger.cost)
        }
        Predicate::Outcome { facts, intent, outcome: Ending::Released, .. } => {
            format!("released   {of}{} closes {intent}", facts.job.short())
        }
        Predicate::Outcome { facts, intent, outcome: Ending::SpentNotReleased, .. } => {
            format!("no result  {of}{} closes {intent}, spent and not released", facts.job.short())
        }
        Predicate::Refusal { job, buyer, outcome, .. } => {
            format!("refused    {of}{} of {}, {}", job.short(), buyer.short(), outcome.words())
        }
        Predicate::Grant { grant, holder, scope, .. } => {
            let actions: Vec<_> = scope.actions.iter().map(|action| action.word()).collect();
            let most = Cost { rho_micro: scope.rho_ceiling, epsilon_micro: scope.epsilon_ceiling, ..Cost::default() };
            let (id, expires) = (grant.get(..10).unwrap_or_default(), &scope.expires);
            format!("granted    {of}{id} to {}: {} for {most} a job until {expires}", holder.short(), actions.join(", "))
        }
        Predicate::Revocation { grant } => format!("revoked    {}", grant.get(..10).unwrap_or_default()),
        Predicate::Approval { job, approval: Some(_) } => format!("approved   {}", job.short()),
        Predicate::Approval { job, approval: None } => format!("denied     {}", job.short()),
        Predicate::Copy { peer, manifest, .. } => format!("copy       {of}{} by {}", manifest.short(), peer.short()),
        Predicate::Fetch { peer, file, ranges, .. } => {
            format!("sent       {} to {}, {}", file.short(), peer.short(), count(ranges.len(), "range", "ranges"))
        }
        Predicate::Lease { lease, .. } => format!("lease      {of}{} to {}", lease.amount, lease.holder.short()),
        Predicate::LeaseTaken { lease, owner, .. } => format!("lease      {of}{} of {}", lease.amount, owner.short()),
        Predicate::LeaseEnd { lease, settlement: Some(settlement), .. } => {
            format!("lease end  {of}{}, spent {}", lease.short(), settlement.spent)
        }
        Predicate::LeaseEnd { lease, settlement: None, .. } => format!("lease lost {of}{}", lease.short()),
        Predicate::Countersignature { buyer, outcome, .. } => format!("has it     entry {outcome}, says {}", buyer.short()),
        Predicate::Replay { auditor, job, .. } => format!("replay     {of}{} by {}", job.short(), auditor.short()),
    }
}
