//! `tidegate network`

use std::str::FromStr;

use tidegate_exchange::RelayUrl;
use tidegate_node::home::Home;

/// Options of `tidegate network`; without any, the settings are shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// iroh relay over which to be reached if there is no direct way: https://…, or `off`. The relay sees who speaks with whom,
    /// and nothing of what is said.
    #[arg(long)]
    relay: Option<Url>,
    /// pkarr relay on which to publish this party's location and look up others': https://…, or `off`.
    #[arg(long)]
    lookup: Option<Url>,
    /// Announce this party's location on the local network, and listen for others': `on` or `off`.
    #[arg(long)]
    local: Option<Switch>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone)]
struct Url(Option<RelayUrl>);

impl FromStr for Url {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        if word == "off" {
            return Ok(Self(None));
        }
        if !word.starts_with("https://") && !word.starts_with("http://") {
            return Err("write https://… or `off`".into());
        }
        word.parse().map(|url| Self(Some(url))).map_err(|e| format!("{e}"))
    }
}

pub(crate) fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let before = home.reach()?;
    let mut reach = before.clone();
    if let Some(Url(relay)) = args.relay {
        reach.relay = relay;
    }
    if let Some(Url(lookup)) = args.lookup {
        reach.lookup = lookup;
    }
    if let Some(local) = args.local {
        reach.local = matches!(local, Switch::On);
    }
    if reach != before {
        home.set_reach(&reach)?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&reach)?);
        return Ok(());
    }
    let off = || "off".to_owned();
    println!("relay   {}", reach.relay.as_ref().map_or_else(off, ToString::to_string));
    println!("lookup  {}", reach.lookup.as_ref().map_or_else(off, ToString::to_string));
    println!("local   {}", if reach.local { "on" } else { "off" });
    if reach != before {
        println!("a running node keeps its setting until it is restarted");
    }
    Ok(())
}
