//! The owner's side of a job: admit → reserve → run → release → log → reply at a public tick.

use std::{
    fs::File,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_catalog::{JobRecord, Reservation, Reserve, ReserveError, State, Store, dataset::Dataset, log};
use tidegate_exchange::{Handler, blobs::Served};
use tidegate_gate::{Calibration, Plan, Sums, release};
use tidegate_gpu_runner::library;
use tidegate_protocol::{
    Code, ContentHash, Envelope, Identity, Job, PeerId, Refusal, Sha256Digest, Signed,
    cost::MicroRho,
    frame::{Delivery, Listing, Reply, Request},
    grant::{self, Action, Ask},
    job::{Program, Split},
    limits,
    policy::{Access, JobKind},
    receipt::{JobFacts, LedgerLink},
};
use tokio::sync::Semaphore;

use crate::{
    NodeError, fault, file_error,
    home::Home,
    worker::{self, Work},
};

/// Jobs that run at the same time.
const SLOTS: usize = 4;
/// Time between the end of a slot and the earliest tick, for noise, fsync and proof: they must not push a reply to a later tick.
const GRACE: Duration = Duration::from_millis(300);

/// An owner's node.
pub struct Provider {
    home: Home,
    identity: Identity,
    store: Arc<Store>,
    datasets: Vec<Dataset>,
    served: Arc<Served>,
    slots: Semaphore,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provider({})", self.identity.id())
    }
}

/// A job that may run: signature, grant, policy, limits and program are checked. Comes only out of `admit`.
struct AdmittedJob<'a> {
    dataset: &'a Dataset,
    job: Signed<Job>,
    work: Work,
    declared: Vec<Vec<tidegate_protocol::job::Key>>,
    plan: Plan,
    calibration: Calibration,
    grant: ContentHash,
    start: SystemTime,
}

impl AdmittedJob<'_> {
    /// End of the public slot.
    fn slot_end(&self) -> SystemTime {
        self.start + Duration::from_millis(self.work.policy.limits.slot_ms)
    }
}

fn unavailable(e: impl std::fmt::Display) -> Refusal {
    tracing::error!("{e}");
    Refusal::new(Code::Unavailable, "the owner's node could not do this; its log has details")
}

impl Provider {
    /// Opens an owner's node and finishes the jobs that a crash cut off.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn open(home: Home, served: Arc<Served>) -> Result<Self, NodeError> {
        let identity = home.identity()?;
        let store = Arc::new(Store::open(home.path(), identity.clone())?);
        let datasets = tidegate_catalog::dataset::load_all(&home.datasets())?;
        for dataset in &datasets {
            if let (Some(path), Some(file)) = (&dataset.record.mock, &dataset.manifest.body().mock) {
                served.add(path, file.hash).await?;
            }
        }
        for dataset in datasets.iter().filter(|d| d.policy.body().replicate == Access::Granted) {
            for (path, file) in dataset.record.files.iter().zip(&dataset.manifest.body().files) {
                served.add(path, file.hash).await?;
            }
        }
        let provider = Self { home, identity, store, datasets, served, slots: Semaphore::new(SLOTS) };
        provider.recover().await?;
        Ok(provider)
    }

    /// Jobs charged but not finished: nothing of them was revealed, so they run once more, at no further charge.
    async fn recover(&self) -> Result<(), NodeError> {
        for reservation in self.store.unfinished()? {
            let record = reservation.record().clone();
            match self.readmit(&record).await {
                Ok(admitted) => {
                    tracing::info!("finishing job {} after a restart", record.facts.job);
                    self.run(&admitted, reservation).await.map_err(NodeError::Refused)?;
                }
                Err(e) => tracing::error!("job {} stays open: {e}", record.facts.job),
            }
        }
        Ok(())
    }

    async fn readmit(&self, record: &JobRecord) -> Result<AdmittedJob<'_>, Refusal> {
        let job = Signed::<Job>::open(record.job.clone()).map_err(unavailable)?;
        let attachment = match job.body().program.attachment() {
            None => None,
            Some(hash) => Some(Arc::new(std::fs::read(self.home.programs().join(hash.to_string())).map_err(unavailable)?)),
        };
        self.plan(job, attachment, record.facts.grant).await
    }

    fn dataset(&self, id: &ContentHash) -> Result<&Dataset, Refusal> {
        self.datasets.iter().find(|d| d.manifest.id() == *id).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("no dataset {} here", id.short())).at("dataset").fix("See `tidegate list`")
        })
    }

    fn authorize(&self, dataset: &Dataset, peer: PeerId, token: &str, action: Action, rho: MicroRho) -> Result<(), Refusal> {
        let access = match action {
            Action::Compute => dataset.policy.body().compute,
            Action::Replicate => dataset.policy.body().replicate,
        };
        if access == Access::Nobody {
            let message = format!("the policy lets nobody {} this dataset", action.word());
            return Err(Refusal::new(Code::Policy, message).at(format!("access.{}", action.word())));
        }
        let manifest = dataset.manifest.body();
        let ask = Ask { peer, population: manifest.population, action, rho, now: SystemTime::now() };
        grant::authorize(token, &manifest.grant_key, &ask)
    }

    async fn submit(&self, peer: PeerId, job: Envelope, token: &str, attachment: Vec<u8>) -> Result<Delivery, Refusal> {
        let bad = |e: &dyn std::fmt::Display| Refusal::new(Code::BadRequest, e.to_string()).at("job");
        let job = Signed::<Job>::open(job).map_err(|e| bad(&e))?;
        if job.signer() != peer {
            return Err(bad(&format!("signed by {}, sent by {}", job.signer(), peer)));
        }
        job.body().check()?;
        let dataset = self.dataset(&job.body().dataset)?;
        let policy = dataset.policy.body();
        self.authorize(dataset, peer, token, Action::Compute, job.body().cost.rho_micro)?;
        let known = self.store.job(&peer, &job.body().request).map_err(unavailable)?;
        if let Some(record) = &known
            && record.facts.job != job.id()
        {
            return Err(conflict(&job.body().request));
        }
        if let Some(record) = known.filter(|r| matches!(r.state, State::Done { .. })) {
            return self.deliver(dataset, record);
        }
        let now = unix(SystemTime::now());
        if job.body().created > now + limits::CLOCK_SKEW_SECONDS || job.body().created < now - limits::JOB_AGE_SECONDS {
            return Err(bad(&"its creation time is in the future or over a day old").fix("Check the clock and sign it again"));
        }
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::new(Code::Busy, format!("all {SLOTS} job slots are busy")))?;
        let attachment = self.keep_program(job.body(), attachment)?;
        let admitted = self.plan(job, attachment, ContentHash::of(token.as_bytes())).await?;
        fault::point("before-reserve");
        let record = match self.reserve(&admitted, peer)? {
            Ok(reservation) => {
                fault::point("after-reserve");
                self.run(&admitted, reservation).await?
            }
            Err(done) => done,
        };
        let delivery = self.deliver(dataset, record)?;
        let tick = if policy.skips_tick(&peer) { None } else { next_tick(admitted.slot_end() + GRACE, policy.tick_ms) };
        if let Some(wait) = tick.and_then(|tick| tick.duration_since(SystemTime::now()).ok()) {
            tokio::time::sleep(wait).await;
        }
        Ok(delivery)
    }

    /// Keeps the program until the job is done, so that a restart can finish it.
    fn keep_program(&self, job: &Job, bytes: Vec<u8>) -> Result<Option<Arc<Vec<u8>>>, Refusal> {
        let Some(hash) = job.program.attachment() else { return Ok(None) };
        if ContentHash::of(&bytes) != hash {
            return Err(Refusal::new(Code::BadRequest, "the program's bytes do not have the hash the job names").at("program"));
        }
        let folder = self.home.programs();
        let keep = || -> std::io::Result<()> {
            std::fs::create_dir_all(&folder)?;
            let mut file = tempfile_in(&folder, &hash)?;
            std::io::Write::write_all(&mut file.1, &bytes)?;
            file.1.sync_all()?;
            std::fs::rename(&file.0, folder.join(hash.to_string()))
        };
        keep().map_err(unavailable)?;
        Ok(Some(Arc::new(bytes)))
    }

    async fn plan(
        &self,
        job: Signed<Job>,
        attachment: Option<Arc<Vec<u8>>>,
        grant: ContentHash,
    ) -> Result<AdmittedJob<'_>, Refusal> {
        let start = SystemTime::now();
        if job.body().program.kind() == JobKind::Onnx && library::find().is_none() {
            return Err(Refusal::new(Code::Unavailable, "the owner's node has no ONNX Runtime")
                .at("program")
                .fix(library::HOW_TO));
        }
        let dataset = self.dataset(&job.body().dataset)?;
        let first = dataset.record.compute.first().ok_or_else(|| unavailable("a dataset without files"))?;
        let schema = File::open(first).map_err(|e| file_error(first, e)).map_err(unavailable)?;
        let schema = tidegate_sandbox::units::schema(&schema).map_err(unavailable)?;
        let prf = self.identity.derive(&format!("prf of job {}", job.id()));
        let work = Work { job: job.body().clone(), policy: dataset.policy.body().clone(), schema, attachment, prf };
        let checked = worker::check(&work).await?;
        let gate = |e: tidegate_gate::GateError| Refusal::new(Code::Program, e.to_string()).at("cost");
        let plan = Plan::new(checked.shape).map_err(gate)?;
        let calibration = plan.calibrate(job.body().cost).map_err(gate)?;
        Ok(AdmittedJob { dataset, job, work, declared: checked.declared, plan, calibration, grant, start })
    }

    fn reserve(&self, admitted: &AdmittedJob<'_>, buyer: PeerId) -> Result<Result<Reservation, JobRecord>, Refusal> {
        let AdmittedJob { dataset, job, plan, calibration, start, .. } = admitted;
        let policy = dataset.policy.body();
        let population = dataset.manifest.body().population;
        let program = match &job.body().program {
            Program::Sql { query, .. } => ContentHash::of(query.as_bytes()),
            other => other.attachment().unwrap_or(ContentHash([0; 32])),
        };
        let end = admitted.slot_end();
        let facts = JobFacts {
            job: job.id(),
            buyer_signature: job.envelope().signatures.first().map(|s| s.sig.clone()).unwrap_or_default(),
            buyer,
            dataset: dataset.manifest.id(),
            policy: dataset.policy.id(),
            kind: format!("{:?}", job.body().program.kind()).to_lowercase(),
            program,
            grant: admitted.grant,
            ledger: LedgerLink {
                sequence: 0,
                previous: Sha256Digest([0; 32]),
                population,
                buyer,
                job: job.id(),
                cost: calibration.cost,
                cap: policy.budget,
            },
            mechanism: plan.mechanism(calibration),
            engine: format!("tidegate {}", env!("CARGO_PKG_VERSION")),
            slot_start: rfc3339(*start),
            slot_end: rfc3339(end),
        };
        let ask = Reserve {
            request: job.body().request.clone(),
            job: job.envelope().clone(),
            subject: Sha256Digest::of(job.id().to_string().as_bytes()),
            facts,
            per_buyer: policy.per_buyer,
        };
        self.store.reserve(ask).map_err(|e| match e {
            ReserveError::Conflict(request) => conflict(&request),
            ReserveError::Store(e) => unavailable(e),
            over => Refusal::new(Code::Budget, over.to_string())
                .at("cost.rho_micro")
                .fix("Nothing was charged and no row was read. Ask for less, or ask the owner for more budget"),
        })
    }

    /// Runs, releases, and makes the result and its receipt durable. Whatever goes wrong in the worker is invisible outside.
    async fn run(&self, admitted: &AdmittedJob<'_>, reservation: Reservation) -> Result<JobRecord, Refusal> {
        let sums = match worker::run(&admitted.work, &admitted.dataset.record.compute, admitted.slot_end()).await {
            Ok(sums) if admitted.plan.check(&sums).is_ok() => sums,
            Ok(_) => {
                tracing::error!("job {}: the worker's sums do not fit; noise over the default is released", admitted.job.id());
                defaults(admitted)
            }
            Err(e) => {
                tracing::error!("job {}: {e}; noise over the default is released", admitted.job.id());
                defaults(admitted)
            }
        };
        let released =
            release(&admitted.plan, &admitted.calibration, &admitted.declared, &sums, admitted.job.id()).map_err(unavailable)?;
        fault::point("after-release");
        let bytes = serde_json_canonicalizer::to_string(released.document()).map_err(unavailable)?;
        let store = self.store.clone();
        let record = tokio::task::spawn_blocking(move || {
            let record = store.finish(reservation, bytes)?;
            fault::point("after-finish");
            store.export()?;
            fault::point("after-export");
            Ok::<_, tidegate_catalog::StoreError>(record)
        });
        record.await.map_err(unavailable)?.map_err(unavailable)
    }

    fn deliver(&self, dataset: &Dataset, record: JobRecord) -> Result<Delivery, Refusal> {
        let State::Done { result, outcome } = record.state else { return Err(unavailable("a job without a result")) };
        let (receipt, proof) = self.store.prove(outcome).map_err(unavailable)?;
        let spent = self.store.spent(&dataset.manifest.body().population, Some(&record.facts.buyer)).map_err(unavailable)?;
        let remaining = spent.left_of(dataset.policy.body().per_buyer);
        Ok(Delivery { result: STANDARD.encode(result), receipt, proof, remaining })
    }

    fn log_file(&self, path: &str) -> Result<String, Refusal> {
        if !log::is_log_path(path) {
            return Err(Refusal::new(Code::BadRequest, "not a path of the log").at("path"));
        }
        let bytes = std::fs::read(self.store.log_folder().join(path));
        bytes.map(|b| STANDARD.encode(b)).map_err(|_| Refusal::new(Code::NotFound, "no such log file").at("path"))
    }
}

/// What stands in for a worker that failed: the public default of each block, or nobody.
fn defaults(admitted: &AdmittedJob<'_>) -> Sums {
    let Program::Wasm { split: Split::Blocks(blocks), outputs, .. } = &admitted.job.body().program else {
        return Sums::default();
    };
    let values: Vec<f64> = outputs.iter().map(|o| o.default).collect();
    let mut group = admitted.plan.group(vec![]);
    for _ in 0..*blocks {
        if admitted.plan.close_vector(&mut group, &values, &values).is_err() {
            return Sums::default();
        }
    }
    Sums { groups: vec![group] }
}

fn tempfile_in(folder: &std::path::Path, hash: &ContentHash) -> std::io::Result<(std::path::PathBuf, File)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let path = folder.join(format!("{hash}.{}.tmp", hex::encode(random)));
    Ok((path.clone(), File::create_new(path)?))
}

fn conflict(request: &str) -> Refusal {
    Refusal::new(Code::Conflict, format!("request id {request} was used before with another job"))
        .at("request")
        .fix("Use a fresh id: `tidegate run` draws one")
}

/// The first tick at or after `end`, or after now where the node is late: a reply never leaves between ticks.
fn next_tick(end: SystemTime, tick_ms: u64) -> Option<SystemTime> {
    let due = end.max(SystemTime::now()).duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    Some(UNIX_EPOCH + Duration::from_millis(due.div_ceil(tick_ms).checked_mul(tick_ms)?))
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default()
}

impl Handler for Provider {
    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        attachment: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            let reply = match request {
                Request::Listings => Ok(Reply::Listings(
                    self.datasets
                        .iter()
                        .map(|d| Listing { manifest: d.record.manifest.clone(), policy: d.record.policy.clone() })
                        .collect(),
                )),
                Request::Submit { job, grant, .. } => {
                    self.submit(peer, job, &grant, attachment).await.map(|d| Reply::Delivered(Box::new(d)))
                }
                Request::Mock { dataset } => self.dataset(&dataset).and_then(|d| {
                    // Mock rows are the owner's to give away; everybody may rehearse.
                    let mock = d.manifest.body().mock.as_ref().ok_or_else(|| {
                        Refusal::new(Code::NotFound, "this dataset has no mock rows")
                            .fix("Rehearse with --mock FILE --policy FILE")
                    })?;
                    self.served.access().allow(peer, [mock.hash]);
                    Ok(Reply::Replicating)
                }),
                Request::Replicate { dataset, grant } => self.dataset(&dataset).and_then(|d| {
                    self.authorize(d, peer, &grant, Action::Replicate, MicroRho(0))?;
                    self.served.access().allow(peer, d.manifest.body().files.iter().map(|f| f.hash));
                    Ok(Reply::Replicating)
                }),
                Request::LogFile { path } => self.log_file(&path).map(Reply::LogFile),
            };
            reply.unwrap_or_else(Reply::Refused)
        })
    }
}
