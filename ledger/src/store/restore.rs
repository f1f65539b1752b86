//! Restoring lost entries from a copy of the log: charges are charged again, revocations stay in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tidegate_protocol::{
    Identity, Sha256Digest,
    receipt::{JobFacts, Predicate, Statement, entry::Ending},
};

use super::{
    append::{append, once},
    error::{RecordFault, StoreError},
    fetches, grants, leases, links,
    open::database,
    schema::{read_cost, spent_key},
    state::Store,
    stored::Entry,
    tables::{Tables, standing::Says},
    taken, versions,
};
use tidegate_audit::{
    log::{Frontier, Reader, read::Fetch},
    note::{BadNote, Verifier},
    open_entry,
    rules::alone::Checked,
};

/// Number of entries after which appended entries are written, to avoid holding them all in memory a second time.
const SETTLED: u64 = 1024;

/// Result of a restoration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Number of restored entries.
    pub entries: u64,
    /// Number of jobs without an outcome, closed without a result: their results are gone.
    pub closed: u64,
}

fn failed(e: BadNote) -> StoreError {
    RecordFault::Log(e).into()
}

impl Store {
    /// Opens the store in `folder` and appends the further entries of a copy of its own log, up to its checkpoint.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the copy does not verify, or does not extend the ledger: nothing is changed then.
    /// [`StoreError::Behind`] also if the log's folder shows that still more was published: the copy's entries are in the ledger
    /// then.
    pub fn restore(folder: &Path, identity: Identity, fetch: Fetch<'_>) -> Result<(Self, Restored), StoreError> {
        let store = Self::unguarded(database(folder)?, folder, identity)?;
        let here = store.size()?;
        let reader = Reader::open(&Verifier::log(&store.owner()), fetch).map_err(failed)?;
        let mut heads = BTreeMap::new();
        if here > 0 {
            heads.extend(store.root_at(here)?.map(|root| (here, root)));
        }
        if reader.checkpoint.size < here {
            return Err(StoreError::ShortCopy { copy: reader.checkpoint.size, here });
        }
        let mut new = Vec::new();
        reader
            .each(&mut Frontier::default(), &heads, fetch, |start, entries, _| {
                for (index, entry) in (start..).zip(entries) {
                    let statement = open_entry(entry, &store.owner());
                    let statement = statement.map_err(|(rule, detail)| BadNote(format!("entry {index}: {rule}: {detail}")))?;
                    new.push((entry.clone(), statement));
                }
                Ok(())
            })
            .map_err(failed)?;
        let restored = store.committer.run(move |tables| take(tables, here, &new))?;
        store.meet_published()?;
        store.export()?;
        Ok((store, restored))
    }
}

/// Appends all entries in a single transaction: either all come back, or none.
fn take(tables: &mut Tables<'_>, here: u64, all: &[(Vec<u8>, Statement)]) -> Result<Restored, StoreError> {
    let mut restored = Restored::default();
    let mut open: BTreeMap<u64, (&JobFacts, Sha256Digest)> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (index, (entry, statement)) in (0u64..).zip(all) {
        match &statement.predicate {
            Predicate::Intent(facts) => drop(open.insert(index, (facts, statement.subject[0].digest.sha256))),
            Predicate::Outcome { intent, .. } => drop(open.remove(intent)),
            _ => {}
        }
        if index < here {
            known.insert(index);
            continue;
        }
        tables.append(Says::Published, Entry::of(entry.clone()), Checked::published())?;
        restored.entries += 1;
        if restored.entries.is_multiple_of(SETTLED) {
            tables.settle()?;
        }
        if let Predicate::Intent(facts) = &statement.predicate {
            charge(tables, facts)?;
        }
        grants::remember(tables, &statement.predicate)?;
        fetches::remember(tables, &statement.predicate)?;
        // The log's content stands, whatever an audit says of it.
        if versions::may_say(tables, &statement.predicate)?.is_ok() {
            versions::remember(tables, &statement.predicate)?;
        }
        let owner = tables.identity().id();
        leases::remember(tables, &statement.predicate, &owner)?;
        taken::remember(tables, &statement.predicate)?;
        if let Some(key) = once(&statement.predicate) {
            tables.once.insert(key.as_str(), index)?;
        }
    }
    // Jobs known to the ledger itself can still be finished.
    for (intent, (facts, subject)) in open.into_iter().filter(|(intent, _)| !known.contains(intent)) {
        let facts = Box::new(facts.clone());
        let name = format!("job {}", facts.job);
        let outcome = Ending::SpentNotReleased;
        append(
            tables,
            Statement::about(
                &name,
                subject,
                Predicate::Outcome { facts, intent, mode: "none".into(), outcome, commitment: None },
            ),
        )?;
        restored.closed += 1;
    }
    Ok(restored)
}

fn charge(tables: &mut Tables<'_>, facts: &JobFacts) -> Result<(), StoreError> {
    for buyer in [None, Some(&facts.ledger.buyer)] {
        let key = spent_key(&facts.ledger.population, buyer);
        let sum = read_cost(&tables.spent, &key)?.plus(facts.ledger.cost);
        let sum = sum.ok_or(RecordFault::Charges)?;
        tables.spent.insert(key.as_str(), serde_json::to_vec(&sum)?.as_slice())?;
    }
    grants::count(tables, facts)?;
    links::keep(tables, &facts.ledger)
}
