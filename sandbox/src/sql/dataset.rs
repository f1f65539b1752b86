//! Names of the dataset in queries.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

/// Name of the owner's rows, and of the table in a dataset with a single table.
pub const TABLE: &str = "dataset";

/// Schema metadata key of the name under which the dataset was published.
pub(super) const PUBLISHED: &str = "tidegate.dataset";

/// Marks a dataset's schema as published under `name`, which queries may use for its only table, beside [`TABLE`].
pub fn published(schema: &SchemaRef, name: &str) -> SchemaRef {
    Arc::new(schema.as_ref().clone().with_metadata([(PUBLISHED.to_owned(), name.to_owned())].into()))
}
