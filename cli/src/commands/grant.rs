//! `tidegate grant`, `grants`, `revoke`

use std::{path::PathBuf, time::SystemTime};

use tidegate_node::{grants, home::Home, publish::find};
use tidegate_protocol::{
    MicroRho, PeerId,
    cost::MicroEpsilon,
    grant::{Action, Terms},
    receipt::Predicate,
};

/// What to grant, to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The dataset's name or manifest id.
    dataset: String,
    /// The peer's key (`tidegate id` shows it).
    #[arg(long)]
    to: PeerId,
    /// `compute`, `replicate`, `replay`, or several of them.
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
            "replay" => Ok(Action::Replay),
            other => Err(anyhow::anyhow!("--action {other}: write compute, replicate or replay")),
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
    let issued = grants::issue(home, dataset.policy.body(), &terms)?;
    match args.out {
        Some(path) => std::fs::write(path, issued.token)?,
        None => println!("{}", issued.token),
    }
    Ok(())
}

/// How to show grants.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn list(home: &Home, args: &ListArgs) -> anyhow::Result<()> {
    for one in grants::list(home)? {
        if args.json {
            println!("{}", serde_json::to_string(&one)?);
            continue;
        }
        let Predicate::Grant { holder, actions, expires, .. } = &one.grant else { continue };
        let actions: Vec<_> = actions.iter().map(|action| action.word()).collect();
        let id = one.id.get(..16).unwrap_or(&one.id);
        let revoked = if one.revoked { ", revoked" } else { "" };
        println!("{id}  {} for {holder} until {expires}{revoked}", actions.join(", "));
    }
    Ok(())
}

/// Which grant.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// Its revocation id, or how that begins (`tidegate grants` shows it), or a file with the token.
    grant: String,
}

pub(crate) fn revoke(home: &Home, args: &RevokeArgs) -> anyhow::Result<()> {
    let word = match std::fs::read_to_string(&args.grant) {
        Ok(token) => token.trim().to_owned(),
        Err(_) => args.grant.clone(),
    };
    let id = grants::revoke(home, &word)?;
    println!("revoked {}", id.get(..16).unwrap_or(&id));
    Ok(())
}
