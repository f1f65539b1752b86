//! Rows of the catalogue's file: inserting, replacing and removing listings.

use std::time::SystemTime;

use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::{Connection, OptionalExtension as _, params};
use tidegate_protocol::{ContentHash, Envelope, PeerId, Signed, dsse::BadDocument, limits, listing::Listing};

use super::{CatalogueError, Heard, Kept};

/// Owner, id and envelope of a listing.
pub(super) type Row = (PeerId, ContentHash, String);

pub(super) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let owner = PeerId::from_bytes(row.get(0)?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, e.into()))?;
    Ok((owner, ContentHash(row.get(1)?), row.get(2)?))
}

/// Decodes a listing from the file: listings were checked on arrival, and anybody able to write to the file can do worse.
pub(super) fn kept((owner, id, text): Row) -> Result<Kept, CatalogueError> {
    let form = |e: &dyn std::fmt::Display| BadDocument::Form(e.to_string());
    let envelope: Envelope = serde_json::from_str(&text).map_err(|e| form(&e))?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|e| form(&e))?;
    Ok(Kept { owner, id, listing: serde_json::from_slice(&payload).map_err(|e| form(&e))?, envelope })
}

pub(super) fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn remove(db: &Connection, row: i64) -> Result<(), CatalogueError> {
    db.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute(params![row])?;
    db.prepare_cached("DELETE FROM listings WHERE row = ?1")?.execute(params![row])?;
    Ok(())
}

pub(super) fn expire(db: &Connection, now: SystemTime) -> Result<(), CatalogueError> {
    let over: Vec<i64> = {
        let mut over = db.prepare_cached("SELECT row FROM listings WHERE expires <= ?1")?;
        over.query_map(params![nanoseconds(now)], |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    over.into_iter().try_for_each(|row| remove(db, row))
}

/// Removes the first listing to expire among unknown owners'.
fn make_room(db: &Connection, heard: &Heard) -> Result<(), CatalogueError> {
    let mut all = db.prepare_cached("SELECT row, owner FROM listings ORDER BY expires")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let owner: [u8; 32] = row.get(1)?;
        if !heard.known.iter().any(|known| *known.as_bytes() == owner) {
            return remove(db, row.get(0)?);
        }
    }
    Err(CatalogueError::Full)
}

/// Stores a listing, with `all` stored before; returns the change of their number, or `None` if the listing is not news.
pub(super) fn put(db: &Connection, listing: &Signed<Listing>, all: i64, heard: &Heard) -> Result<Option<i64>, CatalogueError> {
    let (owner, body) = (listing.signer(), listing.body());
    let before: Option<(i64, i64)> = db
        .prepare_cached("SELECT row, issued FROM listings WHERE owner = ?1 AND population = ?2")?
        .query_row(params![owner.as_bytes(), body.population.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if before.is_some_and(|(_, issued)| issued >= body.order()) {
        return Ok(None);
    }
    let mut more = 0;
    match before {
        Some((row, _)) => remove(db, row)?,
        None => {
            let of_owner: i64 = db
                .prepare_cached("SELECT count(*) FROM listings WHERE owner = ?1")?
                .query_row(params![owner.as_bytes()], |row| row.get(0))?;
            if of_owner >= limits::LISTINGS_PER_OWNER as i64 {
                return Err(CatalogueError::Quota(owner));
            }
            more = 1;
            if all.unsigned_abs() >= heard.most as u64 {
                if !heard.known.contains(&owner) {
                    return Err(CatalogueError::Full);
                }
                make_room(db, heard)?;
                more = 0;
            }
        }
    }
    let envelope = listing.envelope().to_canonical()?;
    let envelope = String::from_utf8(envelope).map_err(|e| BadDocument::Form(e.to_string()))?;
    db.prepare_cached(
        "INSERT INTO listings (id, owner, population, manifest, name, issued, expires, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        listing.id().0,
        owner.as_bytes(),
        body.population.0,
        body.manifest.0,
        body.name,
        body.order(),
        body.ends(),
        envelope
    ])?;
    let columns: Vec<&str> = body.columns.iter().map(|column| column.name.as_str()).collect();
    db.prepare_cached("INSERT INTO words (rowid, name, keywords, description, columns) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
        params![db.last_insert_rowid(), body.name, body.about.keywords.join(" "), body.about.description, columns.join(" "),],
    )?;
    Ok(Some(more))
}
