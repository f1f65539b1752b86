//! First rows of each privacy unit, in an order of the unit's own rows.
//!
//! This is ROW_NUMBER() OVER (PARTITION BY unit ORDER BY …) <= 3 and DISTINCT ON (unit). Rows are ordered by unit, so few rows
//! are buffered: the first ones so far of the unit with which a batch ends ([`Taking`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Field, Schema},
};
use datafusion::common::DFSchema;
use tidegate_protocol::{Refusal, policy::ColumnRule};

pub(super) use self::taking::{Done, Taken, Taking};
use super::{
    input::{First, Input},
    refuse,
    select::Branch,
};
use crate::RunError;

mod taking;

/// Name of the column with a row's number within its unit.
pub(super) const PLACE: &str = "place among the unit's rows";

impl First {
    /// Builds the selection from an input whose last columns are the sort keys.
    pub(super) fn new(
        input: Input,
        order: Vec<SortOptions>,
        taken: Taken,
        mut bounds: BTreeMap<String, ColumnRule>,
    ) -> Result<Self, Refusal> {
        let of = |number: u32| Some(f64::from(number));
        bounds.insert(PLACE.to_owned(), ColumnRule { lo: of(taken.first), hi: of(taken.last), chars: None });
        let schema = schema_of(&input, order.len(), true)?;
        let first = Self { input, order, taken, numbered: true, schema, bounds };
        first.begin().map_err(|e| refuse(e).fix("Order by numbers, texts or dates"))?;
        Ok(first)
    }

    /// Returns which of a unit's rows are taken.
    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    /// Drops all columns except `read`.
    pub(super) fn keep(&mut self, read: &BTreeSet<String>) -> Result<(), Refusal> {
        let select = &mut self.input.select;
        let keys = select.names.len() - self.order.len();
        let kept: Vec<usize> = (0..select.names.len()).filter(|i| *i >= keys || read.contains(&select.names[*i])).collect();
        let columns = |b: &Branch| kept.iter().map(|i| b.columns[*i].clone()).collect();
        select.branches = select.branches.iter().map(|b| Branch { filter: b.filter.clone(), columns: columns(b) }).collect();
        select.names = kept.iter().map(|i| select.names[*i].clone()).collect();
        self.numbered &= read.contains(PLACE);
        self.input.prune()?;
        self.schema = schema_of(&self.input, self.order.len(), self.numbered)?;
        Ok(())
    }

    /// Returns the types of the input's columns.
    pub(super) fn kinds(&self) -> Result<Vec<DataType>, Refusal> {
        self.input.kinds()
    }

    /// Starts a pass over the rows.
    ///
    /// # Errors
    /// Returns [`RunError`] if a type has no order, which admission detects.
    pub(super) fn begin(&self) -> Result<Taking, RunError> {
        let kinds = self.input.kinds().map_err(|e| RunError::Engine(e.to_string()))?;
        Taking::new(kinds, &self.order, self.taken, self.numbered)
    }
}

fn schema_of(input: &Input, keys: usize, numbered: bool) -> Result<Arc<DFSchema>, Refusal> {
    let named = input.select.names.iter().zip(input.kinds()?).take(input.select.names.len() - keys);
    let fields = named.map(|(name, kind)| Field::new(name, kind, true));
    let place = numbered.then(|| Field::new(PLACE, DataType::UInt64, true));
    let fields: Vec<Field> = fields.chain(place).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?))
}
