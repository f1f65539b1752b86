//! Join of two inputs' rows within each privacy unit: pairs never mix units, so a person's row changes only rows of that person.
//!
//! [`UnitJoin`] is the admitted join, [`Joining`] runs it: rows wait in [`held`] until their unit is complete, [`pairs`] combines
//! them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    datatypes::{DataType, Field, Schema},
    row::{RowConverter, SortField},
};
use datafusion::{common::DFSchema, logical_expr::Expr};
use tidegate_protocol::Refusal;

pub(super) use self::joining::Joining;
use super::{
    input::{Input, Kind, UnitJoin},
    refuse,
    select::{Branch, Select},
};
use crate::RunError;

mod held;
mod joining;
mod pairs;

/// Names of the columns with the presence of each input's row in a row of the join.
pub(super) const THERE: [&str; 2] = ["first there", "second there"];

impl UnitJoin {
    /// Creates a join of inputs whose last `keys` columns must be equal.
    pub(super) fn new(kind: Kind, [first, second]: [Input; 2], keys: usize) -> Result<Self, Refusal> {
        let schema = schema_of(&first, &second, keys)?;
        let join = Self { kind, first, second, keys, condition: None, schema, bounds: BTreeMap::new() };
        join.encoder().map_err(|e| refuse(e).fix("Join by numbers, texts or dates"))?;
        Ok(join)
    }

    /// Keeps only pairs for which `condition` holds.
    pub(super) fn only(&mut self, condition: Expr) -> Result<(), Refusal> {
        let select = Select::new(vec![], vec![(Some(condition), vec![])], self.schema.clone(), "")?;
        crate::units::prove(&select)?;
        self.condition = Some(select);
        Ok(())
    }

    /// Returns the further condition on a pair.
    pub(super) fn condition(&self) -> Option<&Select> {
        self.condition.as_ref()
    }

    /// Drops all columns except `read` and the columns read by the join itself.
    pub(super) fn keep(&mut self, read: &BTreeSet<String>) -> Result<(), Refusal> {
        let mine: BTreeSet<&str> = self.condition.iter().flat_map(Select::read).chain(read.iter().map(String::as_str)).collect();
        for input in [&mut self.first, &mut self.second] {
            let select = &mut input.select;
            let keys = select.names.len() - self.keys;
            let kept = |i: &usize| *i >= keys || mine.contains(select.names[*i].as_str());
            let kept: Vec<usize> = (0..select.names.len()).filter(kept).collect();
            let names = kept.iter().map(|i| select.names[*i].clone()).collect();
            let columns = |b: &Branch| kept.iter().map(|i| b.columns[*i].clone()).collect();
            select.branches = select.branches.iter().map(|b| Branch { filter: b.filter.clone(), columns: columns(b) }).collect();
            select.names = names;
            input.prune()?;
        }
        self.schema = schema_of(&self.first, &self.second, self.keys)?;
        if let Some(condition) = &mut self.condition {
            condition.schema = self.schema.clone();
        }
        Ok(())
    }

    /// Returns the maximum number of rows per unit, if bounded by public numbers.
    pub(super) fn most_a_unit(&self) -> Option<u32> {
        let (first, second) = (self.first.source.most_a_unit(), self.second.source.most_a_unit());
        match self.kind {
            Kind::Inner | Kind::Outer => first?.checked_mul(second?),
            // Either all match, or none.
            Kind::Full => Some(first?.checked_mul(second?)?.max(first?.checked_add(second?)?)),
            Kind::Semi | Kind::Anti => first,
        }
    }

    fn encoder(&self) -> Result<Option<RowConverter>, RunError> {
        let kinds = self.first.kinds().map_err(|e| RunError::Engine(e.to_string()))?;
        let fields: Vec<SortField> = kinds[kinds.len() - self.keys..].iter().cloned().map(SortField::new).collect();
        if fields.is_empty() { Ok(None) } else { Ok(Some(RowConverter::new(fields)?)) }
    }
}

fn schema_of(first: &Input, second: &Input, keys: usize) -> Result<Arc<DFSchema>, Refusal> {
    let mut fields = Vec::new();
    for input in [first, second] {
        let named = input.select.names.iter().zip(input.kinds()?);
        let columns = input.select.names.len() - keys;
        fields.extend(named.take(columns).map(|(name, kind)| Field::new(name, kind, true)));
    }
    fields.extend(THERE.map(|name| Field::new(name, DataType::Boolean, true)));
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?))
}
