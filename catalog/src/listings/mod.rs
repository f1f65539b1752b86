//! The catalogue: others' listings, as many as were heard and are still valid, to find data without a server.
//!
//! One SQLite file, shared by a running node and its owner's commands. Every listing stored is signed by the owner that it names
//! and checked ([`tidegate_protocol::Listing::check`]); for each owner and dataset lineage (`population`) the latest counts, each
//! owner has a bounded number, and so has the whole. [`reconcile`] brings two catalogues together, [`croissant`] writes and reads
//! listings for other tools, [`query`] is SQL over them.

pub mod croissant;
mod kept;
pub mod query;
pub mod reconcile;
mod rows;
mod search;

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use tidegate_protocol::{
    ContentHash, Envelope, Signed, limits,
    listing::{BadListing, Listing},
};

pub use kept::{CatalogueError, Heard, Kept};

use kept::Ids;
use rows::{expire, kept, nanoseconds, put, row};

/// Maximum number of listings examined per name.
const NAMED: i64 = 20;

/// Memory for the file's pages in KiB.
const CACHE_KIB: i64 = 32 << 10;

/// Version of the file's format. A file of another version is recreated: lost listings are heard again.
const FORM: i64 = 3;

/// Listings heard by this party.
pub struct Catalogue {
    db: Mutex<Connection>,
    /// Ids for answering reconciliations, refreshed now and then.
    ids: Mutex<Option<Ids>>,
    heard: Heard,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalogue")
    }
}

const TABLES: &str = "
    CREATE TABLE listings (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        owner BLOB NOT NULL,
        population BLOB NOT NULL,
        manifest BLOB NOT NULL,
        name TEXT NOT NULL,
        issued INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        envelope TEXT NOT NULL,
        UNIQUE (owner, population)
    );
    CREATE INDEX by_end ON listings (expires);
    CREATE VIRTUAL TABLE words USING fts5(name, keywords, description, columns, content = '', contentless_delete = 1);
    INSERT INTO words (words, rank) VALUES ('rank', 'bm25(8.0, 4.0, 1.0, 2.0)');
    INSERT INTO words (words, rank) VALUES ('hashsize', 33554432);
    INSERT INTO words (words, rank) VALUES ('automerge', 8);
";

impl Catalogue {
    /// Opens (or creates) the file at `path`; a damaged file is recreated, since its listings are heard again.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used.
    pub fn open(path: &Path, heard: Heard) -> Result<Self, CatalogueError> {
        match Self::open_whole(path, heard.clone()) {
            Err(CatalogueError::File(rusqlite::Error::SqliteFailure(e, _)))
                if matches!(e.code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) =>
            {
                for end in ["", "-wal", "-shm"] {
                    let mut name = path.as_os_str().to_owned();
                    name.push(end);
                    drop(std::fs::remove_file(name));
                }
                Self::open_whole(path, heard)
            }
            opened => opened,
        }
    }

    fn open_whole(path: &Path, heard: Heard) -> Result<Self, CatalogueError> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(10))?;
        // Anything lost in a crash is heard again: the file need not be durable, only consistent.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if tx.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? != FORM {
            tx.execute_batch("DROP TABLE IF EXISTS listings; DROP TABLE IF EXISTS words;")?;
            tx.execute_batch(TABLES)?;
            tx.pragma_update(None, "user_version", FORM)?;
        }
        tx.commit()?;
        Ok(Self { db: Mutex::new(db), ids: Mutex::default(), heard })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a listing heard at `now`.
    ///
    /// # Errors
    /// Returns [`CatalogueError`] if the listing is bad or its owner not accepted.
    pub fn check(&self, envelope: Envelope, now: SystemTime) -> Result<Signed<Listing>, CatalogueError> {
        if envelope.payload.len() > limits::LISTING_BYTES * 3 / 2 {
            return Err(BadListing { field: "listing", why: "is too long" }.into());
        }
        let listing = Signed::<Listing>::open(envelope)?;
        listing.body().check(now)?;
        if self.heard.only_known && !self.heard.known.contains(&listing.signer()) {
            return Err(CatalogueError::NotHeard(listing.signer()));
        }
        Ok(listing)
    }

    /// Stores checked listings, all at once; returns the number of new ones, and the reason for the first refusal.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used; nothing was stored then.
    pub fn take(&self, listings: &[Signed<Listing>], now: SystemTime) -> Result<(u64, Option<CatalogueError>), CatalogueError> {
        let mut db = self.db();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        expire(&tx, now)?;
        let mut all: i64 = tx.query_row("SELECT count(*) FROM listings", [], |row| row.get(0))?;
        let (mut new, mut refused) = (0, None);
        for listing in listings {
            match put(&tx, listing, all, &self.heard) {
                Ok(None) => {}
                Ok(Some(more)) => (new, all) = (new + 1, all + more),
                Err(CatalogueError::File(e)) => return Err(e.into()),
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        tx.commit()?;
        Ok((new, refused))
    }

    /// Removes expired listings.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used.
    pub fn expire(&self, now: SystemTime) -> Result<(), CatalogueError> {
        expire(&self.db(), now)
    }

    /// Returns the number of listings.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used.
    pub fn len(&self) -> Result<u64, CatalogueError> {
        Ok(self.db().query_row("SELECT count(*) FROM listings", [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Returns whether there are no listings.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used.
    pub fn is_empty(&self) -> Result<bool, CatalogueError> {
        Ok(self.len()? == 0)
    }

    /// Returns the listings with these ids still valid at `now`, in no order, as signed (canonical form); others are left out.
    ///
    /// # Errors
    /// Returns [`CatalogueError::File`] if the file cannot be used.
    pub fn of(&self, ids: &[ContentHash], now: SystemTime) -> Result<Vec<String>, CatalogueError> {
        let db = self.db();
        let mut found = db.prepare_cached("SELECT envelope FROM listings WHERE id = ?1 AND expires > ?2")?;
        let mut envelopes = Vec::new();
        for id in ids {
            let text: Option<String> = found.query_row(params![id.0, nanoseconds(now)], |row| row.get(0)).optional()?;
            envelopes.extend(text);
        }
        Ok(envelopes)
    }

    /// Calls `each` for every listing still valid at `now`.
    ///
    /// # Errors
    /// Returns [`CatalogueError`] if the file cannot be used, or the error of `each`.
    pub fn each(&self, now: SystemTime, mut each: impl FnMut(Kept) -> Result<(), CatalogueError>) -> Result<(), CatalogueError> {
        let db = self.db();
        let mut all = db.prepare("SELECT owner, id, envelope FROM listings WHERE expires > ?1 ORDER BY issued DESC, id")?;
        let rows = all.query_map(params![nanoseconds(now)], row)?;
        rows.into_iter().try_for_each(|row| each(kept(row?)?))
    }

    /// Finds the listing with this name, or with an id, manifest or `population` beginning with this; of several by the same
    /// owner the latest.
    ///
    /// # Errors
    /// Returns [`CatalogueError::None`] if there is none, [`CatalogueError::Several`] if several owners have one: anybody may
    /// call a dataset anything.
    pub fn find(&self, word: &str, now: SystemTime) -> Result<Kept, CatalogueError> {
        let mut found = self.named(word, now)?.into_iter();
        let word: String = word.chars().take(80).collect();
        let Some(first) = found.next() else { return Err(CatalogueError::None { word }) };
        let others: Vec<_> = found.filter(|other| other.owner != first.owner).collect();
        if others.is_empty() {
            return Ok(first);
        }
        let all = std::iter::once(&first).chain(&others).map(|one| format!("{} of {}", one.listing.manifest.short(), one.owner));
        Err(CatalogueError::Several { word, owners: all.collect::<Vec<_>>().join(", ") })
    }

    /// Lists the listings with this name, or with an id, manifest or `population` beginning with this, the latest first.
    ///
    /// # Errors
    /// Returns [`CatalogueError`] if the file cannot be used.
    pub fn named(&self, word: &str, now: SystemTime) -> Result<Vec<Kept>, CatalogueError> {
        // A few characters would match too many of them.
        let is_id = word.len() >= 6 && word.len() <= 64 && word.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        let beginning = if is_id { format!("{word}%") } else { String::new() };
        let db = self.db();
        let mut found = db.prepare_cached(
            "SELECT owner, id, envelope FROM listings WHERE expires > ?1 AND (name = ?2 OR lower(hex(id)) LIKE ?3
             OR lower(hex(manifest)) LIKE ?3 OR lower(hex(population)) LIKE ?3) ORDER BY issued DESC, id LIMIT ?4",
        )?;
        let rows = found.query_map(params![nanoseconds(now), word, beginning, NAMED], row)?;
        rows.map(|row| kept(row?)).collect()
    }
}
