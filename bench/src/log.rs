//! The receipt log: appends by many writers against raw fsyncs, a proof from a long log, an audit of the log against raw
//! signature checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Instant, SystemTime},
};

use anyhow::Context as _;
use tidegate_audit::{
    Audit,
    log::{Frontier, Reader},
    note::{Verifier, check_proof},
    open_entry,
};
use tidegate_ledger::{Reserve, Store, from_folder};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, MicroRho, Sha256Digest,
    cost::{FemtoDelta, MicroEpsilon},
    grant::{Action, Scope},
    receipt::{ColumnNote, JobFacts, LedgerLink, Mechanism, Predicate},
};

const WRITERS: usize = 64;

fn owner() -> Identity {
    Identity::from_seed([1; 32])
}

fn cost(micro: u64) -> Cost {
    Cost::dp(MicroRho(micro), FemtoDelta(0))
}

fn hash(text: &str) -> ContentHash {
    ContentHash::of(text.as_bytes())
}

/// Makes a job of two columns, as in a receipt.
fn ask(number: usize, envelope: &Envelope) -> Reserve {
    let (buyer, population, job) = (Identity::from_seed([2; 32]).id(), hash("population"), hash(&number.to_string()));
    let zero = Sha256Digest([0; 32]);
    let column = |name: &str| ColumnNote {
        name: name.into(),
        reducer: "sum".into(),
        lo: 0.0,
        hi: 100.0,
        noise_scale: vec![1e6],
        deviation: vec![1e6],
        steps: vec![1.0],
        moves: vec![100.0],
    };
    let facts = JobFacts {
        job,
        buyer_signature: envelope.signatures[0].sig.clone(),
        buyer: buyer.into(),
        holder: None,
        dataset: hash("manifest"),
        dataset_sha256: zero,
        previous: None,
        policy: hash("policy"),
        policy_newest: None,
        kind: "sql".into(),
        program: job,
        grant: job,
        grant_ids: vec!["aa".repeat(64)],
        approval: None,
        lease: None,
        columns: vec!["person".into(), "spend".into()],
        ledger: LedgerLink {
            sequence: 0,
            previous: zero,
            population,
            buyer: buyer.into(),
            job,
            cost: cost(1),
            cap: cost(1 << 50),
        },
        mechanism: Mechanism {
            noise: "discrete-gaussian".into(),
            adjacency: "add-remove-one-unit".into(),
            max_groups: 1,
            max_rows: 1,
            blocks: None,
            resample: None,
            rows_read: None,
            least_units: None,
            threshold: None,
            threshold_noise: None,
            columns: vec![column("people"), column("spending")],
        },
        engine: "bench".into(),
        build: job,
        inference: None,
        slot_start: "2026-01-01T00:00:00Z".into(),
        slot_end: "2026-01-01T00:00:01Z".into(),
    };
    Reserve { request: format!("{number:032x}"), job: envelope.clone(), facts, per_buyer: cost(1 << 50) }
}

/// Makes the same job under another id.
fn numbered(template: &Reserve, number: usize) -> Reserve {
    let (mut ask, job) = (template.clone(), hash(&number.to_string()));
    (ask.request, ask.facts.job, ask.facts.program, ask.facts.ledger.job) = (format!("{number:032x}"), job, job, job);
    ask
}

fn begin(store: &Store) -> anyhow::Result<()> {
    let (population, zero) = (hash("population"), Sha256Digest([0; 32]));
    let publication = Predicate::Publication {
        manifest: hash("manifest"),
        policy: hash("policy"),
        population,
        previous: None,
        changes: vec![],
        cap: cost(1 << 50),
        per_buyer: cost(1 << 50),
        owner: None,
        versions: Default::default(),
    };
    store.record("dataset manifest", zero, publication)?;
    let grant = Predicate::Grant {
        grant: "aa".repeat(64),
        holder: Identity::from_seed([2; 32]).id().into(),
        population,
        scope: Box::new(Scope {
            actions: vec![Action::Compute],
            rho_ceiling: MicroRho(10),
            epsilon_ceiling: MicroEpsilon(0),
            expires: "2027-01-01T00:00:00Z".into(),
            programs: BTreeSet::new(),
            reducers: BTreeSet::new(),
            per_hour: None,
        }),
    };
    store.record("grant", zero, grant)?;
    Ok(())
}

/// Counts the durable writes of 3 KiB per second.
fn raw_fsyncs(folder: &Path) -> anyhow::Result<f64> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("raw"))?;
    let (start, mut writes) = (Instant::now(), 0);
    while start.elapsed() < std::time::Duration::from_secs(1) {
        file.write_all(&[7; 3072])?;
        file.sync_data()?;
        writes += 1;
    }
    Ok(f64::from(writes) / start.elapsed().as_secs_f64())
}

pub(crate) fn run(entries: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let fsyncs = raw_fsyncs(dir.path())?;
    let store = Store::open(dir.path(), owner())?;
    begin(&store)?;
    let envelope = Envelope::sign("bench", b"{}", &Identity::from_seed([2; 32]));
    let (next, template) = (AtomicUsize::new(0), ask(0, &envelope));
    let start = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if 2 * number >= entries {
                            return Ok(());
                        }
                        if let Ok(reservation) = store.reserve(numbered(&template, number))? {
                            store.finish(reservation, format!("result {number}"), Sha256Digest([5; 32]))?;
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a writer ended"))?)
    })?;
    let rate = store.size()? as f64 / start.elapsed().as_secs_f64();
    println!("log: {rate:.0} entries/s by {WRITERS} writers, each durable: {:.1} x the {fsyncs:.0} raw fsyncs/s", rate / fsyncs);
    let start = Instant::now();
    store.export()?;
    println!("log: {} entries exported as tiles in {:.1} s", store.size()?, start.elapsed().as_secs_f64());
    proofs(&store)?;
    let size = store.size()?;
    drop(store);
    audits(&dir.path().join("log"), size)
}

fn proofs(store: &Store) -> anyhow::Result<()> {
    let size = store.size()?;
    let indexes: Vec<u64> = (0..1000).map(|i| i * 7919 % size).collect();
    let start = Instant::now();
    let proofs = indexes.iter().map(|i| store.prove(*i)).collect::<Result<Vec<_>, _>>()?;
    let micro = start.elapsed().as_secs_f64() * 1e3;
    for (index, (envelope, proof)) in indexes.iter().zip(&proofs) {
        anyhow::ensure!(check_proof(proof, &envelope.to_canonical()?, &owner().id())?.index == *index);
    }
    println!("log: a proof of inclusion among {size} entries, signed checkpoint included: {micro:.0} us");
    Ok(())
}

/// Runs audits in processes of their own, so that their memory can be measured.
fn audits(log: &Path, size: u64) -> anyhow::Result<()> {
    let run = |entries: u64| -> anyhow::Result<BTreeMap<String, f64>> {
        let output = Command::new(std::env::current_exe()?).arg("audit-log").arg(log).arg(entries.to_string()).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        text.split_whitespace()
            .map(|word| {
                let (name, number) = word.split_once('=').context("a number")?;
                Ok((name.to_owned(), number.parse()?))
            })
            .collect()
    };
    let (small, whole) = (run(size / 10)?, run(size)?);
    println!(
        "log: {size} entries audited in {:.1} s of one processor ({:.1} s on all), {:.2} x raw ed25519 checks of as many signatures",
        whole["cpu"],
        whole["wall"],
        whole["cpu"] / whole["raw"]
    );
    println!("log: memory of the audit {:.1} MiB; of a tenth of the entries {:.1} MiB", whole["mib"], small["mib"]);
    Ok(())
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    // utime and stime in ticks of 10 ms (proc_pid_stat(5)).
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

/// Audits the first `entries` of a log, and prints time and memory.
pub(crate) fn audit(folder: &Path, entries: u64) -> anyhow::Result<()> {
    let log = Verifier::log(&owner().id());
    let mut fetch = from_folder(folder.to_owned());
    let mut reader = Reader::open(&log, &mut fetch)?;
    let whole = reader.checkpoint.size == entries;
    reader.checkpoint.size = entries;
    let (mut audit, mut sample) = (Audit::new(owner().id()), None);
    let start = Instant::now();
    let read = reader.each(&mut Frontier::default(), &BTreeMap::new(), &mut fetch, |index, bundle, _| {
        audit.bundle(index, bundle);
        sample.get_or_insert_with(|| bundle[bundle.len() - 1].clone());
        Ok(())
    });
    // A part of a log has another root.
    anyhow::ensure!(read.is_ok() == whole, "{read:?}");
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds());
    let report = audit.report(SystemTime::now());
    let open = report.findings.iter().filter(|f| f.rule == "intent-closed").count();
    anyhow::ensure!(report.findings.len() == open && (!whole || open == 0), "{:?}", report.findings.first());
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let mib = peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0;
    let sample = sample.context("no entries")?;
    open_entry(&sample, &owner().id()).map_err(|(rule, _)| anyhow::anyhow!(rule))?;
    let (signature, key) = (owner().sign(&sample), owner().id());
    let (start, times) = (Instant::now(), 2000);
    for _ in 0..times {
        anyhow::ensure!(key.verifies(&sample, &signature));
    }
    let raw = start.elapsed().as_secs_f64() / f64::from(times) * entries as f64;
    println!("wall={wall} cpu={cpu} mib={mib} raw={raw}");
    Ok(())
}
