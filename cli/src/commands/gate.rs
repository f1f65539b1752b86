//! `tidegate gate`

use std::{collections::BTreeMap, path::PathBuf};

use tidegate_node::{
    buyer::{job_file::JobFile, sample::sample},
    client::now,
    home::Home,
};

use crate::{file, numbers::estimate, show};

/// The gate by itself, on your own data.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Release a job's sums again and again, to audit the noise. Nothing is charged or logged: the data is yours, and so is the
    /// output.
    Sample {
        /// The job file.
        job: PathBuf,
        /// The data: any publishable files; if the policy has tables, TABLE=FILE for each.
        #[arg(long, required = true, num_args = 1..)]
        data: Vec<PathBuf>,
        /// The policy, TOML.
        #[arg(long)]
        policy: PathBuf,
        /// Number of releases.
        #[arg(long, default_value_t = 1000)]
        runs: u64,
        /// Print each release as a line of JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Count, sum and sum of squares of the values seen.
#[derive(Default)]
struct Seen(f64, f64, f64);

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let Args::Sample { job, data, policy, runs, json } = args;
    let mut file = JobFile::read(&job)?;
    file.date(now());
    let policy = file::policy(&policy)?;
    let mut cells: BTreeMap<(String, usize), (String, Seen)> = BTreeMap::new();
    let (mechanism, split) = sample(home, &file, &policy, &data, runs, |result| {
        if json {
            println!("{}", serde_json::json!(result));
            return;
        }
        for row in &result.rows {
            let key = row.key.iter().map(show::key).collect::<Vec<_>>().join(", ");
            for (i, (cell, name)) in row.cells.iter().zip(&result.columns).enumerate() {
                let (_, seen) = cells.entry((key.clone(), i)).or_insert_with(|| (show::plain(name), Seen::default()));
                *seen = Seen(seen.0 + 1.0, seen.1 + cell.value, seen.2 + cell.value * cell.value);
            }
        }
    })
    .await?;
    for ((key, _), (name, Seen(n, sum, squares))) in &cells {
        let mean = sum / n;
        let deviation = ((squares / n - mean * mean).max(0.0) * n / (n - 1.0).max(1.0)).sqrt();
        println!(
            "{key}{}{name}: in {n} of {runs}, mean {}, deviation {}",
            if key.is_empty() { "" } else { "  " },
            estimate(mean, deviation / n.sqrt()),
            // Of a normal distribution's: s / √(2 (n − 1)).
            estimate(deviation, deviation / (2.0 * (n - 1.0).max(1.0)).sqrt())
        );
    }
    if !json {
        show::noise(&mechanism, &split);
    }
    Ok(())
}
