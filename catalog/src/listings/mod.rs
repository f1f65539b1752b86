//! The catalogue: others' listings, as many as were heard and are still good, so that data is found without a server.
//!
//! One SQLite file, which a running node and its owner's commands share. Every listing that goes in is signed by the owner that it names and checked
//! ([`tidegate_protocol::Listing::check`]); of one owner and population the latest counts, one owner has a bounded number, and so has the whole.
//! [`reconcile`] brings two catalogues together, [`croissant`] writes and reads listings as other tools do, [`query`] is SQL over them.

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
    ContentHash, Envelope, PeerId, Signed,
    dsse::BadDocument,
    limits,
    listing::{BadListing, Listing},
};

pub use kept::{CatalogueError, Heard, Kept};

use kept::Ids;
use rows::{expire, kept, nanoseconds, put, row};

/// Most listings of one name that are looked at.
const NAMED: i64 = 20;

/// Memory for the file's pages.
const CACHE_KIB: i64 = 32 << 10;

/// Form of the file. A file of another form is begun anew: what is lost is heard again.
const FORM: i64 = 3;

/// The listings that this party has heard.
pub struct Catalogue {
    db: Mutex<Connection>,
    /// What is answered to those who reconcile, made anew now and then.
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
    /// Opens (or makes) the file at `path`; a damaged one is begun anew, since what was in it is heard again.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
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
        // What a crash loses is heard again: it need not be durable, only whole.
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

    /// Checks a listing, as it was heard at `now`.
    ///
    /// # Errors
    /// [`CatalogueError`].
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

    /// Takes checked listings, all at once; says how many were new, and why the first of those that were not taken was not.
    ///
    /// # Errors
    /// [`CatalogueError::File`]; nothing was taken then.
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

    /// Forgets what is over.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
    pub fn expire(&self, now: SystemTime) -> Result<(), CatalogueError> {
        expire(&self.db(), now)
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
    pub fn len(&self) -> Result<u64, CatalogueError> {
        Ok(self.db().query_row("SELECT count(*) FROM listings", [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
    pub fn is_empty(&self) -> Result<bool, CatalogueError> {
        Ok(self.len()? == 0)
    }

    /// Those that are still good at `now`, by their ids, in no order, as they were signed (canonical form); others are left out.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
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

    /// Each that is still good at `now`.
    ///
    /// # Errors
    /// [`CatalogueError`], or what `each` returns.
    pub fn each(&self, now: SystemTime, mut each: impl FnMut(Kept) -> Result<(), CatalogueError>) -> Result<(), CatalogueError> {
        let db = self.db();
        let mut all = db.prepare("SELECT owner, id, envelope FROM listings WHERE expires > ?1 ORDER BY issued DESC, id")?;
        let rows = all.query_map(params![nanoseconds(now)], row)?;
        rows.into_iter().try_for_each(|row| each(kept(row?)?))
    }

    /// The one of this name, or of whose id, manifest's or population's this is the beginning; of several of one owner the latest.
    ///
    /// # Errors
    /// [`CatalogueError::None`]; [`CatalogueError::Several`] where several owners have one: anybody may call a dataset anything.
    pub fn find(&self, word: &str, now: SystemTime) -> Result<Kept, CatalogueError> {
        let mut found = self.named(word, now)?.into_iter();
        let word: String = word.chars().take(80).collect();
        let Some(first) = found.next() else { return Err(CatalogueError::None(word)) };
        let others: Vec<_> = found.filter(|other| other.owner != first.owner).collect();
        if others.is_empty() {
            return Ok(first);
        }
        let all = std::iter::once(&first).chain(&others).map(|one| format!("{} of {}", one.listing.manifest.short(), one.owner));
        Err(CatalogueError::Several { word, owners: all.collect::<Vec<_>>().join(", ") })
    }

    /// Those of this name, or of whose id, manifest's or population's this is the beginning, the latest first.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub fn named(&self, word: &str, now: SystemTime) -> Result<Vec<Kept>, CatalogueError> {
        // A few characters begin too many of them.
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
