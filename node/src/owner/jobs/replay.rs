//! Replays of jobs by auditors: opens the inputs of a job to an auditor, and logs this first.
//!
//! Whoever has the salt of a commitment can try which sums it commits to: opening a commitment reveals the exact sums.

use std::{fs, path::Path, time::SystemTime};

use tidegate_protocol::{
    Code, ContentHash, Job, PeerId, Refusal, Sha256Digest, Signed,
    frame::Opening,
    grant::{Action, Ask, Authority},
    job::Program,
    policy::{Access, Policy},
    receipt::{Party, Predicate, Statement, entry::Ending},
};

use crate::owner::access::salts;
use crate::owner::{Provider, access::access_log::now, unavailable};

/// Maximum number of bytes of kept programs; the least recently used go first.
const KEPT_BYTES: u64 = 4 << 30;

impl Provider {
    /// Derives a job's PRF key, which chooses among a privacy unit's rows and groups and lays units into blocks.
    pub(in crate::owner) fn prf(&self, job: &ContentHash) -> [u8; 32] {
        self.identity.derive(&format!("prf of job {job}"))
    }

    /// Returns the salt hiding the sums committed to by a receipt of `job`.
    ///
    /// If the policy lets nobody replay, nobody ever knows the salt.
    pub(in crate::owner) fn salt(&self, policy: &Policy, job: &ContentHash) -> Result<[u8; 32], Refusal> {
        match policy.replay {
            Access::Granted | Access::Anybody => Ok(self.salts.of(&format!("sums of job {job}"))),
            Access::Nobody => salts::random().map_err(unavailable),
        }
    }

    /// Opens the receipt at `entry` to an auditor.
    pub(in crate::owner) async fn replay(&self, auditor: PeerId, entry: u64, grant: &str) -> Result<Opening, Refusal> {
        let none = |why: &str| Refusal::new(Code::NotFound, format!("entry {entry} of the log {why}")).at("entry");
        if entry >= self.store.published() {
            return Err(none("does not exist yet"));
        }
        let (receipt, proof) = self.store.prove(entry).map_err(unavailable)?;
        let statement = Signed::<Statement>::open(receipt.clone()).map_err(unavailable)?.into_body();
        let Predicate::Outcome { facts, outcome: Ending::Released, .. } = statement.predicate else {
            return Err(none("is not the receipt of a result")
                .fix("`tidegate audit` and `tidegate receipts` list the receipts of results"));
        };
        let (dataset, version) = self.replayed(&facts)?;
        let authority = self.authorize(dataset, auditor, grant, &Ask::of(Action::Replay, SystemTime::now()))?;
        if facts.inference.as_ref().is_some_and(|inference| inference.provider != "cpu") {
            return Err(none("is for a job whose model ran on a GPU, where sums are not reproducible"));
        }
        if !self.fetched.take(authority.holder) {
            return Err(Refusal::new(Code::Busy, "the limit of replays per hour is reached").fix("Ask again later"));
        }
        let (store, job, buyer) = (self.store.clone(), facts.job, facts.buyer);
        let record = tokio::task::spawn_blocking(move || store.job_of_id(&buyer, &job)).await.map_err(unavailable)?;
        let record = record.map_err(unavailable)?.ok_or_else(|| none("is for a job that this node no longer has"))?;
        let program = Signed::<Job>::open(record.job.clone()).map_err(unavailable)?.into_body().program;
        let bytes = receipt.to_canonical().map_err(unavailable)?;
        let population = dataset.population();
        let party = self.party(dataset, auditor)?;
        let replay = Predicate::Replay {
            auditor: party,
            holder: self.holder(dataset, auditor, authority.holder)?,
            population,
            job,
            outcome: entry,
            grant_ids: authority.ids.clone(),
            time: now(),
        };
        self.log(format!("receipt {entry}"), Sha256Digest::of(&bytes), replay).await?;
        let attachment = self.offer_program((auditor, party), &program, &authority).await;
        self.still_good(dataset, &authority.ids)?;
        let (salt, prf) = (Sha256Digest(self.salt(dataset.policy(), &job)?), Sha256Digest(self.prf(&job)));
        let buyer_salt = record.buyer().and_then(|buyer| self.parties.salt(&facts.buyer, &buyer));
        let file_key = dataset.record().file_key.clone();
        Ok(Opening { job: record.job, receipt, version, proof, salt, prf, buyer_salt, attachment, file_key })
    }

    /// Lets `auditor` fetch a job's attachment, if kept.
    async fn offer_program(&self, auditor: (PeerId, Party), program: &Program, by: &Authority) -> Option<ContentHash> {
        let path = self.home.kept_programs().join(kept_as(program)?);
        if !path.exists() {
            return None;
        }
        match self.served.import(&path, &mut |_| {}).await {
            Ok((hash, _)) => {
                self.let_fetch(auditor, [hash], by);
                Some(hash)
            }
            Err(e) => {
                tracing::warn!("{}: {e}", path.display());
                None
            }
        }
    }

    /// Keeps the attachment of a finished job for replays.
    pub(in crate::owner) fn keep_for_replays(&self, job: &Signed<Job>) {
        let Some(name) = kept_as(&job.body().program) else { return };
        let (from, folder) = (self.home.program(&job.id()), self.home.kept_programs());
        let to = folder.join(name);
        let kept = tidegate_files::create_folder(&folder).and_then(|()| fs::rename(&from, &to)).and_then(|()| {
            fs::File::open(&to)?.set_modified(SystemTime::now())?;
            make_room(&folder, &to)
        });
        if let Err(e) = kept {
            tracing::warn!("cannot store the attachment of job {} for replays: {e}", job.id());
            self.drop_program(&job.id());
        }
    }
}

/// Returns the file name for a program's attachment, made of the hashes of its parts.
///
/// An attachment that many jobs use is kept once.
fn kept_as(program: &Program) -> Option<String> {
    let hash = program.attachment()?;
    Some(program.data().map_or_else(|| hash.to_string(), |data| format!("{hash}.{}", data.hash)))
}

/// Removes the least recently used files, but not `newest`, until the rest fits.
fn make_room(folder: &Path, newest: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let (path, about) = file.and_then(|file| Ok((file.path(), file.metadata()?)))?;
        files.push((about.modified()?, about.len(), path));
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, size, path) in files.iter().filter(|(_, _, path)| path != newest) {
        if bytes <= KEPT_BYTES {
            break;
        }
        fs::remove_file(path)?;
        bytes -= size;
    }
    Ok(())
}
