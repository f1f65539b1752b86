//! The first rows of each unit, in an order that is theirs alone: what ROW_NUMBER() OVER (PARTITION BY unit ORDER BY …) <= 3 and DISTINCT ON (unit) say.
//!
//! Rows are ordered by unit, so few rows wait: the first so far of the unit that a batch ends with ([`Taking`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Field, Schema},
};
use datafusion::{common::DFSchema, logical_expr::ExprSchemable as _};
use tidegate_protocol::{Refusal, policy::ColumnRule};

pub(super) use self::taking::{Taken, Taking};
use super::{input::Input, refuse, said::engine, select::Branch};
use crate::RunError;

mod taking;

/// A row's number among its unit's: a column's name.
pub(super) const PLACE: &str = "place among the unit's rows";

/// An admitted choice of each unit's first rows.
#[derive(Debug, Clone)]
pub(super) struct First {
    /// Columns, and then what they are ordered by.
    pub(super) input: Input,
    order: Vec<SortOptions>,
    taken: Taken,
    /// Whether a row's number is one of the columns.
    numbered: bool,
    /// The columns.
    pub(super) schema: Arc<DFSchema>,
    pub(super) bounds: BTreeMap<String, ColumnRule>,
}

impl First {
    /// Of an input whose last columns are to be ordered by.
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

    /// Which of a unit's rows are taken.
    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    /// Leaves out all columns but these.
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

    /// Types of its input's columns.
    pub(super) fn kinds(&self) -> Result<Vec<DataType>, Refusal> {
        kinds(&self.input)
    }

    /// Begins.
    ///
    /// # Errors
    /// [`RunError`] where a type has no order: found at admission.
    pub(super) fn begin(&self) -> Result<Taking, RunError> {
        let kinds = kinds(&self.input).map_err(|e| RunError::Engine(e.to_string()))?;
        Taking::new(kinds, &self.order, self.taken, self.numbered)
    }
}

fn kinds(input: &Input) -> Result<Vec<DataType>, Refusal> {
    let schema = &input.select.schema;
    input.select.branches[0].columns.iter().map(|e| e.get_type(&**schema).map_err(|e| engine(&e))).collect()
}

fn schema_of(input: &Input, keys: usize, numbered: bool) -> Result<Arc<DFSchema>, Refusal> {
    let named = input.select.names.iter().zip(kinds(input)?).take(input.select.names.len() - keys);
    let fields = named.map(|(name, kind)| Field::new(name, kind, true));
    let place = numbered.then(|| Field::new(PLACE, DataType::UInt64, true));
    let fields: Vec<Field> = fields.chain(place).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?))
}
