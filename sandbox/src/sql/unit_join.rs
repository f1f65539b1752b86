//! Each unit's rows of two inputs, joined: pairs of one unit's rows never hold another's, so whatever a row of one person changes is that person's still.
//!
//! A unit makes at most [`limits::JOIN_PAIRS`] pairs, in the order of the first input's rows and then of the second's: how much one unit can weigh on time and
//! memory is public.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
    buffer::NullBuffer,
    compute::take,
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable as _},
};
use tidegate_protocol::{Refusal, limits, policy::ColumnRule};

use self::held::{Held, Side};
use super::{
    input::Input,
    refuse,
    select::{Branch, Select},
};
use crate::{
    RunError,
    units::{Chunk, Physical, Runs, Selected, Unit, UnitRef, width},
};

mod held;

/// Which rows a join has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pairs.
    Inner,
    /// Pairs, and the first input's rows that are in none.
    Outer,
    /// Pairs, and both inputs' rows that are in none.
    Full,
    /// The first input's rows that are in a pair.
    Semi,
    /// The first input's rows that are in none.
    Anti,
}

/// An admitted join on the unit.
#[derive(Debug, Clone)]
pub(super) struct UnitJoin {
    pub(super) kind: Kind,
    /// Columns, and then keys.
    pub(super) first: Input,
    pub(super) second: Input,
    /// How many of each input's columns, at the end, must be equal.
    keys: usize,
    /// What else must hold of a pair, over [`UnitJoin::schema`].
    condition: Option<Select>,
    /// The first's columns, the second's, and whether there is a row of each.
    pub(super) schema: Arc<DFSchema>,
    pub(super) bounds: BTreeMap<String, ColumnRule>,
}

/// Of a row of the join, whether it has a row of an input: a column's name.
pub(super) const THERE: [&str; 2] = ["first there", "second there"];

impl UnitJoin {
    /// Of inputs whose last `keys` columns must be equal.
    pub(super) fn new(kind: Kind, [first, second]: [Input; 2], keys: usize) -> Result<Self, Refusal> {
        let schema = schema_of(&first, &second, keys)?;
        let join = Self { kind, first, second, keys, condition: None, schema, bounds: BTreeMap::new() };
        join.encoder().map_err(|e| refuse(e).fix("Join by numbers, texts or dates"))?;
        Ok(join)
    }

    /// Only pairs of which `condition` holds.
    pub(super) fn only(&mut self, condition: Expr) -> Result<(), Refusal> {
        let select = Select::new(vec![], vec![(Some(condition), vec![])], self.schema.clone(), "")?;
        crate::units::prove(&select)?;
        self.condition = Some(select);
        Ok(())
    }

    /// Leaves out all columns but these and what the join itself reads.
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

    /// Whether a unit has one row at most.
    pub(super) fn one_a_unit(&self) -> bool {
        let (first, second) = (self.first.source.one_a_unit(), self.second.source.one_a_unit());
        match self.kind {
            Kind::Inner | Kind::Outer => first && second,
            // Two where the units' rows do not match.
            Kind::Full => false,
            Kind::Semi | Kind::Anti => first,
        }
    }

    fn encoder(&self) -> Result<Option<RowConverter>, RunError> {
        let kinds = kinds(&self.first).map_err(|e| RunError::Engine(e.to_string()))?;
        let fields: Vec<SortField> = kinds[kinds.len() - self.keys..].iter().cloned().map(SortField::new).collect();
        if fields.is_empty() { Ok(None) } else { Ok(Some(RowConverter::new(fields)?)) }
    }
}

/// Types of an input's columns.
fn kinds(input: &Input) -> Result<Vec<DataType>, Refusal> {
    let schema = &input.select.schema;
    input.select.branches[0].columns.iter().map(|e| e.get_type(&**schema).map_err(|e| refuse(e.strip_backtrace()))).collect()
}

fn schema_of(first: &Input, second: &Input, keys: usize) -> Result<Arc<DFSchema>, Refusal> {
    let mut fields = Vec::new();
    for input in [first, second] {
        let named = input.select.names.iter().zip(kinds(input)?);
        let columns = input.select.names.len() - keys;
        fields.extend(named.take(columns).map(|(name, kind)| Field::new(name, kind, true)));
    }
    fields.extend(THERE.map(|name| Field::new(name, DataType::Boolean, true)));
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?))
}

/// One thread's join.
pub(super) struct Joining<'a> {
    join: &'a UnitJoin,
    pub(super) schema: SchemaRef,
    condition: Option<Physical>,
    encode: Option<RowConverter>,
    /// Of the first and of the second input.
    pub(super) held: [Held; 2],
    /// Most pairs of a unit.
    most: usize,
    /// So many pairs are worth looking at together.
    pub(super) many: usize,
}

/// One unit's rows, and its pairs among those that are looked at.
struct Open {
    unit: Unit,
    first: Range<usize>,
    second: Range<usize>,
    pairs: Range<usize>,
    /// There were more pairs than a unit may make.
    cut: bool,
}

/// Pairs that are looked at together.
#[derive(Default)]
struct Pairs {
    units: Vec<Open>,
    first: Vec<u64>,
    second: Vec<u64>,
}

/// Rows of the join: of which row of each input they are made.
#[derive(Default)]
struct Made {
    units: Vec<Unit>,
    rows: Vec<Range<usize>>,
    first: Vec<Option<u64>>,
    second: Vec<Option<u64>>,
}

impl<'a> Joining<'a> {
    /// Begins.
    pub(super) fn new(join: &'a UnitJoin) -> Result<Self, RunError> {
        let engine = |e: Refusal| RunError::Engine(e.to_string());
        let kinds = [kinds(&join.first).map_err(engine)?, kinds(&join.second).map_err(engine)?];
        let room = limits::JOIN_BYTES / (width(&kinds[0]) + width(&kinds[1]));
        Ok(Self {
            join,
            schema: join.schema.inner().clone(),
            condition: join.condition.as_ref().map(Physical::new).transpose()?,
            encode: join.encoder()?,
            held: kinds.map(Held::new),
            most: room.clamp(1, limits::JOIN_PAIRS),
            many: room.clamp(1, 8192),
        })
    }

    /// Joins the rows of units below `below` of which all rows are here; of all, where it is `None`.
    pub(super) fn join(
        &mut self,
        below: Option<UnitRef<'_>>,
        sink: &mut dyn FnMut(Chunk) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let (first, second) = (self.held[0].take(below)?, self.held[1].take(below)?);
        let keys = match &self.encode {
            Some(encode) => Some((Keys::new(encode, &first, self.join.keys)?, Keys::new(encode, &second, self.join.keys)?)),
            None => None,
        };
        let (mut a, mut b, mut pairs) = (0, 0, Pairs::default());
        while a < first.units.len() || b < second.units.len() {
            let order = match (first.units.get(a), second.units.get(b)) {
                (Some(x), Some(y)) => x.cmp(y),
                (Some(_), None) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let unit = if order.is_le() { &first.units[a] } else { &second.units[b] };
            let none = 0..0;
            let mine = if order.is_le() { first.rows[a].clone() } else { none.clone() };
            let theirs = if order.is_ge() { second.rows[b].clone() } else { none };
            pairs.add(unit, mine, theirs, keys.as_ref(), self.most);
            (a, b) = (a + usize::from(order.is_le()), b + usize::from(order.is_ge()));
            if pairs.first.len() >= self.many || pairs.units.len() >= self.many {
                self.make(&first, &second, std::mem::take(&mut pairs), sink)?;
            }
        }
        self.make(&first, &second, pairs, sink)
    }

    /// Hands on the rows that these pairs make.
    fn make(
        &self,
        first: &Side,
        second: &Side,
        pairs: Pairs,
        sink: &mut dyn FnMut(Chunk) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let holds = self.condition.as_ref().filter(|_| !pairs.first.is_empty()).map(|condition| {
            let all = |rows: &[u64]| rows.iter().copied().map(Some).collect::<Vec<_>>();
            let batch = self.batch(first, second, &all(&pairs.first), &all(&pairs.second))?;
            let Selected { of, .. } = condition.select(&batch)?;
            Ok::<_, RunError>(of.map(|of| {
                let mut holds = vec![false; pairs.first.len()];
                of.values().iter().for_each(|i| holds[*i as usize] = true);
                holds
            }))
        });
        let holds = holds.transpose()?.flatten();
        let made = pairs.made(self.join.kind, holds.as_deref());
        if made.units.is_empty() {
            return Ok(());
        }
        let batch = self.batch(first, second, &made.first, &made.second)?;
        sink(Chunk { runs: Runs::of(made.units, made.rows), columns: batch.columns().to_vec() })
    }

    fn batch(
        &self,
        first: &Side,
        second: &Side,
        of_first: &[Option<u64>],
        of_second: &[Option<u64>],
    ) -> Result<RecordBatch, RunError> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (side, of) in [(first, of_first), (second, of_second)] {
            let of: UInt64Array = of.iter().copied().collect();
            let mine = &side.columns[..side.columns.len() - self.join.keys];
            let none = of.null_count() == of.len();
            let column = |c: &ArrayRef| {
                if none { Ok(new_null_array(c.data_type(), of.len())) } else { Ok(take(c, &of, None)?) }
            };
            columns.extend(mine.iter().map(column).collect::<Result<Vec<_>, RunError>>()?);
        }
        let there = |of: &[Option<u64>]| Arc::new(of.iter().map(|row| Some(row.is_some())).collect::<BooleanArray>());
        columns.extend([there(of_first) as ArrayRef, there(of_second)]);
        let options = RecordBatchOptions::new().with_row_count(Some(of_first.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// The keys of an input's rows.
struct Keys {
    encoded: arrow::row::Rows,
    /// Which rows have them all.
    valid: Option<NullBuffer>,
}

impl Keys {
    fn new(encode: &RowConverter, side: &Side, keys: usize) -> Result<Self, RunError> {
        let columns = &side.columns[side.columns.len() - keys..];
        let valid = columns.iter().fold(None, |all, c| NullBuffer::union(all.as_ref(), c.logical_nulls().as_ref()));
        Ok(Self { encoded: encode.convert_columns(columns)?, valid })
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        let valid = self.valid.as_ref().is_none_or(|valid| valid.is_valid(row));
        valid.then(|| self.encoded.row(row).data())
    }
}

impl Pairs {
    /// A unit's pairs: of rows with equal keys, or all; at most `most`.
    fn add(&mut self, unit: &Unit, first: Range<usize>, second: Range<usize>, keys: Option<&(Keys, Keys)>, most: usize) {
        let start = self.first.len();
        let mut open = Open { unit: unit.clone(), first, second, pairs: start..start, cut: false };
        let mut by_key: HashMap<&[u8], Vec<u64>> = HashMap::new();
        if let Some((_, theirs)) = keys
            && !open.first.is_empty()
        {
            for row in open.second.clone() {
                if let Some(key) = theirs.get(row) {
                    by_key.entry(key).or_default().push(row as u64);
                }
            }
        }
        let all: Vec<u64> = if keys.is_none() { open.second.clone().map(|row| row as u64).collect() } else { vec![] };
        for row in open.first.clone() {
            let matches = match keys {
                None => &all,
                Some((mine, _)) => mine.get(row).and_then(|key| by_key.get(key)).map_or(&[][..], Vec::as_slice),
            };
            let room = most - (self.first.len() - start);
            let taken = matches.len().min(room);
            self.first.extend(std::iter::repeat_n(row as u64, taken));
            self.second.extend(&matches[..taken]);
            if taken < matches.len() {
                // The rest of its rows are as if they were not there.
                (open.first.end, open.cut) = (row + usize::from(taken > 0), true);
                break;
            }
        }
        open.pairs.end = self.first.len();
        self.units.push(open);
    }

    /// The join's rows; `holds` says of which pairs the condition does.
    fn made(self, kind: Kind, holds: Option<&[bool]>) -> Made {
        let mut made = Made::default();
        let holds = |pair: usize| holds.is_none_or(|holds| holds[pair]);
        for open in self.units {
            let start = made.first.len();
            let mut pair = open.pairs.start;
            let mut matched = vec![false; if kind == Kind::Full { open.second.len() } else { 0 }];
            for row in open.first.clone().map(|row| row as u64) {
                let mut alone = true;
                while pair < open.pairs.end && self.first[pair] == row {
                    if holds(pair) {
                        if matches!(kind, Kind::Inner | Kind::Outer | Kind::Full) {
                            made.push(Some(row), Some(self.second[pair]));
                        }
                        if kind == Kind::Full {
                            matched[self.second[pair] as usize - open.second.start] = true;
                        }
                        alone = false;
                    }
                    pair += 1;
                }
                let stays = match kind {
                    Kind::Inner => false,
                    Kind::Outer | Kind::Full | Kind::Anti => alone,
                    Kind::Semi => !alone,
                };
                if stays {
                    made.push(Some(row), None);
                }
            }
            if kind == Kind::Full && !open.cut {
                let alone = matched.iter().enumerate().filter(|(_, matched)| !**matched);
                alone.for_each(|(i, _)| made.push(None, Some((open.second.start + i) as u64)));
            }
            if made.first.len() > start {
                made.units.push(open.unit);
                made.rows.push(start..made.first.len());
            }
        }
        made
    }
}

impl Made {
    fn push(&mut self, first: Option<u64>, second: Option<u64>) {
        self.first.push(first);
        self.second.push(second);
    }
}
