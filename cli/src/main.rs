//! The `tidegate` binary: texts for people. Logic lives in `tidegate-node`.

#![forbid(unsafe_code)]

// First, since it replaces the standard macros that print.
#[macro_use]
mod out;
mod commands;
mod examples;
mod file;
mod help;
mod numbers;
mod place;
mod question;
mod show;
mod stop;
mod tables;
mod words;

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tidegate_node::home::Home;
use tidegate_protocol::PeerId;

/// A decentralized data exchange and compute-to-data engine: aggregates go out, rows stay.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
struct Cli {
    /// Folder with this party's key and state.
    #[arg(long, env = "TIDEGATE_HOME", default_value = "~/.tidegate", global = true)]
    home: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create this party's key and folder.
    Init {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show this party's key.
    Id {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish a dataset version under a policy.
    Publish(commands::publish::Args),
    /// Show the owner how much of a dataset a policy's bounds let count, and how much other bounds would.
    Survey(commands::survey::Args),
    /// Begin a policy from the columns of files, or check what a policy allows and what its budget buys.
    #[command(subcommand)]
    Policy(commands::policy::Args),
    /// Withdraw a version of a dataset, or the whole dataset, which then answers nothing.
    Retire(commands::retire::Args),
    /// Encrypt a dataset for mirrors, which hold and serve data without being able to read them.
    Seal(commands::seal::Args),
    /// Hold others' encrypted datasets, and serve them to those who may copy them.
    #[command(subcommand)]
    Mirror(commands::mirror::Args),
    /// Answer jobs over others' datasets, with parts of their budgets handed over by the owners.
    #[command(subcommand)]
    Hold(commands::hold::Args),
    /// Show the parts of this party's budgets handed over to others, and their fate.
    Leases(commands::leases::Args),
    /// Answer jobs over the network until stopped.
    Serve(commands::serve::Args),
    /// Show the privacy budgets spent and left.
    Budget(commands::budget::Args),
    /// Show the jobs waiting for approval of an exact result.
    Pending(commands::review::PendingArgs),
    /// Approve the exact result of a waiting job.
    Approve(commands::review::ApproveArgs),
    /// Deny a waiting job.
    Deny(commands::review::OneArgs),
    /// Witness others' logs: cosign consistent checkpoints, keep evidence of forks.
    Witness(commands::witness::Args),
    /// Show the jobs running and waiting at this party's node, stop or close them.
    #[command(subcommand)]
    Jobs(commands::jobs::Args),
    /// Show the quarantine of programs and jobs not run after failures, or lift it.
    #[command(subcommand)]
    Quarantine(commands::quarantine::Args),
    /// Sign a grant for a peer, and log it.
    Grant(commands::grant::Args),
    /// List the grants issued.
    Grants(commands::grant::ListArgs),
    /// Revoke a grant: no job, copy or replay is allowed by it any more.
    Revoke(commands::grant::RevokeArgs),
    /// Show an owner's list of revoked grants, and whether its log agrees.
    Revocations(commands::revocations::Args),
    /// List the datasets offered by a peer.
    List(commands::list::Args),
    /// Find datasets among all listings heard by this party.
    #[command(subcommand)]
    Catalog(commands::catalog::Args),
    /// Show or set how this party is reached beyond its addresses: over a relay, on the local network, by its key.
    Network(commands::network::Args),
    /// Name others' keys in the address book.
    Peers(commands::peers::Args),
    /// Check whether a peer is there, and how soon it answers.
    Ping(commands::ping::Args),
    /// Run a job at a peer and verify the result.
    Run(commands::run::Args),
    /// Show this party's requests and results, and get results paid for and not received.
    #[command(subcommand)]
    Results(commands::results::Args),
    /// Check whether a job would be admitted, and at what price, from schema and policy alone.
    Check(commands::check::Args),
    /// Create a job, with a query or your own program, or a policy.
    #[command(subcommand)]
    New(commands::new::Args),
    /// Inspect a WebAssembly component or ONNX model without running it: imports, exports, whether an owner could admit it.
    Inspect(commands::inspect::Args),
    /// Run a job on mock rows here: the same engine, with everything shown.
    Rehearse(commands::rehearse::Args),
    /// Copy a dataset, if its policy and a grant allow it.
    Fetch(commands::fetch::Args),
    /// Check receipts and the log's whole history.
    Audit(commands::audit::Args),
    /// Run a receipt's job again over the same rows, and compare its sums with the receipt's commitments.
    Replay(commands::replay::Args),
    /// Show this party's own receipt log.
    #[command(subcommand)]
    Receipts(commands::receipts::Args),
    /// Check, copy or restore this party's own receipt log.
    #[command(subcommand)]
    Log(commands::log::Args),
    /// Audit the noise of this very binary, on your own data.
    #[command(subcommand)]
    Gate(commands::gate::Args),
    /// Examine this machine for missing features.
    Doctor(commands::doctor::Args),
    /// Print the completion script of a shell.
    Completions(commands::completions::Args),
    /// Write the manual pages of all commands to a folder.
    Man(commands::completions::ManArgs),
}

fn main() -> std::process::ExitCode {
    tidegate_node::home::keep_to_oneself();
    // A worker holds rows, and so gets neither a runtime, nor logging, nor a home.
    tidegate_node::worker::run_worker_if_asked();
    let matches = help::grouped(examples::with_examples(Cli::command())).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
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

/// Prints this party's key.
fn key(id: &PeerId, json: bool) {
    if json { println!("{}", serde_json::json!({ "id": id })) } else { println!("{id}") }
}

fn run(cli: Cli) -> anyhow::Result<std::process::ExitCode> {
    let home = match (cli.home.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(user)) => PathBuf::from(user).join(rest),
        _ => PathBuf::from(&cli.home),
    };
    // Records in the home name files by this path, and the next command may be given in another folder.
    let home = Home::at(std::path::absolute(home)?);
    match &cli.command {
        // It reports what is open to others, and changes nothing.
        Command::Doctor(_) | Command::Completions(_) | Command::Man(_) => {}
        Command::Serve(_) | Command::Mirror(_) | Command::Hold(_) | Command::Witness(_) => drop(home.shut(true)?),
        _ => drop(home.shut(false)?),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = |()| std::process::ExitCode::SUCCESS;
    runtime.block_on(async {
        match cli.command {
            Command::Init { json } => {
                key(&home.init()?.id(), json);
                Ok(std::process::ExitCode::SUCCESS)
            }
            Command::Id { json } => {
                key(&home.identity()?.id(), json);
                Ok(std::process::ExitCode::SUCCESS)
            }
            Command::Publish(args) => commands::publish::run(&home, args).await.map(done),
            Command::Survey(args) => commands::survey::run(&home, args).await.map(done),
            Command::Policy(args) => commands::policy::run(&args).map(done),
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
            Command::Completions(args) => {
                commands::completions::run(&args, Cli::command());
                Ok(std::process::ExitCode::SUCCESS)
            }
            Command::Man(args) => commands::completions::man(&args, examples::with_examples(Cli::command())).map(done),
            Command::Fetch(args) => commands::fetch::run(&home, args).await.map(done),
            Command::Audit(args) => commands::audit::run(&home, args).await,
            Command::Replay(args) => commands::replay::run(&home, args).await,
        }
    })
}
