//! Parties of a test, each with a home of its own.

use std::path::{Path, PathBuf};

use tidegate_catalog::dataset::Dataset;
use tidegate_exchange::blobs::Served;
use tidegate_ledger::{Store, from_folder};
use tidegate_node::{
    Address, NodeError,
    buyer::job_file::JobFile,
    client::{Buyer, Offer, Verified},
    home::Home,
    owner::{
        OwnerConfig, OwnerNode,
        access::grants,
        publish::{Publication, publish},
    },
};
use tidegate_protocol::{
    MicroRho, PeerId,
    cost::MicroEpsilon,
    grant::{Action, Scope, Terms},
    listing::About,
    receipt::Predicate,
};

/// A policy whose replies to `BUYER` leave as soon as a job is done.
pub(crate) const POLICY: &str = r#"
[unit]
column = "person"
max_units = 100
max_rows = 2
max_groups = 2
[budget]
delta = 1e-6
rho = 1.0
per_buyer_rho = 0.9
[jobs]
kinds = ["sql"]
min_units = 5
fuel = 100000000
memory_mib = 16
slot = "8s"
tick = "100ms"
dangerous_no_tick_for = ["BUYER"]
[access]
compute = "granted"
replicate = "nobody"
[columns]
spend = { lo = 0, hi = 100 }
city = {}
"#;

/// Returns the `tidegate` binary of this build.
pub(crate) fn tidegate() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = deps.parent().unwrap().join("tidegate");
    assert!(program.exists(), "{} is not there: `cargo build --bin tidegate` builds it", program.display());
    program
}

/// Returns the settings of a test's node.
pub(crate) fn config() -> OwnerConfig {
    OwnerConfig { worker_program: Some(tidegate()), ..OwnerConfig::default() }
}

/// An owner with a published dataset, and a buyer with a grant.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) grant: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut world = Self { folder: tempfile::tempdir().unwrap(), grant: String::new() };
        let (_, buyer) = (world.init("owner"), world.init("buyer"));
        let mut csv = String::from("person,spend,city\n");
        for person in 0..60 {
            csv.push_str(&format!("{person},{},north\n{person},{},south\n", person % 50, person % 7));
        }
        std::fs::write(world.path("data.csv"), csv).unwrap();
        let dataset = world.publish("data.csv", "towns", &world.policy(), None).await;
        world.grant = world.grant(&dataset, buyer, 1_000_000);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self, who: &str) -> Home {
        Home::at(self.path(who))
    }

    pub(crate) fn init(&self, who: &str) -> PeerId {
        self.home(who).init().unwrap().id()
    }

    /// The policy with the buyer's key.
    pub(crate) fn policy(&self) -> String {
        POLICY.replace("BUYER", &self.init("buyer").to_string())
    }

    pub(crate) async fn publish(&self, file: &str, name: &str, policy: &str, before: Option<&Dataset>) -> Dataset {
        let (home, path) = (self.home("owner"), self.path(&format!("{name}.toml")));
        std::fs::write(&path, policy).unwrap();
        let (identity, served) = (home.identity().unwrap(), Served::open(&home.blobs()).await.unwrap());
        let what = Publication {
            files: vec![self.path(file)],
            name: name.to_owned(),
            unit: "person".to_owned(),
            policy: path,
            mock: vec![],
            version_of: before.map(|dataset| dataset.manifest.id()),
            about: About::default(),
        };
        let store = Store::open(home.path(), identity.clone()).unwrap();
        publish(&home, &identity, &store, &served, &what, Box::new(|_| {})).await.unwrap()
    }

    /// A grant to compute, with ceilings in millionths. A running node logs it.
    pub(crate) fn grant(&self, dataset: &Dataset, holder: PeerId, micro: u64) -> String {
        let terms = self.terms(dataset, holder, micro);
        let issue = || grants::issue(&self.home("owner"), dataset.policy.body(), &terms).unwrap().token;
        tokio::task::block_in_place(issue)
    }

    pub(crate) fn terms(&self, dataset: &Dataset, holder: PeerId, micro: u64) -> Terms {
        let scope = Scope {
            actions: vec![Action::Compute],
            rho_ceiling: MicroRho(micro),
            epsilon_ceiling: MicroEpsilon(micro),
            expires: "2100-01-01T00:00:00Z".into(),
            programs: Default::default(),
            reducers: Default::default(),
            per_hour: None,
        };
        Terms { holder, population: dataset.manifest.body().population, scope, files_key: None }
    }

    pub(crate) async fn serve(&self) -> OwnerNode {
        OwnerNode::start(self.home("owner"), config()).await.unwrap()
    }

    pub(crate) async fn buyer(&self, to: &Address) -> Buyer {
        Buyer::bind(&self.home("buyer"), to).await.unwrap()
    }

    /// Asks a question as the buyer under a grant.
    pub(crate) async fn ask(&self, to: &Address, job: &JobFile, grant: &str) -> Result<(Offer, Verified), NodeError> {
        let buyer = self.buyer(to).await.showing(grant);
        let asked = buyer.run(to, job, grant, None, None).await;
        buyer.close().await;
        asked.map(|(offer, verified, _)| (offer, verified))
    }

    /// What the owner's log says, in order.
    pub(crate) fn entries(&self) -> Vec<Predicate> {
        let home = self.home("owner");
        let (owner, mut all) = (home.identity().unwrap().id(), vec![]);
        let log = tidegate_audit::note::Verifier::log(&owner);
        tidegate_audit::log::scan(&log, &mut from_folder(home.path().join("log")), |_, entry| {
            all.push(tidegate_audit::open_entry(entry, &owner).unwrap().predicate);
            Ok(())
        })
        .unwrap();
        all
    }
}

/// Runs a command of the binary over a party's home, and returns what it printed.
pub(crate) fn said(home: &Home, words: &[&str]) -> String {
    let output = std::process::Command::new(tidegate()).arg("--home").arg(home.path()).args(words).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out
}

/// A count and a sum over the dataset `towns`.
pub(crate) fn count() -> JobFile {
    query("towns", "SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset", 0.1)
}

pub(crate) fn query(dataset: &str, query: &str, rho: f64) -> JobFile {
    JobFile::of_sql(dataset, query, None, Some(rho)).unwrap()
}

/// Copies a folder with all that it holds.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{what} did not come");
}
