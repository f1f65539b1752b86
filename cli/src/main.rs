//! The `tidegate` binary: words for people. Logic lives in `tidegate-node`.

#![forbid(unsafe_code)]

// First: what it defines is in the place of the standard macros that print.
#[macro_use]
mod out;
mod commands;
mod file;
mod place;
mod question;
mod show;
mod stop;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tidegate_node::home::Home;

/// A decentralized data exchange and compute-to-data engine: aggregates go out, rows stay.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// Folder with this party's key and state.
    #[arg(long, env = "TIDEGATE_HOME", default_value = "~/.tidegate", global = true)]
    home: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this party's key and folder.
    Init,
    /// Show this party's key.
    Id,
    /// Publish a dataset version under a policy.
    Publish(commands::publish::Args),
    /// Show the owner how much of a dataset a policy's bounds let count, and what other bounds would.
    Survey(commands::survey::Args),
    /// Withdraw a version of a dataset, or all of it: it answers nothing from here on.
    Retire(commands::retire::Args),
    /// Encrypt a dataset for mirrors, which hold and serve what they cannot read.
    Seal(commands::seal::Args),
    /// Hold others' encrypted datasets, and serve them to those who may copy them.
    #[command(subcommand)]
    Mirror(commands::mirror::Args),
    /// Answer jobs over others' datasets, by parts of their budgets that their owners hand over.
    #[command(subcommand)]
    Hold(commands::hold::Args),
    /// Show which parts of this party's budgets were handed over, and what became of them.
    Leases(commands::leases::Args),
    /// Answer jobs over the network until stopped.
    Serve(commands::serve::Args),
    /// Show what has been spent and what is left.
    Budget(commands::budget::Args),
    /// Show the jobs that ask for an exact result.
    Pending(commands::review::PendingArgs),
    /// Let a waiting job have its exact result.
    Approve(commands::review::ApproveArgs),
    /// Turn a waiting job down.
    Deny(commands::review::OneArgs),
    /// Witness others' logs: cosign what goes on from what was seen, keep what shows a fork.
    Witness(commands::witness::Args),
    /// Show which jobs this party's node has in hand just now, or stop one.
    #[command(subcommand)]
    Jobs(commands::jobs::Args),
    /// Show what broke a worker and is not run again, or lift it.
    #[command(subcommand)]
    Quarantine(commands::quarantine::Args),
    /// Sign a grant for a peer, and log it.
    Grant(commands::grant::Args),
    /// List the grants that were issued.
    Grants(commands::grant::ListArgs),
    /// Revoke a grant: no job, copy or replay is allowed by it any more.
    Revoke(commands::grant::RevokeArgs),
    /// Show which grants an owner says are revoked, and whether that is what its log says.
    Revocations(commands::revocations::Args),
    /// List the datasets a peer offers.
    List(commands::list::Args),
    /// Find datasets among all that this party has heard of.
    #[command(subcommand)]
    Catalog(commands::catalog::Args),
    /// How this party is reached beyond its addresses: over a relay, on the local network, by its key.
    Network(commands::network::Args),
    /// Names for others' keys.
    Peers(commands::peers::Args),
    /// Ask whether a peer is there, and how soon it answers.
    Ping(commands::ping::Args),
    /// Run a job at a peer and verify what comes back.
    Run(commands::run::Args),
    /// Show what was asked of others and given, and get what was paid for and not received.
    #[command(subcommand)]
    Results(commands::results::Args),
    /// Say whether a job would be admitted, at what price: from schema and policy alone.
    Check(commands::check::Args),
    /// Begin something: a job, with a query or a program of one's own; a policy.
    #[command(subcommand)]
    New(commands::new::Args),
    /// Look at a WebAssembly component without running it: imports, exports, whether an owner could admit it.
    Inspect(commands::inspect::Args),
    /// Run a job on mock rows here: the identical engine, with everything shown.
    Rehearse(commands::rehearse::Args),
    /// Copy a dataset whose policy and grant allow it.
    Fetch(commands::fetch::Args),
    /// Check receipts and the log's whole history.
    Audit(commands::audit::Args),
    /// Run a receipt's job again over the same rows, and hold its sums against what the receipt commits to.
    Replay(commands::replay::Args),
    /// Show this party's own receipt log.
    #[command(subcommand)]
    Receipts(commands::receipts::Args),
    /// Look after this party's own receipt log.
    #[command(subcommand)]
    Log(commands::log::Args),
    /// Audit the noise of this very binary, on data that one holds.
    #[command(subcommand)]
    Gate(commands::gate::Args),
    /// Say what this machine has and lacks.
    Doctor(commands::doctor::Args),
    /// Runs one job; started by the node.
    #[command(hide = true)]
    Worker,
    /// Runs one model; started by the node.
    #[command(hide = true)]
    Runner {
        /// ONNX Runtime's shared library.
        library: PathBuf,
        /// For models on the GPU that it sees.
        #[arg(long)]
        device: bool,
    },
}

fn main() -> std::process::ExitCode {
    tidegate_node::home::keep_to_oneself();
    let cli = Cli::parse();
    // The worker holds rows: it gets neither a runtime, nor logging, nor a home.
    let inside = match &cli.command {
        Command::Worker => Some(tidegate_node::worker::main()),
        Command::Runner { library, device } => Some(tidegate_node::worker::runner_main(library, *device)),
        _ => None,
    };
    if let Some(outcome) = inside {
        // Of a runner that could not load its runtime, whoever looks into that reads why. A worker says nothing.
        if let (Command::Runner { .. }, Err(e)) = (&cli.command, &outcome) {
            out::error(&anyhow::anyhow!("{e}"));
        }
        return if outcome.is_ok() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE };
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tidegate=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| out::Log).init();
    match run(cli) {
        Ok(code) => code,
        Err(e) => {
            out::error(&e);
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<std::process::ExitCode> {
    let home = match (cli.home.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(user)) => PathBuf::from(user).join(rest),
        _ => PathBuf::from(&cli.home),
    };
    // What is noted in it names files: from wherever the next command is given.
    let home = Home::at(std::path::absolute(home)?);
    match &cli.command {
        // It says what is open, and changes nothing.
        Command::Doctor(_) => {}
        Command::Serve(_) | Command::Mirror(_) | Command::Hold(_) | Command::Witness(_) => drop(home.shut(true)?),
        _ => drop(home.shut(false)?),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = |()| std::process::ExitCode::SUCCESS;
    runtime.block_on(async {
        match cli.command {
            Command::Init => {
                println!("{}", home.init()?.id());
                Ok(std::process::ExitCode::SUCCESS)
            }
            Command::Id => {
                println!("{}", home.identity()?.id());
                Ok(std::process::ExitCode::SUCCESS)
            }
            Command::Publish(args) => commands::publish::run(&home, args).await.map(done),
            Command::Survey(args) => commands::survey::run(&home, args).await.map(done),
            Command::Retire(args) => commands::retire::run(&home, &args).map(done),
            Command::Seal(args) => commands::seal::run(&home, args).await.map(done),
            Command::Mirror(args) => commands::mirror::run(home, args).await.map(done),
            Command::Hold(args) => commands::hold::run(&home, args).await.map(done),
            Command::Leases(args) => commands::leases::run(&home, &args).map(done),
            Command::Revocations(args) => commands::revocations::run(&home, args).await,
            Command::Serve(args) => commands::serve::run(home, args).await.map(done),
            Command::Budget(args) => commands::budget::run(&home, args).map(done),
            Command::Pending(args) => commands::review::pending(&home, args).map(done),
            Command::Approve(args) => commands::review::approve(&home, &args).map(done),
            Command::Deny(args) => commands::review::deny(&home, &args).map(done),
            Command::Witness(args) => commands::witness::run(home, args).await.map(done),
            Command::Jobs(args) => commands::jobs::run(&home, args).map(done),
            Command::Quarantine(args) => commands::quarantine::run(&home, args).map(done),
            Command::Grant(args) => commands::grant::run(&home, args).map(done),
            Command::Grants(args) => commands::grant::list(&home, &args).map(done),
            Command::Revoke(args) => commands::grant::revoke(&home, &args).map(done),
            Command::Log(args) => commands::log::run(&home, args),
            Command::Catalog(args) => commands::catalog::run(&home, args).await.map(done),
            Command::Network(args) => commands::network::run(&home, args).map(done),
            Command::Peers(args) => commands::peers::run(&home, args).map(done),
            Command::Ping(args) => commands::ping::run(&home, args).await.map(done),
            Command::List(args) => commands::list::run(&home, args).await.map(done),
            Command::Run(args) => commands::run::run(&home, args).await.map(done),
            Command::Results(args) => commands::results::run(&home, args).await.map(done),
            Command::Check(args) => commands::check::run(&home, args).await,
            Command::New(args) => commands::new::run(&args).map(done),
            Command::Inspect(args) => commands::inspect::run(&args),
            Command::Rehearse(args) => commands::rehearse::run(&home, args).await.map(done),
            Command::Receipts(args) => commands::receipts::run(&home, args).await.map(done),
            Command::Gate(args) => commands::gate::run(&home, args).await.map(done),
            Command::Doctor(args) => commands::doctor::run(&home, args).await,
            Command::Fetch(args) => commands::fetch::run(&home, args).await.map(done),
            Command::Audit(args) => commands::audit::run(&home, args).await,
            Command::Replay(args) => commands::replay::run(&home, args).await,
            // Handled before any of this was set up.
            Command::Worker | Command::Runner { .. } => Ok(std::process::ExitCode::FAILURE),
        }
    })
}
