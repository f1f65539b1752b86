//! SQL over listings: a row per column of a dataset, to find data by its content and price.

use std::{sync::Arc, time::SystemTime};

use arrow::{
    array::{Float64Builder, RecordBatch, StringBuilder, UInt64Builder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{Catalogue, CatalogueError, Kept};

/// Name of the table.
pub const TABLE: &str = "listings";

const TEXTS: [&str; 16] = [
    "name",
    "owner",
    "address",
    "description",
    "keywords",
    "license",
    "unit",
    "kinds",
    "compute",
    "replicate",
    "published",
    "expires",
    "manifest",
    "population",
    "column",
    "type",
];
const NUMBERS: [&str; 5] = ["lo", "hi", "rho", "rho_per_buyer", "epsilon_per_buyer"];
const COUNTS: [&str; 3] = ["max_units", "max_rows", "bytes"];

/// Returns the table's columns.
pub fn schema() -> SchemaRef {
    let texts = TEXTS.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let numbers = NUMBERS.iter().map(|name| Field::new(*name, DataType::Float64, true));
    let counts = COUNTS.iter().map(|name| Field::new(*name, DataType::UInt64, true));
    Arc::new(Schema::new(texts.chain(numbers).chain(counts).collect::<Vec<_>>()))
}

#[derive(Default)]
struct Rows {
    texts: [StringBuilder; TEXTS.len()],
    numbers: [Float64Builder; NUMBERS.len()],
    counts: [UInt64Builder; COUNTS.len()],
}

impl Rows {
    fn push(&mut self, one: &Kept) {
        let listing = &one.listing;
        let word = |word: &dyn std::fmt::Debug| format!("{word:?}").to_lowercase();
        let kinds = listing.kinds.iter().map(|kind| word(kind)).collect::<Vec<_>>().join(" ");
        let of_dataset = [
            Some(listing.name.clone()),
            Some(one.owner.to_string()),
            Some(listing.address(&one.owner)),
            Some(listing.about.description.clone()).filter(|text| !text.is_empty()),
            Some(listing.about.keywords.join(", ")).filter(|text| !text.is_empty()),
            Some(listing.about.license.clone()).filter(|text| !text.is_empty()),
            Some(listing.unit.clone()),
            Some(kinds),
            Some(word(&listing.compute)),
            Some(word(&listing.replicate)),
            Some(listing.published.clone()),
            Some(listing.expires.clone()),
            Some(listing.manifest.to_string()),
            Some(listing.population.to_string()),
        ];
        let micro = |micro: u64| Some(micro as f64 / 1e6);
        for column in &listing.columns {
            let texts = of_dataset.iter().cloned().chain([Some(column.name.clone()), Some(column.arrow.clone())]);
            self.texts.iter_mut().zip(texts).for_each(|(builder, text)| builder.append_option(text));
            let numbers = [
                column.lo,
                column.hi,
                micro(listing.budget.rho_micro.0),
                micro(listing.per_buyer.rho_micro.0),
                micro(listing.per_buyer.epsilon_micro.0),
            ];
            self.numbers.iter_mut().zip(numbers).for_each(|(builder, number)| builder.append_option(number));
            let counts = [Some(listing.max_units), Some(listing.max_rows.into()), listing.bytes];
            self.counts.iter_mut().zip(counts).for_each(|(builder, count)| builder.append_option(count));
        }
    }

    fn finish(mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let texts = self.texts.iter_mut().map(|b| Arc::new(b.finish()) as _);
        let numbers = self.numbers.iter_mut().map(|b| Arc::new(b.finish()) as _);
        let counts = self.counts.iter_mut().map(|b| Arc::new(b.finish()) as _);
        RecordBatch::try_new(schema(), texts.chain(numbers).chain(counts).collect())
    }
}

/// Builds the table of all listings valid at `now`, with a row for each column.
///
/// # Errors
/// Returns [`CatalogueError`] if the file cannot be used or the table not be built.
pub fn table(catalogue: &Catalogue, now: SystemTime) -> Result<RecordBatch, CatalogueError> {
    let mut rows = Rows::default();
    catalogue.each(now, |one| {
        rows.push(&one);
        Ok(())
    })?;
    rows.finish().map_err(CatalogueError::Table)
}
