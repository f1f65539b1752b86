//! Charged and remaining budget.

use redb::ReadableDatabase as _;
use tidegate_protocol::{
    ContentHash, Cost,
    receipt::{LedgerLink, Party},
};

use super::{
    error::StoreError,
    leases,
    schema::{LEASES, LINKS, SPENT, decode, read_cost, spent_key},
    state::Store,
};

impl Store {
    /// Returns the amount charged: to a `population` (dataset lineage), or to a buyer within it.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn spent(&self, population: &ContentHash, buyer: Option<&Party>) -> Result<Cost, StoreError> {
        let tx = self.db.begin_read()?;
        read_cost(&tx.open_table(SPENT)?, &spent_key(population, buyer))
    }

    /// Returns a buyer's remaining part of its cap, less the amounts set aside for it by leases.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn left_for(&self, population: &ContentHash, buyer: &Party, per_buyer: Cost) -> Result<Cost, StoreError> {
        let elsewhere = leases::set_aside(&self.db.begin_read()?.open_table(LEASES)?, population, buyer)?;
        Ok(self.spent(population, Some(buyer))?.left_of(elsewhere.left_of(per_buyer)))
    }

    /// Returns every charge on a dataset lineage, in order.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn links(&self, population: &ContentHash) -> Result<Vec<LedgerLink>, StoreError> {
        let tx = self.db.begin_read()?;
        let name = population.to_string();
        tx.open_table(LINKS)?.range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?.map(|item| decode(item?.1.value())).collect()
    }
}
