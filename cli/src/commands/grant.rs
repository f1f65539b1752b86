//! `tidegate grant`

use std::{path::PathBuf, time::SystemTime};

use tidegate_node::{home::Home, publish::find};
use tidegate_protocol::{
    MicroRho, PeerId,
    cost::MicroEpsilon,
    grant::{Action, Terms, issue},
};

/// What to grant, to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The dataset's name or manifest id.
    dataset: String,
    /// The peer's key (`tidegate id` shows it).
    #[arg(long)]
    to: PeerId,
    /// `compute`, `replicate`, or both.
    #[arg(long, value_delimiter = ',', default_value = "compute")]
    action: Vec<String>,
    /// Most ρ one job may cost.
    #[arg(long, default_value_t = 1.0)]
    rho: f64,
    /// Most pure ε one job may cost, where the policy has Laplace noise.
    #[arg(long, default_value_t = 1.0)]
    epsilon: f64,
    /// How long it is good for.
    #[arg(long, default_value = "30days")]
    expires: humantime::Duration,
    /// Write the token to this file instead of showing it.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let actions = args
        .action
        .iter()
        .map(|word| match word.as_str() {
            "compute" => Ok(Action::Compute),
            "replicate" => Ok(Action::Replicate),
            other => Err(anyhow::anyhow!("--action {other}: write compute or replicate")),
        })
        .collect::<anyhow::Result<_>>()?;
    let (rho, epsilon) = (args.rho, args.epsilon);
    let rho_ceiling = MicroRho::ceil(rho).ok_or_else(|| anyhow::anyhow!("--rho {rho} must be a positive number"))?;
    let epsilon_ceiling =
        MicroEpsilon::floor(epsilon).ok_or_else(|| anyhow::anyhow!("--epsilon {epsilon} must be a positive number"))?;
    let dataset = find(home, &args.dataset)?;
    let terms = Terms {
        holder: args.to,
        population: dataset.manifest.body().population,
        actions,
        rho_ceiling,
        epsilon_ceiling,
        expires: SystemTime::now() + *args.expires,
    };
    let token = issue(&home.identity()?, &terms)?;
    match args.out {
        Some(path) => std::fs::write(path, token)?,
        None => println!("{token}"),
    }
    Ok(())
}
