//! Operations between the files and the groups: reading, selecting, aggregation by unit, joins, counting.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::{DataType, Field},
    logical_expr::Expr,
};
use tidegate_protocol::{Refusal, job::Split, limits, policy::Policy};

use super::{
    reach::{Reach, Texts},
    term::{Heavy, Over, heavier},
    weights::{self, COLUMN, DISTINCT, HELD, PERCENTILE, ROW},
};
use crate::{
    sql::{
        input::{Input, Source},
        refuse,
        select::Select,
    },
    units::{PLAIN_TEXT, plain_width, reads, width},
};

/// Maximum number of patterns in a query: each has automata in a worker's memory, on every thread.
const PATTERNS: usize = 32;

/// Maximum characters of a text that costs little.
const SHORT: usize = 32;

/// Use of a query's selected rows.
#[derive(Debug, Clone, Copy)]
pub(in crate::sql) struct Counted {
    /// Number of key columns.
    pub(in crate::sql) keys: usize,
    /// Number of grouping sets.
    pub(in crate::sql) sets: usize,
    /// Maximum number of groups of a unit, over all sets.
    pub(in crate::sql) groups: u32,
    /// Bytes of a group's numbers.
    pub(in crate::sql) group_bytes: usize,
    /// Number of values added by a row to a group.
    pub(in crate::sql) fields: usize,
    /// Operations of the gate for adding noise to the groups.
    pub(in crate::sql) release: u64,
}

/// State of weighing all expressions of a query.
pub(super) struct Weighing<'a> {
    policy: &'a Policy,
    once: Cell<u64>,
    patterns: Cell<usize>,
    heavy: RefCell<Option<Heavy>>,
    /// Columns of long texts that are read, with their maximum characters.
    long: RefCell<Vec<(String, usize)>>,
}

/// Stage at which rows are made, with the operations for a unit's rows.
#[derive(Debug)]
pub(super) enum Node {
    /// For each row of the dataset, so many rows, for so many operations.
    Leaf { row: u64, makes: u64 },
    /// For all rows of a unit, so many rows.
    PerUnit { rows: Box<Node>, each: u64, select: u64, makes: u64 },
    /// For each pair of a unit's rows, so many rows.
    Join { of: Box<[Node; 2]>, held: [u64; 2], pair: u64, most: u64, select: u64, makes: u64 },
    /// For the selected rows, groups.
    Groups { of: Box<Node>, row: u64, group: u64, most: u64 },
}

impl Node {
    /// Returns the maximum operations for a unit with so many rows: never fewer for more rows.
    pub(super) fn unit(&self, rows: u64) -> u128 {
        self.made(rows).0
    }

    /// Returns the operations for a unit's rows, and the number of rows made from these.
    fn made(&self, rows: u64) -> (u128, u64) {
        let times = |a: u64, b: u64| u128::from(a).saturating_mul(u128::from(b));
        match self {
            Self::Leaf { row, makes } => (times(rows, *row), rows.saturating_mul(*makes)),
            Self::PerUnit { rows: inner, each, select, makes } => {
                let (work, rows) = inner.made(rows);
                (work.saturating_add(times(rows, *each)).saturating_add(u128::from(*select)), *makes)
            }
            Self::Join { of, held, pair, most, select, makes } => {
                let [(first, a), (second, b)] = [of[0].made(rows), of[1].made(rows)];
                let pairs = a.saturating_mul(b).min(*most);
                // Rows of an outer join without a pair are rows too.
                let joined = pairs.saturating_add(a).saturating_add(b);
                let work = [first, second, times(a, held[0]), times(b, held[1]), times(pairs, *pair), times(joined, *select)];
                (work.into_iter().fold(0, u128::saturating_add), joined.saturating_mul(*makes))
            }
            Self::Groups { of, row, group, most } => {
                let (work, rows) = of.made(rows);
                (work.saturating_add(times(rows, *row)).saturating_add(times(rows.min(*most), *group)), rows)
            }
        }
    }
}

impl<'a> Weighing<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, once: Cell::default(), patterns: Cell::default(), heavy: RefCell::default(), long: RefCell::default() }
    }

    /// Returns a query's operations done once, whatever the rows.
    pub(super) fn once(&self) -> u64 {
        self.once.get()
    }

    /// Adds operations done once.
    pub(super) fn add_once(&self, work: u64) {
        self.once.set(self.once.get().saturating_add(work));
    }

    /// Returns the costliest part of all expressions.
    pub(super) fn heavy(&self) -> Option<Heavy> {
        self.heavy.borrow().clone()
    }

    /// Returns the columns of long texts that are read, with their maximum characters.
    pub(super) fn long(&self) -> Vec<(String, usize)> {
        self.long.borrow().clone()
    }

    /// Weighs a query's rows, and the groups made from them.
    pub(super) fn query(&self, input: &Input, counted: Counted) -> Result<Node, Refusal> {
        let leaves = input.leaves();
        let (node, texts) = self.input(input)?;
        let keys = &input.select.names[..counted.keys];
        let key = |name: &String| 60 + texts.get(name).map_or(0, |bytes| (*bytes).min(4 * limits::KEY_CHARS as u64) / 2);
        let row = 80 + counted.sets as u64 * (60 + keys.iter().map(key).sum::<u64>() + 4 * counted.fields as u64);
        let row = row + 20 * counted.fields as u64;
        let group = 400 + counted.group_bytes as u64 / 2;
        let node = Node::Groups { of: Box::new(node), row, group, most: counted.groups.into() };
        self.read(node, &leaves)
    }

    /// Weighs a program's rows, and returns the maximum bytes given to the program for a row of the dataset.
    pub(super) fn program(&self, select: &Select, split: Split) -> Result<(Node, u64), Refusal> {
        let (row, texts) = self.select(select, &self.columns())?;
        let makes = select.branches.len() as u64;
        let mut bytes = 0;
        for (name, expr) in select.names.iter().zip(&select.branches[0].columns) {
            let kind = weights::kind(expr, &select.schema)?;
            let text = texts.get(name).copied().unwrap_or_default();
            bytes += plain_width(&kind).unwrap_or(PLAIN_TEXT + text);
        }
        let bytes = makes.saturating_mul(bytes);
        // Rows are made plain and handed on; with blocks they are also kept, once in each block of the unit.
        let copies = 2 + split.blocks().map_or(0, |blocks| u64::from(blocks.resample));
        let copied = makes.saturating_mul(select.names.len() as u64 * COLUMN).saturating_add(bytes / 4);
        let row = row.saturating_add(copies.saturating_mul(copied));
        Ok((self.read(Node::Leaf { row, makes }, &[select])?, bytes))
    }

    /// Returns the longest texts of the dataset's columns.
    fn columns(&self) -> Texts {
        Reach::all(self.policy).texts(self.policy)
    }

    /// Adds the reading of the columns of `selects`.
    fn read(&self, node: Node, selects: &[&Select]) -> Result<Node, Refusal> {
        let (texts, read) = (self.columns(), reads(selects));
        let Some(first) = selects.first() else { return Ok(node) };
        let fields = first.schema.fields().iter().filter(|field| read.contains(field.name()));
        // The unit's name is read as is, encoded and compared.
        let bytes = |name: &str| {
            if name == first.unit { Some(2 * limits::UNIT_NAME_BYTES as u64) } else { texts.get(name).copied() }
        };
        let reach = Reach::all(self.policy);
        let weighed = |field: &Arc<Field>| {
            let chars = reach.chars(field.name());
            if weights::is_text(field.data_type()) && *field.name() != first.unit && chars > SHORT {
                self.long.borrow_mut().push((field.name().clone(), chars));
            }
            weights::read(field.data_type(), bytes(field.name()))
        };
        let row = fields.map(weighed).sum::<u64>();
        Ok(with_reading(node, row + ROW))
    }

    /// Weighs an input's rows, and returns the longest texts of its columns.
    fn input(&self, input: &Input) -> Result<(Node, Texts), Refusal> {
        let select = &input.select;
        let makes = select.branches.len() as u64;
        Ok(match &input.source {
            Source::Rows => {
                let (row, texts) = self.select(select, &self.columns())?;
                (Node::Leaf { row, makes }, texts)
            }
            Source::PerUnit(stage) => {
                let (rows, texts) = self.input(&stage.input)?;
                // Minimum and maximum of texts are texts; other results have none.
                let each = texts.values().map(|bytes| 40 + bytes).sum::<u64>() + 40 * stage.input.select.names.len() as u64;
                // The sort key of first rows is encoded and compared; each row may be buffered.
                let each = if stage.takes_rows() { 4 * each } else { each };
                let (mut each, mut a_unit) = (each, 500);
                for (name, distinct) in stage.holds() {
                    let text = texts.get(name).copied().unwrap_or_default();
                    each += if distinct { DISTINCT + 2 * text } else { PERCENTILE };
                    a_unit += HELD;
                }
                let (row, made) = self.select(select, &texts)?;
                (Node::PerUnit { rows: Box::new(rows), each, select: row + a_unit, makes }, made)
            }
            Source::First(first) => {
                let (rows, texts) = self.input(&first.input)?;
                // The sort key is encoded and compared once per level of a heap of the taken rows; the row may be buffered.
                let copied = texts.values().sum::<u64>() + COLUMN * first.input.select.names.len() as u64;
                let (last, most) = (first.taken().last, u64::from(first.taken().most()));
                let compared = if last == 1 { 4 } else { 8 + 2 * u64::from(last.ilog2()) };
                if last as usize > (limits::JOIN_BYTES / width(&first.kinds()?)).max(1) {
                    return Err(refuse(format!("the first {last} rows of a unit do not fit in memory"))
                        .fix("Name fewer columns, or take fewer of its rows"));
                }
                let (row, made) = self.select(select, &texts)?;
                let select = 500u64.saturating_add(most.saturating_mul(row.saturating_add(copied)));
                let (each, makes) = (80 + compared * copied, makes.saturating_mul(most));
                (Node::PerUnit { rows: Box::new(rows), each, select, makes }, made)
            }
            Source::Join(join) => {
                let ((first, a), (second, b)) = (self.input(&join.first)?, self.input(&join.second)?);
                // A row is copied when buffered, and for each of its pairs; its keys are encoded.
                let copied =
                    |texts: &Texts, input: &Input| texts.values().sum::<u64>() / 4 + (COLUMN * input.select.names.len() as u64);
                let held = [60 + 4 * copied(&a, &join.first), 60 + 4 * copied(&b, &join.second)];
                let taken = 60 + 2 * (copied(&a, &join.first) + copied(&b, &join.second));
                let both: Texts = a.into_iter().chain(b).collect();
                let condition = join.condition().map(|condition| self.select(condition, &both)).transpose()?;
                let (row, made) = self.select(select, &both)?;
                let pair = taken + condition.map_or(0, |(row, _)| row);
                let kinds = |input: &Input| {
                    let kind = |e: &Expr| weights::kind(e, &input.select.schema);
                    input.select.branches[0].columns.iter().map(kind).collect::<Result<Vec<DataType>, _>>()
                };
                let room = limits::JOIN_BYTES / (width(&kinds(&join.first)?) + width(&kinds(&join.second)?));
                let most = room.clamp(1, limits::JOIN_PAIRS) as u64;
                let of = Box::new([first, second]);
                (Node::Join { of, held, pair, most, select: row + taken, makes }, made)
            }
        })
    }

    /// Returns the operations for a row of a select's source, and the longest texts of its output.
    fn select(&self, select: &Select, texts: &Texts) -> Result<(u64, Texts), Refusal> {
        let (mut row, mut made) = (0u64, Texts::new());
        for branch in &select.branches {
            let filter = Over::new(&select.schema, texts, branch.filter.iter());
            let columns = Over::new(&select.schema, texts, branch.columns.iter());
            if let Some(expr) = &branch.filter {
                row = row.saturating_add(self.weigh(&filter, expr)?.0);
                // Rows that pass are copied.
                row = row.saturating_add(columns.copied());
            }
            for (name, expr) in select.names.iter().zip(&branch.columns) {
                let (work, bytes) = self.weigh(&columns, expr)?;
                // Rows of several branches are combined.
                row = row.saturating_add(work).saturating_add(if select.branches.len() > 1 { COLUMN + bytes / 2 } else { 0 });
                let longest = made.entry(name.clone()).or_default();
                *longest = bytes.max(*longest);
            }
            row = row.saturating_add(10);
        }
        if self.patterns.get() > PATTERNS {
            return Err(refuse(format!("searches for more than {PATTERNS} patterns")).fix("Put them together: 'a|b' is one"));
        }
        Ok((row, made))
    }

    fn weigh(&self, over: &Over<'_>, expr: &Expr) -> Result<(u64, u64), Refusal> {
        let term = over.term(expr)?;
        self.add_once(term.once);
        self.patterns.set(self.patterns.get() + term.patterns);
        let mut heavy = self.heavy.borrow_mut();
        *heavy = heavier(heavy.take(), term.heavy.map(|(work, expr)| Heavy::new(work, expr)));
        Ok((term.work, term.bytes))
    }
}

/// Adds reading, which is done once for all leaves, to the first leaf.
fn with_reading(node: Node, read: u64) -> Node {
    match node {
        Node::Leaf { row, makes } => Node::Leaf { row: row.saturating_add(read), makes },
        Node::PerUnit { rows, each, select, makes } => {
            Node::PerUnit { rows: Box::new(with_reading(*rows, read)), each, select, makes }
        }
        Node::Join { of, held, pair, most, select, makes } => {
            let [first, second] = *of;
            Node::Join { of: Box::new([with_reading(first, read), second]), held, pair, most, select, makes }
        }
        Node::Groups { of, row, group, most } => Node::Groups { of: Box::new(with_reading(*of, read)), row, group, most },
    }
}
