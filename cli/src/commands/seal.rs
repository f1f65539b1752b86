//! `tidegate seal`

use tidegate_node::{home::Home, mirror::seal};

use crate::{
    numbers::{self, count},
    show::{bytes_bar, report},
};

/// Options of `tidegate seal`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The dataset's name or manifest id.
    dataset: String,
    /// Use a fresh key: earlier grants do not open files encrypted from now on, and have to be given again.
    #[arg(long)]
    new_key: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let bar = bytes_bar()?;
    let (home, shown) = (home.clone(), bar.clone());
    let (name, new_key) = (args.dataset, args.new_key);
    let sealing = tokio::task::spawn_blocking(move || {
        seal::seal(&home, &name, new_key, &mut |file, done, total| report(&shown, file, done, total))
    });
    let sealed = sealing.await;
    bar.finish_and_clear();
    let (dataset, sealed) = sealed??;
    let (manifest, body) = (dataset.manifest.body(), sealed.body());
    let bytes: u64 = body.all().map(|file| file.bytes).sum();
    if args.json {
        let files: Vec<_> = body.files.iter().map(|file| file.hash).collect();
        println!(
            "{}",
            serde_json::json!({ "dataset": body.manifest, "population": body.population, "sealed": sealed.id(), "bytes": bytes, "files": files })
        );
        return Ok(());
    }
    println!(
        "encrypted {} ({} in {} and an index): mirrors get it from `tidegate serve`",
        manifest.name,
        numbers::bytes(bytes),
        count(body.files.len(), "file", "files")
    );
    println!(
        "a grant with `mirror` allows mirroring it, and a grant with `replicate` allows copying it from mirrors and decrypting it"
    );
    Ok(())
}
