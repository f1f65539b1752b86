//! `tidegate audit`

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tidegate_audit::{
    note::{Quorum, Verifier, owner_of_vkey},
    rules::holder::compare,
};
use tidegate_exchange::web::Web;
use tidegate_node::{
    auditor::{Ask, Outcome, audit_folder, audit_source, forks, names, shown, source},
    client::Buyer,
    discovery::address_book::Book,
    home::Home,
    owner::access::pseudonyms,
};

use tidegate_protocol::PeerId;

use crate::{numbers::count, place::Place, show::plain};

/// Options of `tidegate audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with `owner.vkey`, `log/`, `receipts/` and `results/`, or a tar archive of such a folder (`tidegate log bundle`);
    /// without `log/` (`tidegate run --out`), only receipts and results are checked.
    folder: Option<PathBuf>,
    /// Peer whose whole log is fetched and checked.
    #[arg(long)]
    peer: Option<Place>,
    /// Web server with the folder of a log; name the log's owner with --owner.
    #[arg(long, requires = "owner")]
    url: Option<String>,
    /// With --url: key of the owner, or verifier key of its log.
    #[arg(long, value_parser = owner)]
    owner: Option<PeerId>,
    /// Party that answers jobs over this owner's datasets by leases (`tidegate hold`): its log, a folder or a peer's, is audited
    /// too, and compared with the owner's. May be given more than once.
    #[arg(long = "holder")]
    holders: Vec<String>,
    /// Show the forks found so far, and whether the kept evidence proves them.
    #[arg(long)]
    evidence: bool,
    /// With --peer or --url: keep the log in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Witness whose cosignature counts (its verifier key, as shown by `tidegate witness --key`); may be given more than once.
    #[arg(long = "witness", value_parser = verifier)]
    witnesses: Vec<Verifier>,
    /// How many of the witnesses must have cosigned the log's checkpoint; all, if not given.
    #[arg(long)]
    quorum: Option<usize>,
    /// File in which the owner opens the commitments that name parties (`tidegate receipts parties`): what they signed is
    /// checked, and who is who shown.
    #[arg(long)]
    parties: Option<PathBuf>,
    /// Maximum age of a cosignature to count.
    #[arg(long)]
    fresh: Option<humantime::Duration>,
    /// Read everything from the start, and remember nothing.
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

/// Exit code for a command line with nothing to do, the same as the parser's.
const USAGE: u8 = 2;

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<ExitCode> {
    if args.folder.is_none() && args.peer.is_none() && args.url.is_none() && !args.evidence {
        eprintln!("error: nothing to audit: give a FOLDER or bundle, --peer PEER, --url URL with --owner KEY, or --evidence");
        return Ok(ExitCode::from(USAGE));
    }
    let least = args.quorum.unwrap_or(args.witnesses.len());
    let quorum = Quorum::of(args.witnesses.clone(), least)
        .with_context(|| format!("--quorum {least}, with {} by --witness", count(args.witnesses.len(), "key", "keys")))?;
    let bar =
        ProgressBar::no_length().with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} entries, {per_sec}, {eta} left")?);
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let mut sound = true;
    let opened = args.parties.as_deref().map(pseudonyms::opened).transpose()?.unwrap_or_default();
    let fresh = args.fresh.map(|fresh| fresh.as_secs());
    // The memory of earlier audits is in a home; without one, everything is read from the start.
    let memory = Some(home).filter(|home| !args.anew && home.path().exists());
    let (mut outcomes, mut names) = (Vec::new(), names::of_datasets(home));
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
        match checked {
            Ok(shown) => names.extend(shown),
            Err(e) => eprintln!("cannot check the peer's documents beside its log: {e}"),
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
    let book = Book::open(home)?;
    for (name, outcome) in &outcomes {
        sound &= outcome.is_sound();
        match args.json {
            true => println!("{}", serde_json::to_string(outcome)?),
            false => page(name, outcome, &names, &book),
        }
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

/// Maximum number of files to name individually.
const NAMED: usize = 20;

/// Prints a page for a person, the verdict first.
fn page(name: &str, outcome: &Outcome, names: &BTreeMap<String, String>, book: &Book) {
    let (report, files) = (&outcome.report, outcome.files.as_ref());
    let verdict = match (outcome.is_sound(), report.entries) {
        (false, _) => "FAILED: the history is invalid",
        (true, 0) => "OK: every receipt and result is valid",
        (true, _) => "OK: every signature, inclusion, right and charge is valid",
    };
    println!("{verdict}");
    let known_as = book.name_of(&outcome.owner).map(|name| format!("{} ", plain(name))).unwrap_or_default();
    let (entries, charged) = (count(report.entries, "entry", "entries"), count(report.intents, "job", "jobs"));
    println!("{name}: {entries}, {charged} charged, {} released", report.outcomes);
    println!("  of {known_as}{}", outcome.owner);
    for finding in &report.findings {
        println!("  WRONG entry {}: {}: {}", finding.entry, finding.rule, plain(&finding.detail));
    }
    if report.further_findings > 0 {
        println!("  WRONG: {} more", count(report.further_findings, "finding", "findings"));
    }
    for wrong in files.iter().flat_map(|files| &files.wrong) {
        println!("  WRONG {}", plain(wrong));
    }
    match &report.period {
        Some((from, to)) => println!("  jobs, copies and replays from {} to {}", plain(from), plain(to)),
        None if report.entries > 0 => println!("  no jobs, copies or replays yet"),
        None => println!("  the log is not here, and was not checked"),
    }
    let counts = [
        (report.publications, "version of a dataset published", "versions of datasets published"),
        (report.retirements, "version or dataset retired", "versions or datasets retired"),
        (report.grants, "grant issued", "grants issued"),
        (report.revocations, "revoked", "revoked"),
        (report.approvals, "job read by the owner", "jobs read by the owner"),
        (report.refusals, "job refused", "jobs refused"),
        (report.spent_not_released, "charged and closed without a result", "charged and closed without a result"),
        (report.copies, "copy allowed", "copies allowed"),
        (report.fetches, "part of a file sent", "parts of files sent"),
        (report.countersigned, "receipt countersigned by its buyer", "receipts countersigned by their buyers"),
        (report.replays, "replay", "replays"),
    ];
    let counts: Vec<_> = counts.iter().filter(|(n, ..)| *n > 0).map(|(n, one, more)| count(n, one, more)).collect();
    if !counts.is_empty() {
        println!("  {}", counts.join(", "));
    }
    if outcome.known > 0 {
        let again = match files {
            Some(_) => "and have the same hashes",
            None => "and were not fetched again (--anew does so): the log is consistent with them",
        };
        println!("  of the entries, {} were verified by an audit before, {again}", outcome.known);
    }
    if let Some(older) = &outcome.older {
        println!(
            "  an older copy: {} verified before. The first {} of them are the same{}",
            count(older.verified, "entry was", "entries were"),
            older.the_same,
            if older.the_same < report.entries { "; the later ones cannot be compared" } else { "" }
        );
    }
    if outcome.receipts > 0 {
        println!(
            "  {} in {}, as are those of the results beside them",
            count(outcome.receipts, "receipt is", "receipts are"),
            match report.entries {
                0 => "a log that the owner signed",
                _ => "this log",
            }
        );
    }
    for one in &outcome.witnesses {
        println!("  cosigned by {} at {}", plain(&one.name), one.time);
    }
    if outcome.witnesses.is_empty() {
        println!("  no witness was checked: the owner could show another history to others (--witness)");
    }
    for (population, spent) in &report.spent {
        let called = names.get(population).map(|name| format!("{} ", plain(name))).unwrap_or_default();
        let cap = report.caps.get(population).map(|cap| format!(" of {cap}")).unwrap_or_default();
        println!("  {called}(population {}): spent {spent}{cap}", population.get(..10).unwrap_or(population));
    }
    let leases = report.leases.values();
    if leases.len() > 0 {
        let (back, lost) = (leases.clone().filter(|l| l.spent.is_some()).count(), leases.clone().filter(|l| l.burnt).count());
        let (parts, lost) = (count(leases.len(), "part", "parts"), count(lost, "is lost", "are lost"));
        println!("  {parts} of a budget leased: {back} returned, {lost}");
    }
    for lease in &report.lost_leases {
        println!("  lease {} has expired and is not returned: it counts as spent in full", lease.short());
    }
    for index in &report.open {
        println!("  entry {index}: charged, no outcome yet");
    }
    if let Some(files) = files {
        println!("  {} verified to the last byte", count(files.verified, "file", "files"));
        for file in files.not_looked_at.iter().take(NAMED) {
            println!("  not checked: {}", plain(file));
        }
        if files.not_looked_at.len() > NAMED {
            let more = count(files.not_looked_at.len() - NAMED, "file", "files");
            println!("  not checked: {more} more (--json names them)");
        }
    }
    println!("  not proven: that no unlogged access took place, nor that noise was drawn honestly");
}

/// Prints the evidence of forks. Returns whether there is none.
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
                    "{log} signed two histories: one of {}, and one of {} that is inconsistent with it",
                    count(first.size, "entry", "entries"),
                    second.size
                );
                println!("  {}", path.display());
            }
            Err(why) => println!("{}: shows no fork: {}", path.display(), plain(why)),
        }
    }
    Ok(found.is_empty())
}
