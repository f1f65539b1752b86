//! `tidegate grant`, `grant narrow`, `grant show`, `grants`, `revoke`

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use tidegate_node::{
    auditor::names,
    buyer::job_file::JobFile,
    home::Home,
    mirror::{fetch::pass_on, seal::files_key},
    owner::{access::grants, publish::find},
};
use tidegate_protocol::{
    ContentHash, Job, MicroRho, PeerId,
    cost::{MicroEpsilon, out_of_range},
    grant::{self, Action, Issued, Narrowing, Scope, Terms},
    receipt::Predicate,
};

use crate::{file, show::plain};

/// Options of `tidegate grant`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    offline: Option<Offline>,
    /// The dataset's name or manifest id.
    #[arg(required = true)]
    dataset: Option<String>,
    /// The peer's key (`tidegate id` shows it).
    #[arg(long, required = true)]
    to: Option<PeerId>,
    /// `list`, `rehearse`, `compute`, `replicate`, `mirror`, `replay`, `hold`, or several of them.
    #[arg(long, value_delimiter = ',', default_value = "compute")]
    action: Vec<Action>,
    /// Maximum ρ of a job; for `hold`, of a lease.
    #[arg(long, default_value_t = 1.0)]
    rho: f64,
    /// Maximum pure ε of a job, if the policy has Laplace noise; --rho bounds jobs with Gaussian noise, even if their price is
    /// written as an ε.
    #[arg(long, default_value_t = 1.0)]
    epsilon: f64,
    /// How long the grant is valid.
    #[arg(long, default_value = "30days")]
    expires: humantime::Duration,
    #[command(flatten)]
    jobs: JobArgs,
    /// Write the token to this file instead of showing it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Restrictions on jobs and on their frequency.
#[derive(Debug, clap::Args)]
struct JobArgs {
    /// Only jobs with exactly this program: a job file, or the `program` printed by `tidegate check --json`. Nothing but the
    /// price, the kind of noise, the request and the version of the dataset is the holder's to choose. May be given more than
    /// once.
    #[arg(long, value_name = "JOB|HASH")]
    program: Vec<String>,
    /// Only jobs with these reducers, by their names in receipts: `count`, `mean`, …
    #[arg(long, value_delimiter = ',')]
    reducer: Vec<String>,
    /// Maximum number of jobs within an hour.
    #[arg(long)]
    per_hour: Option<u32>,
}

/// Commands of a holder, without the owner.
#[derive(Debug, clap::Subcommand)]
enum Offline {
    /// Take rights away from a grant, for yourself or for a colleague, who then works on your account.
    Narrow(NarrowArgs),
    /// Show what a grant allows, and the blocks by which it was narrowed.
    Show(ShowArgs),
}

/// Options of `tidegate grant narrow`.
#[derive(Debug, clap::Args)]
struct NarrowArgs {
    /// The file with the grant.
    grant: PathBuf,
    /// The colleague's key. Only the grant's holder can do this.
    #[arg(long)]
    to: Option<PeerId>,
    /// Only these actions.
    #[arg(long, value_delimiter = ',')]
    action: Vec<Action>,
    /// Maximum ρ of a job with Gaussian noise.
    #[arg(long)]
    rho: Option<f64>,
    /// Maximum pure ε of a job with Laplace noise.
    #[arg(long)]
    epsilon: Option<f64>,
    /// How long the narrowed grant is valid.
    #[arg(long)]
    expires: Option<humantime::Duration>,
    #[command(flatten)]
    jobs: JobArgs,
    /// Write the token to this file instead of showing it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `tidegate grant show`.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The file with the grant.
    grant: PathBuf,
    /// The owner's grant key (`grant_key` of the manifest, hexadecimal), to check the signature.
    #[arg(long)]
    key: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn rho(rho: f64) -> anyhow::Result<MicroRho> {
    MicroRho::ceil(rho).ok_or_else(|| anyhow::anyhow!("--rho {}", out_of_range(rho, MicroRho::MOST)))
}

fn epsilon(epsilon: f64) -> anyhow::Result<MicroEpsilon> {
    MicroEpsilon::floor(epsilon).ok_or_else(|| anyhow::anyhow!("--epsilon {}", out_of_range(epsilon, MicroRho::MOST)))
}

fn until(time: humantime::Duration) -> anyhow::Result<String> {
    SystemTime::now().checked_add(*time).and_then(grant::ends).context("--expires is too long: write a time such as 30days")
}

/// Parses the hash of a program, or hashes the program of a job file.
fn program(word: &String) -> anyhow::Result<ContentHash> {
    if let Ok(hash) = word.parse() {
        return Ok(hash);
    }
    let bound = || JobFile::read(Path::new(word))?.bound();
    bound().with_context(|| format!("--program {word}: not a hash and not a job file. Give a job file, or the `program` in the output of `tidegate check --json`"))
}

fn write(issued: &Issued, out: Option<&Path>, json: bool) -> anyhow::Result<()> {
    if json {
        out.map(|path| file::write("--out", path, &issued.token)).transpose()?;
        // A token that is in a file is not shown beside it.
        let token = out.is_none().then_some(&issued.token);
        println!("{}", serde_json::json!({ "id": issued.id, "token": token, "out": out }));
        return Ok(());
    }
    match out {
        Some(path) => {
            file::write("--out", path, &issued.token)?;
            let path = path.display();
            println!(
                "wrote {path}: send it to the grant's holder. `tidegate grant show {path}` shows what it allows, `tidegate revoke {path}` revokes it"
            );
        }
        None => println!("{}", issued.token),
    }
    Ok(())
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args.offline {
        Some(Offline::Narrow(args)) => return narrow(home, &args),
        Some(Offline::Show(args)) => return show(&args),
        None => {}
    }
    let (Some(dataset), Some(holder)) = (args.dataset, args.to) else { anyhow::bail!("give a dataset and --to KEY") };
    // Checked first: a grant that reaches nobody would still have to be revoked.
    args.out.as_deref().map(|out| file::can_write("--out", out)).transpose()?;
    let dataset = find(home, &dataset)?;
    let scope = Scope {
        actions: args.action,
        rho_ceiling: rho(args.rho)?,
        epsilon_ceiling: epsilon(args.epsilon)?,
        expires: until(args.expires)?,
        programs: args.jobs.program.iter().map(program).collect::<anyhow::Result<_>>()?,
        reducers: args.jobs.reducer.into_iter().collect(),
        per_hour: args.jobs.per_hour,
    };
    let (population, policy) = (dataset.manifest.body().population, dataset.policy.body());
    let files_key = files_key(home, policy, &population, &scope.actions, &holder)?;
    let terms = Terms { holder, population, scope, files_key };
    write(&grants::issue(home, dataset.policy.body(), &terms)?, args.out.as_deref(), args.json)
}

fn narrow(home: &Home, args: &NarrowArgs) -> anyhow::Result<()> {
    let before = file::grant("GRANT", &args.grant)?;
    // A colleague who may not copy gets no keys either.
    let copies = args.action.is_empty() || args.action.contains(&Action::Replicate);
    let narrowing = Narrowing {
        to: args.to,
        files_key: args.to.filter(|_| copies).map(|to| pass_on(&before, &home.identity()?, &to)).transpose()?.flatten(),
        actions: Some(args.action.clone()).filter(|actions| !actions.is_empty()),
        rho_ceiling: args.rho.map(rho).transpose()?,
        epsilon_ceiling: args.epsilon.map(epsilon).transpose()?,
        expires: args.expires.map(until).transpose()?,
        programs: args.jobs.program.iter().map(program).collect::<anyhow::Result<_>>()?,
        reducers: args.jobs.reducer.iter().cloned().collect(),
        per_hour: args.jobs.per_hour,
    };
    write(&grant::narrow(&before, &narrowing, &home.identity()?)?, args.out.as_deref(), args.json)
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let shown = grant::show(&file::grant("GRANT", &args.grant)?, args.key.as_deref())?;
    if args.json {
        println!("{}", serde_json::to_string(&shown)?);
        return Ok(());
    }
    let unknown = || "nobody".to_owned();
    println!("owner       {}", plain(&shown.owner.unwrap_or_else(unknown)));
    println!("holder      {}", plain(&shown.holder.unwrap_or_else(unknown)));
    println!("population  {}", plain(&shown.population.unwrap_or_else(unknown)));
    println!("actions     {}", plain(&shown.actions.into_iter().collect::<Vec<_>>().join(", ")));
    println!(
        "signature   {}",
        match shown.signed {
            Some(true) => "the owner's",
            Some(false) => "NOT by this key",
            None => "not checked: give --key, the manifest's grant_key",
        }
    );
    let bound: Vec<_> = shown.blocks.iter().filter_map(|block| block.programs.as_ref()).collect();
    for programs in &bound {
        let programs = programs.iter().map(ToString::to_string).collect::<Vec<_>>();
        println!("programs    {}", programs.join(" or "));
    }
    if !bound.is_empty() {
        println!("bound       {}", Job::BOUND);
        println!("free        {}", Job::FREE);
    }
    for (i, block) in shown.blocks.iter().enumerate() {
        let what = match (i, &block.by) {
            (0, _) => "granted by the owner".to_owned(),
            (_, Some(by)) => format!("narrowed for another holder by {}", plain(by)),
            (_, None) => "narrowed".to_owned(),
        };
        println!("\n{what}, revocation id {}", block.id.get(..16).unwrap_or(&block.id));
        for line in block.datalog.lines() {
            println!("  {}", plain(line));
        }
    }
    Ok(())
}

/// Options of `tidegate grants`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn list(home: &Home, args: &ListArgs) -> anyhow::Result<()> {
    let names = names::of_datasets(home);
    for one in grants::list(home)? {
        let Predicate::Grant { holder, scope, population, .. } = &one.grant else { continue };
        let name = names.get(&population.to_string());
        if args.json {
            let mut shown = serde_json::to_value(&one)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("dataset".to_owned(), serde_json::json!(name));
            }
            println!("{shown}");
            continue;
        }
        let (actions, expires) = (scope.actions.iter().map(|action| action.word()).collect::<Vec<_>>(), &scope.expires);
        let id = one.id.get(..16).unwrap_or(&one.id);
        let revoked = if one.revoked { ", revoked" } else { "" };
        let of = name.map_or_else(|| format!("population {}", population.short()), |name| plain(name));
        println!("{id}  {of}: {} for {holder} until {expires}{revoked}", actions.join(", "));
    }
    Ok(())
}

/// Options of `tidegate revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// Revocation id of the grant, or a prefix (see `tidegate grants`), or a file with the token.
    grant: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn revoke(home: &Home, args: &RevokeArgs) -> anyhow::Result<()> {
    let word = file::grant("GRANT", Path::new(&args.grant)).unwrap_or_else(|_| args.grant.clone());
    let id = grants::revoke(home, &word)?;
    match args.json {
        true => println!("{}", serde_json::json!({ "id": id })),
        false => println!("revoked {}", id.get(..16).unwrap_or(&id)),
    }
    Ok(())
}
