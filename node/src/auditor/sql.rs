//! SQL over a log in a folder.

use std::path::Path;

use arrow::array::RecordBatch;
use tidegate_audit::{
    note::{Verifier, owner_of_vkey},
    query::{self, QueryError},
};
use tidegate_files::read_given_text;
use tidegate_ledger::from_folder;
use tidegate_protocol::limits;

use crate::{NodeError, file_error, home::Home};

/// Answers `query` over the log in `folder`, or over the party's own; returns all rows without a query.
///
/// The folder is as left by `tidegate audit --keep` or `run --out`.
///
/// # Errors
/// Returns [`NodeError::Unverified`] if the log does not verify, or [`NodeError::Query`] if the query fails.
pub async fn sql(home: &Home, folder: Option<&Path>, query: Option<&str>) -> Result<Vec<RecordBatch>, NodeError> {
    let (owner, log) = match folder {
        None => (home.identity()?.id(), home.path().join("log")),
        Some(folder) => {
            let vkey = folder.join("owner.vkey");
            let text = read_given_text(&vkey, limits::NAME_BYTES as u64 * 4).map_err(|e| file_error(&vkey, e))?;
            (owner_of_vkey(&text)?, folder.join("log"))
        }
    };
    let failed = |e: QueryError| match e {
        QueryError::Log(e) => NodeError::from(e),
        other => NodeError::Query(Box::new(other)),
    };
    let table = tokio::task::spawn_blocking(move || query::table(&Verifier::log(&owner), &mut from_folder(log)));
    let table = table.await.map_err(NodeError::Task)?.map_err(failed)?;
    match query {
        None => Ok(table),
        Some(query) => query::sql(table, query).await.map_err(failed),
    }
}
