//! Asks an owner's node a question and prints each released number with its interval:
//! `submit_query HOME ADDRESS GRANT DATASET QUERY RHO`.
//!
//! `GRANT` is the file with the owner's grant. The job is checked before it is sent. The result is printed once its receipt is verified:
//! signed by the owner, in the owner's log, and cosigned by as many witnesses as the policy requires.

use std::time::Duration;

use tidegate::{
    Address, Home,
    buyer::{Buyer, JobFile, check},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    // First: the check plans the query in a worker, which is started from this very program.
    tidegate::run_worker_if_asked();
    tidegate::keep_to_oneself();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    tokio::runtime::Runtime::new()?.block_on(run(&arguments))
}

async fn run(arguments: &[String]) -> Outcome {
    let [home, address, grant, dataset, query, rho] = arguments else {
        return Err("usage: submit_query HOME ADDRESS GRANT DATASET QUERY RHO".into());
    };
    let (home, address) = (Home::at(std::path::absolute(home)?), address.parse::<Address>()?);
    let grant = std::fs::read_to_string(grant)?.trim().to_owned();
    let job = JobFile::of_sql(dataset, query, None, Some(rho.parse()?))?;
    let identity = home.init()?;
    let buyer = Buyer::bind(&home, &address).await?.showing(&grant).patient(Duration::from_secs(60));
    let offer = buyer.offer(&address, dataset).await?;
    let schema = check::schema(offer.manifest.body())?;
    let policy = offer.in_force()?;
    let planned = check::plan(&home, &job, &policy, schema).await?;
    check::granted(&grant, identity.id(), offer.manifest.body(), &planned)?;
    println!("it costs {}", planned.work.job.cost);
    let (_, verified, _) = buyer.run(&address, &job, &grant, None, None).await?;
    for row in &verified.result.rows {
        for (column, cell) in verified.result.columns.iter().zip(&row.cells) {
            println!("{column} = {} in [{}, {}]", cell.value, cell.low, cell.high);
        }
    }
    println!("receipt {} verified", verified.index);
    buyer.close().await;
    Ok(())
}
