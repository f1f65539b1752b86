//! The question: a job file, or a query on the command line in place of a file.

use std::path::PathBuf;

use anyhow::Context as _;
use tidegate_node::{
    NodeError,
    buyer::{job_file::JobFile, pointing},
    client::{Buyer, Offer, now},
    home::Home,
};

use crate::{place::Place, show};

/// A job file, or a query and its price in place of a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The job file.
    #[arg(conflicts_with = "sql")]
    job: Option<PathBuf>,
    /// Query, in place of a job file: `--sql "SELECT COUNT(*) FROM dataset" --epsilon 0.5`.
    #[arg(long)]
    sql: Option<String>,
    /// The dataset's name or id; if not given, the only dataset offered at --to.
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
    /// Returns the job file, whether read or made of a query.
    ///
    /// If no dataset is named, `to` is asked for its only dataset, with `grant`. The query's date is `at`, or now.
    ///
    /// # Errors
    /// As for a job file; also fails if it is not clear which dataset is meant.
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

    /// Makes a query without a named dataset a query about this dataset.
    pub(crate) fn about(self, dataset: &str) -> Self {
        let dataset = self.sql.as_ref().map(|_| self.dataset.unwrap_or_else(|| dataset.to_owned()));
        Self { dataset, ..self }
    }

    /// Returns the name of output files.
    pub(crate) fn stem(&self) -> String {
        match &self.job {
            Some(job) => job.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            None => "query".to_owned(),
        }
    }
}

/// Formats an error of a job; a refusal pointing into the query is shown with the line and a caret.
pub(crate) fn pointed(file: &JobFile, e: NodeError) -> anyhow::Error {
    match &e {
        NodeError::Refused(refusal) => match pointing::pointed(file, refusal) {
            Some(shown) => anyhow::anyhow!("{e}\n{shown}"),
            None => e.into(),
        },
        _ => e.into(),
    }
}

/// Returns the name of the only dataset offered by a peer.
async fn only(home: &Home, to: &Place, grant: &str) -> anyhow::Result<String> {
    let to = to.at(home)?;
    let buyer = Buyer::bind(home, &to).await?.showing(grant);
    let offers = buyer.offers(&to).await;
    buyer.close().await;
    let mut names: Vec<_> = offers?.into_iter().filter(Offer::answers).map(|offer| offer.manifest.body().name.clone()).collect();
    names.sort();
    names.dedup();
    match names.as_slice() {
        [] => anyhow::bail!("--to {}: it offers no dataset, or none without a grant (--grant)", to.peer.short()),
        [name] => Ok(name.clone()),
        names => anyhow::bail!("--sql: name the dataset with --dataset: there are {}", show::plain(&names.join(", "))),
    }
}
