//! `tidegate retire`

use tidegate_node::{home::Home, owner::retire::retire};

use crate::show::plain;

/// Options of `tidegate retire`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Manifest id of the version; with --all, the dataset's name is enough.
    dataset: String,
    /// Retire the whole dataset, with all its versions, for good: its rows cannot be published again by this key. To pause it,
    /// retire its newest version alone.
    #[arg(long)]
    all: bool,
    /// Also remove the copies of its rows, ordered by unit and made for jobs. The published files stay.
    #[arg(long)]
    erase: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(home: &Home, args: &Args) -> anyhow::Result<()> {
    let retired = retire(home, &args.dataset, args.all, args.erase)?;
    if args.json {
        println!("{}", serde_json::to_string(&retired)?);
        return Ok(());
    }
    let name = plain(&retired.name);
    match retired.version {
        None => println!(
            "retired {name}: its versions accept no jobs, and neither a further version nor its rows under another name can be published"
        ),
        Some(version) => println!("retired version {} of {name}", version.short()),
    }
    if retired.version.is_some() && retired.newest {
        println!("it was the newest: only older versions that its policy allows accept jobs, until a new version is published");
    }
    for copy in &retired.copies {
        let copy = copy.display();
        if args.erase { println!("removed {copy}") } else { println!("a copy of its rows remains: {copy}. --erase removes it") }
    }
    Ok(())
}
