//! From a peer's request to a durable reservation: signature, grant, policy, program, price.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tidegate_gate::{Plan, Terms};
use tidegate_ledger::{JobRecord, Reservation, Reserve, ReserveError, State};
use tidegate_lockdown::Standing;
use tidegate_protocol::{
    Code, ContentHash, Envelope, Job, PeerId, Refusal, Sha256Digest, Signed,
    frame::Delivery,
    grant::Ask,
    job::Mode,
    limits,
    policy::{Policy, Wall},
    receipt::{InferenceNote, JobFacts, LedgerLink, Mechanism, Party},
};

use tokio_util::sync::CancellationToken;

use crate::owner::{
    Provider,
    access::authorize::Shown,
    broken, drain,
    jobs::{inference, queue::Slot, schedule},
    not_logged,
    refusals::not_in_force,
    unavailable,
    versions::InForce,
};
use crate::{
    buyer::check::{self, holds},
    fault,
    owner::jobs::{
        code_cache::Codes,
        registry,
        review::{self, Verdict},
    },
    worker::Work,
};

/// A job admitted to run: signature, grant, policy, limits and program are checked.
///
/// Built only by [`Provider::plan`].
pub(in crate::owner) struct AdmittedJob<'a> {
    pub(in crate::owner) dataset: InForce<'a>,
    pub(in crate::owner) job: Signed<Job>,
    pub(in crate::owner) work: Work,
    pub(in crate::owner) declared: Vec<Vec<tidegate_protocol::job::Key>>,
    /// Names of the columns read by the job.
    reads: Vec<String>,
    /// Number of rows of each unit that are read, if not all.
    rows_read: Option<u64>,
    /// SQL of the job without the literals.
    pub(in crate::owner) pattern: String,
    pub(in crate::owner) plan: Plan,
    pub(in crate::owner) terms: Terms,
    approval: Option<ContentHash>,
    /// Runtime and device of the job's model.
    inference: Option<InferenceNote>,
    grant: Shown,
    start: SystemTime,
}

impl AdmittedJob<'_> {
    /// Returns the deadline of the public slot.
    pub(in crate::owner) fn slot_end(&self) -> SystemTime {
        self.start + Duration::from_millis(self.work.policy.limits.slot_ms)
    }
}

impl Provider {
    pub(in crate::owner) async fn submit(
        &self,
        peer: PeerId,
        job: Envelope,
        token: &str,
        attachment: Vec<u8>,
        gone: CancellationToken,
    ) -> Result<Delivery, Refusal> {
        let _inside = self.drain.enter()?;
        self.witnesses.stopped()?;
        let (job, dataset, authority) = self.granted(peer, job, token)?;
        let grant = Shown { token: ContentHash::of(token.as_bytes()), ids: authority.ids, holder: authority.holder };
        let policy = dataset.policy();
        if let Some(record) = self.answered_before(&job, dataset)? {
            let earlier = Some(record.job.clone());
            return Ok(Delivery { earlier, ..self.deliver(dataset, record).await? });
        }
        self.may_be_refused(&grant.holder)?;
        let record = match self.answer(job.clone(), dataset, (&grant, token), attachment, &gone).await {
            Ok(record) => record,
            Err(refusal) => return Err(self.log_refusal(&job, grant, refusal).await),
        };
        if let Some(time) = schedule::reply_time(&record.facts, policy, &peer) {
            schedule::until(time).await;
        }
        self.deliver(dataset, record).await
    }

    /// Returns the buyer's earlier job with the same question and price, if the policy answers again.
    ///
    /// Its result was sent before, or may be sent now.
    fn answered_before(&self, job: &Signed<Job>, dataset: InForce<'_>) -> Result<Option<JobRecord>, Refusal> {
        let (policy, peer) = (dataset.policy(), job.signer());
        let party = self.party(dataset, peer)?;
        let known = self.store.job(&party, &job.body().request).map_err(unavailable)?;
        if !policy.answer_again || job.body().mode != Mode::Dp || known.is_some() {
            return Ok(None);
        }
        let (own, newest) = dataset.policies();
        let asked = self.store.asked(&party, &job.body().question(&own, newest.as_ref())).map_err(unavailable)?;
        let due =
            |record: &JobRecord| schedule::reply_time(&record.facts, policy, &peer).is_none_or(|time| time <= SystemTime::now());
        Ok(asked.filter(due))
    }

    /// Returns the record of a finished job: the existing record, or the record of a new run.
    ///
    /// Until it is charged, a job whose buyer has hung up is dropped.
    async fn answer(
        &self,
        job: Signed<Job>,
        dataset: InForce<'_>,
        (grant, token): (&Shown, &str),
        attachment: Vec<u8>,
        gone: &CancellationToken,
    ) -> Result<JobRecord, Refusal> {
        let peer = job.signer();
        // Computed before the time budget starts: it costs the first job nothing but its buyer's time.
        let build = self.build().await?;
        let _turn = self.turns.take(job.id()).await;
        let party = self.party(dataset, peer)?;
        let known = self.store.job(&party, &job.body().request).map_err(unavailable)?;
        if let Some(record) = &known
            && record.facts.job != job.id()
        {
            return Err(conflict(&job.body().request));
        }
        if let Some(record) = known.clone().filter(|r| r.state != State::Reserved) {
            return Ok(record);
        }
        if known.is_none() {
            self.lease_for(dataset)?;
            if job.body().mode == Mode::Reviewed && !self.is_own(dataset) {
                return Err(Refusal::new(
                    Code::Policy,
                    "this node is a replica, and only the dataset's owner approves exact results",
                )
                .at("mode")
                .fix("Send this job to the owner"));
            }
        }
        // A crash cut the job off after its charge: it is finished even if the buyer leaves, and can be stopped like running
        // jobs.
        let charged = known.is_some();
        let attachment = job.body().program.attachment().map(|_| Arc::new(attachment));
        let (id, _listed) = (job.id(), self.note(&job, dataset, None));
        let prepare = async {
            // A paid job waits its turn and is not turned away.
            let slot = if charged { self.slots.wait(grant.holder).await } else { None };
            self.prepare(job, dataset, grant, attachment.clone(), slot).await
        };
        let (admitted, _slot) = tokio::select! {
            prepared = prepare => prepared?,
            () = registry::told(&self.home, &id), if !charged => {
                registry::forget(&self.home, &id);
                return Err(Refusal::new(Code::Unavailable, "the owner stopped this job before it began; nothing was charged"));
            }
            () = self.drain.told(), if !charged => return Err(drain::ending()),
            () = gone.cancelled(), if !charged => {
                tracing::info!("dropped a job of {peer}: the buyer disconnected, and nothing was charged");
                return Err(Refusal::new(Code::Unavailable, "the buyer disconnected"));
            }
        };
        if !charged {
            // By now the job's reducers are known, and its time budget has started.
            let ask = self.asked(&admitted.job, dataset, &grant.ids, admitted.start)?;
            let columns = admitted.terms.mechanism(&admitted.plan).columns;
            let reducers = columns.into_iter().map(|column| column.reducer).collect();
            self.authorize(dataset, peer, token, &Ask { reducers, ..ask })?;
        }
        let runner = admitted.work.job.program.infers().then_some(admitted.work.place);
        fault::starve();
        let ready = self.workers.ready(&dataset.record().compute, runner).map_err(|e| {
            tracing::error!("rejected job {id} without a charge: {e}");
            Refusal::new(Code::Unavailable, "the owner's node lacks resources for this job now: nothing was charged")
                .fix("Send the same job again later")
        });
        // A job already charged does not wait for a better time.
        let ready = if charged { ready.ok() } else { Some(ready?) };
        fault::point("before-reserve");
        self.keep_program(&admitted.job, attachment).await?;
        let population = &dataset.population();
        if let Terms::Reviewed(rules) = &admitted.terms {
            review::entry::enter(&self.home, &self.identity.id(), rules, population, &admitted.job)?;
        }
        let reserved = self.reserve(&admitted, party, build).inspect_err(|_| {
            self.drop_program(&admitted.job.id());
            if !charged && matches!(admitted.terms, Terms::Reviewed(_)) {
                review::tables::forget(&self.home, population, &admitted.job.id());
            }
        })?;
        match reserved {
            Ok(reservation) => {
                fault::point("after-reserve");
                self.export().await?;
                drop(ready);
                self.run(&admitted, reservation).await
            }
            Err(done) => {
                self.drop_program(&done.facts.job);
                Ok(done)
            }
        }
    }

    /// Prepares a job for its charge, and returns it with the job slot to run in.
    ///
    /// The job slot is `slot`, or else one of the holder's share, and is held until the job's outcome is settled.
    async fn prepare(
        &self,
        job: Signed<Job>,
        dataset: InForce<'_>,
        grant: &Shown,
        attachment: Option<Arc<Vec<u8>>>,
        slot: Option<Slot>,
    ) -> Result<(AdmittedJob<'_>, Slot), Refusal> {
        let now = schedule::unix(SystemTime::now());
        let verdict = self.verdict(&job, dataset)?;
        let approval = if let Some(Verdict::Approved(id)) = &verdict { Some(*id) } else { None };
        // An approval names this very job and may come late.
        let age = if approval.is_some() { i64::MAX } else { limits::JOB_AGE_SECONDS };
        if job.body().created > now + limits::CLOCK_SKEW_SECONDS || now.saturating_sub(job.body().created) > age {
            return Err(Refusal::new(Code::BadRequest, "its creation time is in the future or over a day old")
                .at("job")
                .fix("Check the clock and sign it again"));
        }
        let slot = match slot {
            Some(slot) => slot,
            None => self.slots.take(grant.holder).await?,
        };
        self.unchanged(dataset).await?;
        // Jobs that would be refused anyway are refused now: the owner reviews only jobs that can run.
        let mut admitted = self.plan(job, attachment.clone(), grant.clone()).await?;
        if verdict == Some(Verdict::Waiting) {
            let (keys, sent) = (&admitted.plan.shape().key_names, attachment.as_ref().map(|sent| sent.as_slice()));
            return Err(review::wait(&self.home, &admitted.job, keys, sent));
        }
        admitted.approval = approval.flatten();
        if self.bring_columns(dataset, &admitted.reads).await? {
            // The wait for columns does not count against the time budget.
            admitted.start = SystemTime::now();
        }
        Ok((admitted, slot))
    }

    /// Returns the owner's verdict on a job for an exact result; `None` for other jobs.
    fn verdict(&self, job: &Signed<Job>, dataset: InForce<'_>) -> Result<Option<Verdict>, Refusal> {
        if job.body().mode == Mode::Dp {
            return Ok(None);
        }
        let Some(rules) = &dataset.policy().reviewed else {
            let refusal = Refusal::new(Code::Policy, "the policy allows no exact results").at("mode");
            return Err(refusal.fix("Remove mode and give epsilon"));
        };
        let population = &dataset.population();
        match review::verdict(&self.home, &self.identity.id(), rules, population, job).map_err(unavailable)? {
            Verdict::Denied => Err(Refusal::new(Code::Policy, "the owner rejected this job").at("mode")),
            verdict => Ok(Some(verdict)),
        }
    }

    pub(in crate::owner) async fn plan(
        &self,
        job: Signed<Job>,
        attachment: Option<Arc<Vec<u8>>>,
        grant: Shown,
    ) -> Result<AdmittedJob<'_>, Refusal> {
        let dataset = self.in_force(&job.body().dataset)?;
        let policy = dataset.policy();
        self.walled(policy)?;
        let place = inference::place(&job.body().program, policy)?;
        let sent = attachment.as_ref().map_or(&[][..], |sent| sent);
        let attachment = Codes::at(&self.home, &self.workers).attachment(&job.body().program, sent, policy).await?;
        // Uses only what is public about the columns: their form in the files that jobs read may depend on rows.
        let schema = check::schema(dataset.manifest().body()).map_err(unavailable)?;
        let prf = self.prf(&job.id());
        let work = Work { job: job.body().clone(), policy: policy.clone(), schema, attachment, prf, place };
        let (work, checked) = inference::check(&self.workers, work).await?;
        // Compilation, and planning before the charge, do not count against the time budget.
        let start = SystemTime::now();
        let inference = checked.runtime.map(|runtime| inference::note(work.place, runtime));
        let gate = |e: tidegate_gate::GateError| Refusal::new(Code::Program, e.to_string()).at("cost");
        let plan = Plan::new(checked.shape).map_err(gate)?;
        let terms = Terms::of(job.body(), &work.policy, &plan).map_err(gate)?;
        holds(&plan, &terms)?;
        Ok(AdmittedJob {
            dataset,
            job,
            work,
            declared: checked.declared,
            pattern: checked.pattern,
            reads: checked.reads,
            rows_read: checked.rows_read,
            plan,
            terms,
            approval: None,
            inference,
            grant,
            start,
        })
    }

    /// Checks whether the sandbox layers required by a policy are in force.
    fn walled(&self, policy: &Policy) -> Result<(), Refusal> {
        let Standing { namespaces, rlimits, no_privileges, landlock, calls } = self.walls;
        let stands = |wall: &Wall| match wall {
            Wall::Landlock => landlock,
            Wall::Calls => calls,
            Wall::Privileges => no_privileges,
            Wall::Limits => rlimits,
            Wall::Namespaces => namespaces,
        };
        match policy.walls.iter().find(|wall| !stands(wall)) {
            None => Ok(()),
            Some(wall) => {
                let message =
                    format!("the policy requires process confinement (`jobs.walls`) that the owner's machine lacks: {wall:?}");
                Err(Refusal::new(Code::Unavailable, message.to_lowercase()))
            }
        }
    }

    fn reserve(
        &self,
        admitted: &AdmittedJob<'_>,
        buyer: Party,
        build: ContentHash,
    ) -> Result<Result<Reservation, JobRecord>, Refusal> {
        let AdmittedJob { dataset, job, plan, terms, start, .. } = admitted;
        let (policy, manifest, (own, newest)) = (dataset.policy(), dataset.manifest(), dataset.policies());
        let population = dataset.population();
        let holder = self.holder(*dataset, job.signer(), admitted.grant.holder)?;
        let end = admitted.slot_end();
        let lease = self.lease_for(*dataset)?;
        let facts = JobFacts {
            job: job.id(),
            buyer_signature: job.envelope().signatures.first().map(|s| s.sig.clone()).unwrap_or_default(),
            buyer,
            holder,
            columns: admitted.reads.clone(),
            dataset: manifest.id(),
            dataset_sha256: manifest.envelope().payload_sha256(),
            previous: manifest.body().previous,
            policy: own,
            policy_newest: newest,
            kind: format!("{:?}", job.body().program.kind()).to_lowercase(),
            program: job.body().bound(),
            grant: admitted.grant.token,
            grant_ids: admitted.grant.ids.clone(),
            approval: admitted.approval,
            ledger: LedgerLink {
                sequence: 0,
                previous: Sha256Digest([0; 32]),
                population,
                buyer: holder.unwrap_or(buyer),
                job: job.id(),
                cost: terms.cost(),
                cap: lease.as_ref().map_or(policy.budget, |taken| taken.cap()),
            },
            lease: lease.map(|taken| taken.id),
            mechanism: Mechanism { rows_read: admitted.rows_read, ..terms.mechanism(plan) },
            engine: format!("tidegate {}", env!("CARGO_PKG_VERSION")),
            build,
            inference: admitted.inference.clone(),
            slot_start: schedule::rfc3339(*start),
            slot_end: schedule::rfc3339(end),
        };
        let ask =
            Reserve { request: job.body().request.clone(), job: job.envelope().clone(), facts, per_buyer: policy.per_buyer };
        self.store.reserve(ask).map_err(|e| match e {
            ReserveError::Conflict { request } => conflict(&request),
            ReserveError::Store(e) => not_logged(e),
            ReserveError::Rule { rule, detail } => broken(rule, &detail),
            ReserveError::NotInForce(why) => not_in_force(&why),
            ReserveError::Rate => Refusal::new(Code::NotGranted, e.to_string()).at("grant").fix("Send it again later"),
            ReserveError::Oversized { .. } => {
                Refusal::new(Code::Program, e.to_string()).at("program").fix("Ask for fewer columns, or give them shorter names")
            }
            // The lease ended just now or has its maximum number of buyers: another lease has room.
            ReserveError::Lease => self
                .lease_is_short(*dataset)
                .unwrap_or_else(|| Refusal::new(Code::Busy, e.to_string()).fix("Ask again in a moment")),
            ReserveError::Population { left, asked } | ReserveError::Buyer { left, asked } => {
                if let Some(refusal) = self.lease_is_short(*dataset) {
                    return refusal;
                }
                Refusal::new(Code::Budget, e.to_string())
                    .at(asked.over(left).unwrap_or("cost"))
                    .fix("Nothing was charged and no row was read. Lower the cost, or ask the owner for more budget")
            }
            other => unavailable(other),
        })
    }
}

fn conflict(request: &str) -> Refusal {
    Refusal::new(Code::Conflict, format!("request id {request} was used before with another job"))
        .at("request")
        .fix("Use a fresh id: `tidegate run` draws one")
}
