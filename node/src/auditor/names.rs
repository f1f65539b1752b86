//! Names under which this party knows others' datasets: an audit shows them beside the hashes, and rests nothing on them.

use std::{collections::BTreeMap, time::SystemTime};

use tidegate_catalog::dataset;

use crate::{buyer::results::Results, discovery::sync, home::Home};

/// Returns the names of datasets by lineage: datasets heard of, datasets asked, and this party's own.
pub fn of_datasets(home: &Home) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    if !home.path().exists() {
        return names;
    }
    // What cannot be read gives no names.
    if let Ok(catalogue) = sync::open(home, false) {
        let heard = catalogue.each(SystemTime::now(), |one| {
            names.insert(one.listing.population.to_string(), one.listing.name);
            Ok(())
        });
        drop(heard);
    }
    for kept in Results::of(home).list().unwrap_or_default() {
        let manifest = kept.offer.manifest.body();
        names.insert(manifest.population.to_string(), manifest.name.clone());
    }
    for own in dataset::load_all(&home.datasets()).unwrap_or_default() {
        let manifest = own.manifest.body();
        names.insert(manifest.population.to_string(), manifest.name.clone());
    }
    names
}
