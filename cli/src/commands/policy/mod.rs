//! `tidegate policy suggest`, `policy check`

mod buys;
mod check;
mod findings;
mod suggest;

/// Commands for an owner's policy before anything is published.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Print a policy to begin with, from the names and types of the files' columns alone: it has no value, bound or count of the
    /// data.
    Suggest(suggest::Args),
    /// Check a policy as `tidegate publish` would, name what is unsafe or unusual in it, and show what its budget buys.
    Check(check::Args),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args {
        Args::Suggest(args) => suggest::run(args),
        Args::Check(args) => check::run(args),
    }
}
