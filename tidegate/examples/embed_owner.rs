//! Publishes a file, grants a buyer a part of the budget, and answers jobs over the rows:
//! `embed_owner HOME FILE POLICY.toml BUYER FOLDER [WITNESS]`.
//!
//! `BUYER` is the buyer's key (did:key:…) and `WITNESS` a place that the example `witness` printed. `FOLDER` gets the files `grant`, for
//! the buyer, and `address`, once jobs are answered. Ctrl-C shuts the node down.

use std::{path::PathBuf, time::SystemTime};

use tidegate::{
    Home,
    owner::{
        OwnerConfig, OwnerNode, Served, Store, grants,
        publish::{Publication, publish},
    },
    protocol::{
        MicroRho, PeerId,
        cost::MicroEpsilon,
        grant::{self, Action, Scope, Terms},
        listing::About,
    },
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    // First: workers are started from this very program.
    tidegate::run_worker_if_asked();
    tidegate::keep_to_oneself();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    tokio::runtime::Runtime::new()?.block_on(run(&arguments))
}

async fn run(arguments: &[String]) -> Outcome {
    let [home, file, policy, buyer, folder, witnesses @ ..] = arguments else {
        return Err("usage: embed_owner HOME FILE POLICY.toml BUYER FOLDER [WITNESS]".into());
    };
    let (home, folder) = (Home::at(std::path::absolute(home)?), PathBuf::from(folder));
    let witnesses = witnesses.iter().map(|place| place.parse()).collect::<Result<Vec<_>, _>>()?;
    let token = offer(&home, std::path::absolute(file)?, policy.into(), buyer.parse()?).await?;
    std::fs::write(folder.join("grant"), token)?;
    let node = OwnerNode::start(home, OwnerConfig { witnesses, ..OwnerConfig::default() }).await?;
    std::fs::write(folder.join("address"), node.address().to_string())?;
    println!("serving at {}", node.address());
    tokio::select! {
        failed = node.failed() => return Err(failed.into()),
        asked = tokio::signal::ctrl_c() => asked?,
    }
    node.shutdown().await?;
    println!("shut down");
    Ok(())
}

/// Publishes the file as `rows`, and returns a grant for the buyer.
async fn offer(home: &Home, file: PathBuf, policy: PathBuf, holder: PeerId) -> Outcome<String> {
    let identity = home.init()?;
    let served = Served::open(&home.blobs()).await?;
    let what = Publication {
        files: vec![file],
        name: "rows".into(),
        unit: "person".into(),
        policy,
        mock: vec![],
        version_of: None,
        about: About::default(),
    };
    // Open only while this publishes: the node has the ledger afterwards.
    let store = Store::open(home.path(), identity.clone())?;
    let dataset = publish(home, &identity, &store, &served, &what, Box::new(|_| {})).await?;
    drop(store);
    let tomorrow = SystemTime::now().checked_add(std::time::Duration::from_secs(24 * 3600)).and_then(grant::ends);
    let scope = Scope {
        actions: vec![Action::Compute],
        rho_ceiling: MicroRho(1_000_000),
        epsilon_ceiling: MicroEpsilon(0),
        expires: tomorrow.ok_or("the clock is wrong")?,
        programs: Default::default(),
        reducers: Default::default(),
        per_hour: None,
    };
    let terms = Terms { holder, population: dataset.manifest.body().population, scope, files_key: None };
    Ok(grants::issue(home, dataset.policy.body(), &terms)?.token)
}
