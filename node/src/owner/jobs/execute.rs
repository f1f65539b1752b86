//! From a reservation to a durable receipt.
//!
//! Whatever goes wrong in the worker is invisible outside.

use std::{sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_gate::{Committing, GateError, Released, Terms};
use tidegate_ledger::{JobRecord, Reservation, State};
use tidegate_protocol::{Code, Job, Refusal, Signed, frame::Delivery, policy::Access};

use crate::owner::{
    Provider,
    access::authorize::Shown,
    jobs::{admit::AdmittedJob, schedule},
    unavailable,
    versions::InForce,
};
use crate::{
    NodeError, fault,
    owner::jobs::{
        failure_meter::{Failure, Meter},
        fallback_sums, fallbacks, quarantine,
        registry::{self, Running},
        review::tables::Measuring,
    },
    worker::{Coming, Over, Work, WorkerFailed, tolerance},
};

impl Provider {
    /// Finishes the jobs interrupted by a crash.
    ///
    /// They are charged and nothing of them was revealed, so they run once more at no further charge. A job whose version was
    /// retired or superseded since has no result.
    ///
    /// # Errors
    /// Returns [`NodeError`] if the ledger cannot be read; a job that cannot be finished stays open and is reported to the owner.
    pub async fn recover(&self) -> Result<(), NodeError> {
        for reservation in self.store.unfinished()? {
            let record = reservation.record().clone();
            // Jobs not begun are resumed when this node serves again.
            let Ok(_inside) = self.drain.enter() else { break };
            let _turn = self.turns.take(record.facts.job).await;
            let job = Signed::<Job>::open(record.job.clone())?;
            let _slot = self.slots.wait(job.signer()).await;
            if self.drain.is_told() {
                break;
            }
            let id = job.body().request.clone();
            if self.store.job(&record.facts.buyer, &id)?.is_some_and(|r| matches!(r.state, State::Done { .. })) {
                // Its buyer came back first.
                continue;
            }
            let policies = (record.facts.policy, record.facts.policy_newest);
            if !self.in_force(&record.facts.dataset).is_ok_and(|dataset| dataset.policies() == policies) {
                // The policies under which it was charged are no longer in force: nothing of it was seen, and nothing will be.
                tracing::warn!(
                    "job {} was interrupted, and its version has since been retired or superseded: it has no result",
                    record.facts.job
                );
                self.store.close(reservation)?;
                self.drop_program(&record.facts.job);
                continue;
            }
            tracing::info!("finishing job {} after a restart", record.facts.job);
            let finished = match self.readmit(&record).await {
                Ok(admitted) => self.run(&admitted, reservation).await.map(|_| ()),
                Err(e) => Err(e),
            };
            if let Err(e) = finished {
                tracing::error!("job {} stays open: {e}", record.facts.job);
            }
        }
        Ok(())
    }

    async fn readmit(&self, record: &JobRecord) -> Result<AdmittedJob<'_>, Refusal> {
        let job = Signed::<Job>::open(record.job.clone()).map_err(unavailable)?;
        let attachment = match job.body().program.attachment() {
            None => None,
            Some(_) => Some(Arc::new(std::fs::read(self.home.program(&job.id())).map_err(unavailable)?)),
        };
        // The job is charged; its facts name the account.
        let grant = Shown { token: record.facts.grant, ids: record.facts.grant_ids.clone(), holder: job.signer() };
        self.plan(job, attachment, grant).await
    }

    /// Runs a job, releases its sums, and makes the result and its receipt durable.
    ///
    /// Whatever goes wrong in the worker is invisible outside.
    pub(in crate::owner) async fn run(&self, admitted: &AdmittedJob<'_>, reservation: Reservation) -> Result<JobRecord, Refusal> {
        let id = admitted.job.id();
        let facts = &reservation.record().facts;
        let slot = registry::Slot { start: facts.slot_start.clone(), end: facts.slot_end.clone() };
        let _listed = self.note(&admitted.job, admitted.dataset, Some(slot));
        let fall_back = |why: &dyn std::fmt::Display| {
            fallbacks::note(&self.home, id, facts.ledger.population, why);
            default(admitted)
        };
        let meter = Meter::of(&self.home, facts.ledger.population, facts.ledger.buyer);
        let (released, committing) = if quarantine::holds(&self.home, &admitted.job, &admitted.pattern) {
            tracing::warn!("job {id} is in quarantine and does not run: releasing noise over the fallback value");
            fall_back(&"its program is in quarantine")?
        } else if meter.stops() {
            tracing::warn!(
                "job {id} does not run, because too many jobs of the grant's holder failed: releasing noise over the fallback value"
            );
            fall_back(&"too many jobs of the grant's holder failed")?
        } else {
            let noised = tokio::select! {
                noised = self.noised(admitted, &meter) => noised,
                () = registry::told(&self.home, &id) => Err(WorkerFailed::Stopped),
            };
            match noised {
                Ok(made) => made,
                Err(e) => {
                    // Nothing that came before the failure counts.
                    tracing::error!("job {id}: {e}; releasing noise over the fallback value");
                    self.set_apart(admitted, &meter, &e);
                    fall_back(&e)?
                }
            }
        };
        fault::point("after-release");
        let bytes = serde_json_canonicalizer::to_string(released.document()).map_err(unavailable)?;
        if !admitted.work.policy.skips_tick(&admitted.job.signer()) {
            // Nobody has seen these bytes: a crash before they are durable loses nothing but work.
            schedule::until(schedule::settled(admitted.slot_end())).await;
        }
        let salt = self.salt(&admitted.work.policy, &id)?;
        let (store, commitment) = (self.store.clone(), committing.salted(&salt, &id));
        let record = tokio::task::spawn_blocking(move || store.finish(reservation, bytes, commitment));
        let record = record.await.map_err(unavailable)?.map_err(unavailable)?;
        fault::point("after-finish");
        match admitted.work.policy.replay {
            Access::Granted | Access::Anybody => self.keep_for_replays(&admitted.job),
            Access::Nobody => self.drop_program(&id),
        }
        registry::forget(&self.home, &id);
        self.export().await?;
        fault::point("after-export");
        Ok(record)
    }

    /// Counts a failure against the job's holder, and quarantines the program if it broke the worker.
    ///
    /// Reports to the owner alone.
    fn set_apart(&self, admitted: &AdmittedJob<'_>, meter: &Meter, why: &WorkerFailed) {
        let (why, broke) = match why {
            // The machine's fault, or the owner's order.
            WorkerFailed::NotStarted(_) | WorkerFailed::Stopped => return,
            WorkerFailed::Late => (why.to_string(), false),
            WorkerFailed::Broken(why) => (why.clone(), true),
        };
        let job = &admitted.job;
        let failure = Failure { job: job.id(), buyer: job.signer(), at: jiff::Timestamp::now().to_string(), why };
        match meter.add(&failure) {
            Ok(()) if meter.stops() => {
                tracing::error!(
                    "{} jobs of the grant's holder failed: none runs until `tidegate quarantine lift`",
                    meter.count()
                );
            }
            Ok(()) => {}
            Err(e) => tracing::error!("cannot count the failure of job {}: {e}", job.id()),
        }
        if !broke {
            return;
        }
        let quarantined = quarantine::add(&self.home, job, &admitted.pattern, &failure.why);
        match &quarantined {
            Ok(one) => tracing::error!("its program is in quarantine until `tidegate quarantine lift {}`", one.id),
            Err(e) => tracing::error!("cannot put job {} into quarantine: {e}", job.id()),
        }
        self.suspect_files(admitted, meter, quarantined.ok().map(|one| one.id));
    }

    /// Runs the worker, and releases and commits to its sums as they come.
    ///
    /// A separate thread draws the noise.
    async fn noised(&self, admitted: &AdmittedJob<'_>, meter: &Meter) -> Result<(Released, Committing), WorkerFailed> {
        let limit = limit(meter, &admitted.work)?;
        let (send, mut receive) = tokio::sync::mpsc::channel(4);
        let (terms, plan, declared) = (admitted.terms.clone(), admitted.plan.clone(), admitted.declared.clone());
        let id = admitted.job.id();
        let (home, population, job) = (self.home.clone(), admitted.dataset.population(), admitted.job.clone());
        let releasing = tokio::task::spawn_blocking(move || {
            let broken = |e: GateError| WorkerFailed::Broken(e.to_string());
            let begin = || terms.begin(&plan, &declared).map_err(broken);
            let (mut release, mut committing) = (begin()?, Committing::default());
            while let Some(coming) = receive.blocking_recv() {
                match coming {
                    Coming::Groups(_) if fault::named("other-sums") => {}
                    Coming::Groups(groups) => {
                        release.add(&groups).map_err(broken)?;
                        committing.add(&groups);
                    }
                    Coming::Anew => (release, committing) = (begin()?, Committing::default()),
                }
            }
            let released = match &terms {
                Terms::Dp(_) => release.finish(id).map_err(broken)?,
                Terms::Reviewed(_) => {
                    let unread = |e: NodeError| WorkerFailed::NotStarted(e.to_string());
                    let measuring = Measuring::begin(&home, &population, &job).map_err(unread)?;
                    release.beside(measuring.before());
                    let released = release.finish(id).map_err(broken)?;
                    if let Some(left) = released.left() {
                        measuring.remember(left).map_err(unread)?;
                    }
                    released
                }
            };
            Ok::<_, WorkerFailed>((released, committing))
        });
        let over = Over {
            files: &admitted.dataset.record().compute,
            scratch: self.home.path(),
            plan: &admitted.plan,
            least_units: admitted.terms.least(&admitted.plan),
            deadline: admitted.slot_end(),
            limit,
        };
        let ran = self.workers.run(&admitted.work, &over, send).await;
        let broken = |e: &dyn std::fmt::Display| WorkerFailed::Broken(e.to_string());
        if let Ok(fault @ 1..) = ran {
            tracing::error!("job {id}: {fault} privacy units or blocks crash a worker, and get the fallback value");
            self.suspect_files(admitted, meter, None);
        }
        if let Err(e) = ran {
            // How much noise is still to be drawn depends on the rows, so nobody waits for it. If the gate refused the sums, its
            // reason says more than `e`; a release of earlier sums counts for nothing.
            let refused = if releasing.is_finished() { releasing.await.ok().and_then(Result::err) } else { None };
            return Err(refused.unwrap_or(e));
        }
        // Noise is drawn within the time budget too: the number of groups must not push a reply to a later release time.
        let time = admitted.slot_end().duration_since(SystemTime::now()).unwrap_or_default();
        let released = tokio::time::timeout(time, releasing).await.map_err(|_| WorkerFailed::Late)?;
        released.map_err(|e| broken(&e))?
    }

    /// Puts a job on the owner's list for as long as it is in progress.
    pub(in crate::owner) fn note(
        &self,
        job: &Signed<Job>,
        dataset: InForce<'_>,
        slot: Option<registry::Slot>,
    ) -> registry::Listed {
        let kind = format!("{:?}", job.body().program.kind()).to_lowercase();
        let (buyer, dataset) = (job.signer(), dataset.manifest().body().name.clone());
        registry::note(&self.home, &Running { job: job.id(), buyer, dataset, kind, slot })
    }

    /// Brings the log on disk up to date with the store.
    pub(in crate::owner) async fn export(&self) -> Result<(), Refusal> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.export()).await.map_err(unavailable)?.map_err(unavailable)
    }

    pub(in crate::owner) async fn deliver(&self, dataset: InForce<'_>, record: JobRecord) -> Result<Delivery, Refusal> {
        let buyer_salt = record.buyer().and_then(|buyer| self.parties.salt(&record.facts.buyer, &buyer));
        let (result, outcome) = match record.state {
            State::Done { result, outcome } => (result, outcome),
            State::Closed { outcome } => {
                let message =
                    format!("this job was charged, and the owner closed it without a result (entry {outcome} of the log)");
                return Err(Refusal::new(Code::Unavailable, message));
            }
            State::Reserved => return Err(unavailable("a job without a result")),
        };
        if let Some(rule) = &dataset.policy().witnesses {
            self.witnesses.cosigned(&self.store, rule, outcome).await?;
        }
        let (receipt, proof) = self.store.prove(outcome).map_err(unavailable)?;
        let (population, account) = (&dataset.population(), &record.facts.ledger.buyer);
        let remaining = match self.store.taken(population).map_err(unavailable)? {
            Some(taken) => self.store.left_of_lease(&taken, Some(account)).map_err(unavailable)?,
            None => self.store.left_for(population, account, dataset.policy().per_buyer).map_err(unavailable)?,
        };
        let lease = record.facts.lease.map(|id| self.store.lease_document(&id).map_err(unavailable)).transpose()?.flatten();
        Ok(Delivery { result: STANDARD.encode(result), receipt, proof, remaining, buyer_salt, earlier: None, lease })
    }
}

/// Draws the noised limit of privacy units, or blocks, at fault with which the job as a whole has failed.
fn limit(meter: &Meter, work: &Work) -> Result<u32, WorkerFailed> {
    let tolerance = tolerance(&work.job, &work.policy);
    let no_noise = |e: &dyn std::fmt::Display| WorkerFailed::NotStarted(e.to_string());
    let kept = meter.kept(&tolerance).map_err(|e| no_noise(&e))?;
    Ok(tolerance.limit(kept, tolerance.draw().map_err(|e| no_noise(&e))?))
}

/// Builds the release of fallback values in place of a failed release, and its commitment.
fn default(admitted: &AdmittedJob<'_>) -> Result<(Released, Committing), Refusal> {
    let AdmittedJob { terms, plan, declared, job, .. } = admitted;
    let sums = fallback_sums::sums(&job.body().program, plan);
    let released = terms.release(plan, declared, &sums, job.id()).map_err(unavailable)?;
    Ok((released, Committing::to(&sums.groups)))
}
