//! `tidegate audit`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tidegate_catalog::{
    audit::leases::compare,
    note::{Quorum, Verifier, owner_of_vkey},
};
use tidegate_exchange::web::Web;
use tidegate_node::{
    auditor::{Ask, Outcome, audit_folder, audit_source, forks, shown, source},
    buyer::Buyer,
    home::Home,
    parties,
};

use tidegate_protocol::PeerId;

use crate::{place::Place, show::plain};

/// What to audit.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["folder", "peer", "url", "evidence"])]
pub(crate) struct Args {
    /// A folder with `owner.vkey`, `log/`, `receipts/` and `results/`, or a tar archive of one (`tidegate log bundle`).
    folder: Option<PathBuf>,
    /// A peer whose whole log is fetched and checked.
    #[arg(long)]
    peer: Option<Place>,
    /// A web server that serves a log's folder, for whose owner --owner says.
    #[arg(long, requires = "owner")]
    url: Option<String>,
    /// With --url: the owner's key, or its log's verifier key.
    #[arg(long, value_parser = owner)]
    owner: Option<PeerId>,
    /// Who answers jobs over this owner's datasets by leases (`tidegate hold`): that log is audited too, as a folder or from a peer, and held against the owner's.
    /// May be given more than once.
    #[arg(long = "holder")]
    holders: Vec<String>,
    /// Show the forks that were found so far, and whether what is kept of them shows them.
    #[arg(long)]
    evidence: bool,
    /// With --peer or --url: keep the log in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// A witness whose cosignature counts (its verifier key: `tidegate witness --key` shows it); may be given more than once.
    #[arg(long = "witness", value_parser = verifier)]
    witnesses: Vec<Verifier>,
    /// How many of them must have cosigned the log's checkpoint: all, if not given.
    #[arg(long)]
    quorum: Option<usize>,
    /// A file in which the owner opens the commitments that name parties (`tidegate receipts parties`): what they signed is checked, and who is who shown.
    #[arg(long)]
    parties: Option<PathBuf>,
    /// Oldest cosignature that counts.
    #[arg(long)]
    fresh: Option<humantime::Duration>,
    /// Read all from the start, and keep nothing.
    #[arg(long)]
    anew: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn owner(text: &str) -> Result<PeerId, String> {
    text.parse().ok().or_else(|| owner_of_vkey(text).ok()).ok_or_else(|| "write did:key:… or a verifier key".into())
}

fn verifier(text: &str) -> Result<Verifier, String> {
    Verifier::parse(text).map_err(|e| e.to_string())
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    let least = args.quorum.unwrap_or(args.witnesses.len());
    let quorum = Quorum::of(args.witnesses.clone(), least).context("--witness, --quorum")?;
    let bar =
        ProgressBar::no_length().with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} entries, {per_sec}, {eta} left")?);
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let mut sound = true;
    let opened = args.parties.as_deref().map(parties::opened).transpose()?.unwrap_or_default();
    let fresh = args.fresh.map(|fresh| fresh.as_secs());
    // What an audit remembers needs a home; who has none reads from the start.
    let memory = Some(home).filter(|home| !args.anew && home.path().exists());
    let mut outcomes = Vec::new();
    if let Some(peer) = &args.peer {
        let peer = &peer.at(home)?;
        let buyer = Buyer::bind(home, peer).await?;
        let ask = Ask { home: memory, quorum: quorum.clone(), opened: opened.clone(), fresh, progress: &mut progress };
        let audited = audit_source(&peer.peer, &mut source::peer(&buyer, peer), args.keep.clone(), ask);
        let mut outcome = match audited {
            Ok(outcome) => outcome,
            Err(e) => {
                buyer.close().await;
                return Err(e.into());
            }
        };
        let checked = shown::check(&buyer, peer, &mut outcome.report).await;
        buyer.close().await;
        if let Err(e) = checked {
            eprintln!("what it shows beside its log was not looked at: {e}");
        }
        outcomes.push((peer.peer.to_string(), outcome));
    }
    if let (Some(url), Some(owner)) = (&args.url, &args.owner) {
        let web = Web::new()?;
        let ask = Ask { home: memory, quorum: quorum.clone(), opened: opened.clone(), fresh, progress: &mut progress };
        let audited = audit_source(owner, &mut source::web(&web, url), args.keep.clone(), ask);
        outcomes.push((url.clone(), audited?));
    }
    if let Some(folder) = &args.folder {
        let ask = Ask { home: memory, quorum: quorum.clone(), opened: opened.clone(), fresh, progress: &mut progress };
        outcomes.push((folder.display().to_string(), audit_folder(folder, ask)?));
    }
    let owners = outcomes.len();
    for holder in &args.holders {
        let ask = Ask { home: memory, quorum: quorum.clone(), opened: opened.clone(), fresh, progress: &mut progress };
        let folder = std::path::Path::new(holder);
        let mut audited = if folder.exists() {
            audit_folder(folder, ask)?
        } else {
            let peer = &holder.parse::<Place>()?.at(home)?;
            let buyer = Buyer::bind(home, peer).await?;
            let audited = audit_source(&peer.peer, &mut source::peer(&buyer, peer), None, ask);
            buyer.close().await;
            audited?
        };
        let found: Vec<_> = outcomes.iter().take(owners).flat_map(|(_, owner)| compare(&owner.report, &audited.report)).collect();
        audited.report.findings.extend(found);
        outcomes.push((holder.clone(), audited));
    }
    bar.finish_and_clear();
    for (name, outcome) in &outcomes {
        sound &= outcome.is_sound();
        if args.json { println!("{}", serde_json::to_string(outcome)?) } else { page(name, outcome) }
    }
    if !args.json {
        for (party, key) in &opened {
            println!("  {} is {key}", party.short());
        }
    }
    if args.evidence {
        sound &= evidence(home, args.json)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One page for a person.
fn page(name: &str, outcome: &Outcome) {
    let report = &outcome.report;
    println!("{name}: {} entries, {} jobs charged, {} released", report.entries, report.intents, report.outcomes);
    let counts = [
        (report.publications, "versions of datasets published"),
        (report.retirements, "versions or datasets retired"),
        (report.grants, "grants issued"),
        (report.revocations, "revoked"),
        (report.approvals, "jobs read by the owner"),
        (report.refusals, "jobs refused"),
        (report.spent_not_released, "charged and closed without a result"),
        (report.copies, "copies allowed"),
        (report.fetches, "parts of files sent"),
        (report.countersigned, "receipts countersigned by their buyers"),
        (report.replays, "replays"),
    ];
    let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    println!("  {}", counts.join(", "));
    if outcome.known > 0 {
        println!("  of the entries, {} were verified by an audit before, and the log goes on from them", outcome.known);
    }
    if outcome.receipts > 0 {
        println!("  {} receipts are in this log, and of the results beside them", outcome.receipts);
    }
    for one in &outcome.witnesses {
        println!("  cosigned by {} at {}", plain(&one.name), one.time);
    }
    if outcome.witnesses.is_empty() {
        println!("  no witness was asked for: the owner could show others another history (--witness)");
    }
    for (population, spent) in &report.spent {
        println!("  population {}: spent {}", population.get(..10).unwrap_or(population), spent);
    }
    let leases = report.leases.values();
    if leases.len() > 0 {
        let (back, lost) = (leases.clone().filter(|l| l.spent.is_some()).count(), leases.clone().filter(|l| l.burnt).count());
        println!("  {} parts of a budget handed over: {back} came back, {lost} are lost", leases.len());
    }
    for lease in &report.lost_leases {
        println!("  lease {} has run out and is not back: all of it counts as spent", lease.short());
    }
    for index in &report.open {
        println!("  entry {index}: charged, no outcome yet");
    }
    for finding in &report.findings {
        println!("  WRONG entry {}: {}: {}", finding.entry, finding.rule, plain(&finding.detail));
    }
    if report.further_findings > 0 {
        println!("  WRONG: {} findings more", report.further_findings);
    }
    println!(
        "  {}",
        if outcome.is_sound() { "every signature, inclusion, right and charge holds" } else { "the history does not hold" }
    );
    println!("  not proven: that no unlogged access took place, nor that noise was drawn honestly");
}

/// Whether there is none.
fn evidence(home: &Home, json: bool) -> anyhow::Result<bool> {
    let found = forks::list(home)?;
    if found.is_empty() && !json {
        println!("no fork was found");
    }
    for (path, evidence) in &found {
        if json {
            let shown = serde_json::json!({ "file": path, "evidence": evidence.as_ref().ok(), "wrong": evidence.as_ref().err() });
            println!("{shown}");
            continue;
        }
        match evidence {
            Ok(evidence) => {
                let (first, second) = evidence.check()?;
                let log = plain(&first.origin);
                println!(
                    "{log} signed two histories: one of {} entries, and one of {} that does not go on from it",
                    first.size, second.size
                );
                println!("  {}", path.display());
            }
            Err(why) => println!("{}: shows no fork: {}", path.display(), plain(why)),
        }
    }
    Ok(found.is_empty())
}
