//! Replay of a receipt's job over the same rows: the sums must match the receipt's commitment.

use std::{
    fs::{self, File},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;
use tidegate_audit::note;
use tidegate_exchange::NetError;
use tidegate_files::read_given;
use tidegate_gate::{Committing, Plan, Terms};
use tidegate_protocol::{
    ContentHash, Job, PeerId, Sha256Digest, Signed,
    device::Place,
    frame::{Opening, Published},
    limits,
    manifest::Manifest,
    policy::Policy,
    receipt::{JobFacts, Mechanism, Predicate, entry::Ending},
};

use crate::{
    Address, NodeError,
    buyer::sample::LaidOut,
    client::Buyer,
    corrupt,
    error::{ReceiptFault, Unverified},
    file_error,
    given::Given,
    home::Home,
    owner::jobs::{code_cache::Codes, fallback_sums},
    worker::{Coming, Over, Work, Workers, tolerance},
};

/// Minimum time allowed to a job here, whatever its slot was: this machine may be slower than the owner's.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Request for a replay.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Log index of the receipt.
    pub entry: u64,
    /// The receipt as already known, in DSSE, which must be the entry above.
    pub receipt: Option<Vec<u8>>,
    /// A grant for replays.
    pub grant: &'a str,
    /// Folder with the dataset's files, as left by `tidegate fetch`.
    pub data: &'a Path,
    /// Attachment of the job, for when the owner no longer has a copy.
    pub program: Option<PathBuf>,
}

/// Outcome of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The sums match the receipt's commitment.
    Same,
    /// The receipt commits to the public fallback value: the job failed at the owner's, or was not run.
    PublicDefault,
    /// The receipt commits to other sums.
    Different,
}

/// A replayed receipt.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Log index of the receipt.
    pub entry: u64,
    /// Id of the job.
    pub job: ContentHash,
    /// Buyer of the job.
    pub buyer: PeerId,
    /// Name of the dataset.
    pub dataset: String,
    /// Outcome of the replay.
    pub verdict: Verdict,
    /// Commitment in the receipt.
    pub committed: Sha256Digest,
    /// Commitment to the sums made on this machine.
    pub made: Option<Sha256Digest>,
    /// Reason why the job did not run here, if so.
    pub failed: Option<String>,
    /// Differences between this machine and the owner's, which may be why sums differ.
    pub other_here: Vec<String>,
}

/// Callback for progress messages.
pub type Report<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Has `owner` open a receipt, runs its job here, and compares the sums.
///
/// # Errors
/// Returns [`NodeError::Refused`] with the owner's reason, [`NodeError::Unverified`] naming what does not hold, or
/// [`NodeError::NotGiven`] if files are missing.
pub async fn replay(
    home: &Home,
    buyer: &Buyer,
    owner: &Address,
    ask: Ask<'_>,
    report: Report<'_>,
) -> Result<Replayed, NodeError> {
    report("asking the owner to open the receipt");
    let opening = buyer.opening(owner, ask.entry, ask.grant).await?;
    let Receipt { facts, committed, job } = check(&opening, &owner.peer, &ask)?;
    let Governed { manifest, own, policy } = governed(&opening, &facts)?;
    let program = match (job.body().program.attachment(), &ask.program) {
        (None, _) => vec![],
        (Some(_), Some(path)) => fs::read(path).map_err(|e| file_error(path, e))?,
        (Some(_), None) => fetch_program(home, buyer, owner, &opening).await?,
    };
    let given = Given::of((manifest.body(), own.body()), opening.file_key.as_ref(), ask.data, report)?;
    report("preparing the rows");
    let laid = LaidOut::of(home, own.body(), given.tables).await?;
    let workers = Workers::default();
    let again =
        Again { home, workers: &workers, policy: &policy, name: &manifest.body().name, files: &laid.files, facts: &facts };
    let (planned, mut other_here) = again.plan(job.body(), &program, opening.prf.0).await?;
    report("running the job");
    let salted = |sums: &Committing| sums.salted(&opening.salt.0, &facts.job);
    let run = again.run(&planned).await;
    let default = salted(&Committing::to(&fallback_sums::sums(&job.body().program, &planned.plan).groups));
    let (made, failed) = match run {
        Ok(sums) => (Some(salted(&sums)), None),
        Err(why) => (None, Some(why)),
    };
    let verdict = match made {
        Some(made) if made == committed => Verdict::Same,
        _ if default == committed => Verdict::PublicDefault,
        _ => Verdict::Different,
    };
    if verdict == Verdict::Same {
        other_here.clear();
    }
    let (buyer, dataset) = (job.signer(), manifest.body().name.clone());
    Ok(Replayed { entry: ask.entry, job: facts.job, buyer, dataset, verdict, committed, made, failed, other_here })
}

/// An opened receipt.
struct Receipt {
    facts: Box<JobFacts>,
    committed: Sha256Digest,
    job: Signed<Job>,
}

/// Dataset version over which a job ran, and the policy in force for the job.
struct Governed {
    manifest: Signed<Manifest>,
    /// Policy named by the manifest.
    own: Signed<Policy>,
    policy: Policy,
}

/// Opens the documents named by the receipt, whatever version is the newest today.
fn governed(opening: &Opening, facts: &JobFacts) -> Result<Governed, NodeError> {
    let Published { manifest, policy, newest, lease: _ } = &opening.version;
    let (manifest, own) = (Signed::<Manifest>::open(manifest.clone())?, Signed::<Policy>::open(policy.clone())?);
    let newest = newest.clone().map(Signed::<Policy>::open).transpose()?;
    let owner = manifest.signer();
    let named = manifest.id() == facts.dataset
        && (own.id(), newest.as_ref().map(Signed::id)) == (facts.policy, facts.policy_newest)
        && manifest.body().policy == own.id()
        && [Some(&own), newest.as_ref()].into_iter().flatten().all(|policy| policy.signer() == owner);
    if !named {
        return Err(ReceiptFault::OpenedVersion.into());
    }
    let policy = newest.map_or_else(|| own.body().clone(), |newest| own.body().meet(newest.body()));
    Ok(Governed { manifest, own, policy })
}

/// Checks the opened receipt against the requested entry, and the job against the receipt.
fn check(opening: &Opening, owner: &PeerId, ask: &Ask<'_>) -> Result<Receipt, NodeError> {
    let entry = opening.receipt.to_canonical()?;
    if ask.receipt.as_ref().is_some_and(|known| *known != entry) {
        return Err(ReceiptFault::OtherReceipt.into());
    }
    let statement = tidegate_audit::open_entry(&entry, owner).map_err(|(rule, detail)| ReceiptFault::Rule { rule, detail })?;
    if note::check_proof(&opening.proof, &entry, owner)?.index != ask.entry {
        return Err(ReceiptFault::OtherIndex.into());
    }
    let Predicate::Outcome { facts, outcome: Ending::Released, commitment: Some(committed), .. } = statement.predicate else {
        return Err(ReceiptFault::NoResult.into());
    };
    let job = Signed::<Job>::open(opening.job.clone())?;
    let signature = job.envelope().signatures.first().map(|s| s.sig.as_str());
    if job.id() != facts.job
        || !facts.buyer.is(&job.signer(), opening.buyer_salt.as_ref())
        || signature != Some(&facts.buyer_signature)
    {
        return Err(ReceiptFault::OpenedJob.into());
    }
    if facts.inference.as_ref().is_some_and(|inference| inference.provider != "cpu") {
        return Err(ReceiptFault::OnGpu.into());
    }
    Ok(Receipt { facts, committed, job })
}

async fn fetch_program(home: &Home, buyer: &Buyer, owner: &Address, opening: &Opening) -> Result<Vec<u8>, NodeError> {
    let Some(hash) = opening.attachment else {
        return Err(NodeError::NoProgram);
    };
    let folder = tempfile::tempdir_in(home.path()).map_err(|e| file_error(home.path(), e))?;
    let target = folder.path().join("program");
    // The owner names the file, so no more is accepted than a job can have with it.
    let most = limits::PROGRAM_BYTES as u64;
    let mut came = |bytes| if bytes > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match buyer.fetch_blob(home.path(), owner, hash, &target, &mut came).await {
        Err(NodeError::Net(NetError::Stopped)) => Err(Unverified::ProgramSize { most }.into()),
        fetched => fetched.and_then(|()| read_given(&target, most).map_err(|e| file_error(&target, e))),
    }
}

/// Context for running a job again.
struct Again<'a> {
    home: &'a Home,
    workers: &'a Workers,
    policy: &'a Policy,
    /// Name under which the dataset was published.
    name: &'a str,
    files: &'a [PathBuf],
    facts: &'a JobFacts,
}

struct Planned {
    work: Work,
    plan: Plan,
    terms: Terms,
}

impl Again<'_> {
    /// Plans the job as the owner's node does.
    ///
    /// The noise and the price must be as the receipt says. Also returns the differences between this machine and the owner's.
    async fn plan(&self, job: &Job, program: &[u8], prf: [u8; 32]) -> Result<(Planned, Vec<String>), NodeError> {
        let first = self.files.first().ok_or(NodeError::NoRows)?;
        let rows = File::open(first).map_err(|e| file_error(first, e))?;
        let schema = tidegate_sandbox::units::schema(&rows).map_err(|e| corrupt(first, e))?;
        let schema = tidegate_sandbox::sql::published(&schema, self.name);
        let attachment = Codes::at(self.home, self.workers).attachment(&job.program, program, self.policy).await?;
        let work = Work { job: job.clone(), policy: self.policy.clone(), schema, attachment, prf, place: Place::Cpu };
        let checked = self.workers.check(&work).await?;
        let plan = Plan::new(checked.shape).map_err(ReceiptFault::Plan)?;
        let terms = Terms::of(job, self.policy, &plan).map_err(ReceiptFault::Plan)?;
        let mechanism = Mechanism { rows_read: checked.rows_read, ..terms.mechanism(&plan) };
        if mechanism != self.facts.mechanism || terms.cost() != self.facts.ledger.cost {
            return Err(ReceiptFault::Price.into());
        }
        let mut other = Vec::new();
        let engine = format!("tidegate {}", env!("CARGO_PKG_VERSION"));
        if engine != self.facts.engine {
            other.push(format!("the engine is {engine} here, and was {} at the owner", self.facts.engine));
        }
        if let (Some(runtime), Some(inference)) = (&checked.runtime, &self.facts.inference) {
            if *runtime != inference.runtime {
                other.push(format!("the runtime is {runtime} here, and was {} at the owner", inference.runtime));
            }
            let processor = tidegate_gpu_runner::device::processor();
            if processor != inference.device {
                other.push(format!("the processor is {processor} here, and was {} at the owner", inference.device));
            }
        }
        Ok((Planned { work, plan, terms }, other))
    }

    /// Runs the job, and returns the sums or why there are none.
    async fn run(&self, planned: &Planned) -> Result<Committing, String> {
        let (send, mut receive) = tokio::sync::mpsc::channel(4);
        let take = async {
            let mut sums = Committing::default();
            while let Some(coming) = receive.recv().await {
                match coming {
                    Coming::Groups(groups) => sums.add(&groups),
                    Coming::Anew => sums = Committing::default(),
                }
            }
            sums
        };
        let work = &planned.work;
        // The slot itself stays: a program's fuel and work follow from it.
        let deadline = SystemTime::now() + PATIENCE.max(Duration::from_millis(work.policy.limits.slot_ms));
        let over = Over {
            files: self.files,
            scratch: self.home.path(),
            plan: &planned.plan,
            least_units: planned.terms.least(&planned.plan),
            deadline,
            limit: tolerance(&work.job, &work.policy).most(),
        };
        let (ran, sums) = tokio::join!(self.workers.run(work, &over, send), take);
        ran.map(|_| sums).map_err(|e| e.to_string())
    }
}
