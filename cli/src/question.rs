//! What is asked: a job file, or a query on the command line that stands for one.

use std::path::PathBuf;

use anyhow::Context as _;
use tidegate_node::{
    NodeError,
    buyer::{Buyer, Offer, now},
    home::Home,
    jobfile::JobFile,
    pointing,
};

use crate::{place::Place, show};

/// A job file, or a query and its price in the place of one.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The job file.
    #[arg(conflicts_with = "sql")]
    job: Option<PathBuf>,
    /// A query, in the place of a job file: `--sql "SELECT COUNT(*) FROM dataset" --epsilon 0.5`.
    #[arg(long)]
    sql: Option<String>,
    /// The dataset's name or id; if not given, the only one that is offered at --to.
    #[arg(long, requires = "sql", conflicts_with = "job")]
    dataset: Option<String>,
    /// The query's price as ε, at the policy's δ.
    #[arg(long, requires = "sql", conflicts_with = "job")]
    epsilon: Option<f64>,
    /// The query's price as ρ.
    #[arg(long, requires = "sql", conflicts_with = "job")]
    rho: Option<f64>,
}

impl Question {
    /// The job file, whether or not it was ever written. `to` and `grant` are whom to ask which dataset there is, where none is named. Its query is asked at the time `at`, now if
    /// none is given.
    ///
    /// # Errors
    /// Those of a job file; one where it is not said which dataset is meant.
    pub(crate) async fn file(&self, home: &Home, to: Option<&Place>, grant: &str, at: Option<i64>) -> anyhow::Result<JobFile> {
        let mut file = self.undated(home, to, grant).await?;
        for (word, literal) in file.date(at.unwrap_or_else(now)) {
            eprintln!("{word} is {literal} in the job");
        }
        Ok(file)
    }

    async fn undated(&self, home: &Home, to: Option<&Place>, grant: &str) -> anyhow::Result<JobFile> {
        if let Some(job) = &self.job {
            return Ok(JobFile::read(job)?);
        }
        let query = self.sql.as_deref().context("give a job file, or --sql QUERY")?;
        let dataset = match (&self.dataset, to) {
            (Some(dataset), _) => dataset.clone(),
            (None, Some(to)) => only(home, to, grant).await?,
            (None, None) => anyhow::bail!("--sql: name the dataset with --dataset, or with --to the peer that offers it"),
        };
        Ok(JobFile::of_sql(&dataset, query, self.epsilon, self.rho)?)
    }

    /// A query's, where the dataset is not named, is about this one.
    pub(crate) fn about(self, dataset: &str) -> Self {
        let dataset = self.sql.as_ref().map(|_| self.dataset.unwrap_or_else(|| dataset.to_owned()));
        Self { dataset, ..self }
    }

    /// The name of what it leaves.
    pub(crate) fn stem(&self) -> String {
        match &self.job {
            Some(job) => job.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            None => "query".to_owned(),
        }
    }
}

/// An error over a job: of a refusal that names a place in its query, with that line and a caret.
pub(crate) fn pointed(file: &JobFile, e: NodeError) -> anyhow::Error {
    match &e {
        NodeError::Refused(refusal) => match pointing::pointed(file, refusal) {
            Some(shown) => anyhow::anyhow!("{e}\n{shown}"),
            None => e.into(),
        },
        _ => e.into(),
    }
}

/// The name of the only dataset that a peer offers.
async fn only(home: &Home, to: &Place, grant: &str) -> anyhow::Result<String> {
    let to = to.at(home)?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant);
    let offers = buyer.offers(&to).await;
    buyer.close().await;
    let mut names: Vec<_> = offers?.into_iter().filter(Offer::answers).map(|offer| offer.manifest.body().name.clone()).collect();
    names.sort();
    names.dedup();
    match names.as_slice() {
        [] => anyhow::bail!("--to {}: nothing is offered there, or nothing without a grant (--grant)", to.peer.short()),
        [name] => Ok(name.clone()),
        names => anyhow::bail!("--sql: say of which dataset, with --dataset: there are {}", show::plain(&names.join(", "))),
    }
}
