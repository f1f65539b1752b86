//! What was charged, and what is left.

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
    /// What has been charged: to a population, or to one buyer within it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent(&self, population: &ContentHash, buyer: Option<&Party>) -> Result<Cost, StoreError> {
        let tx = self.db.begin_read()?;
        read_cost(&tx.open_table(SPENT)?, &spent_key(population, buyer))
    }

    /// What is left for one buyer of its cap, what leases set aside for it taken off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn left_for(&self, population: &ContentHash, buyer: &Party, per_buyer: Cost) -> Result<Cost, StoreError> {
        let elsewhere = leases::set_aside(&self.db.begin_read()?.open_table(LEASES)?, population, buyer)?;
        Ok(self.spent(population, Some(buyer))?.left_of(elsewhere.left_of(per_buyer)))
    }

    /// Every charge on a population, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn links(&self, population: &ContentHash) -> Result<Vec<LedgerLink>, StoreError> {
        let tx = self.db.begin_read()?;
        let name = population.to_string();
        tx.open_table(LINKS)?.range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?.map(|item| decode(item?.1.value())).collect()
    }
}
