//! Admission of queries: DataFusion plans the text over an empty table, and the plan is then taken apart node by node.
//!
//! `outer nodes → aggregate → rows`: the aggregate's calls become the gate's measures ([`super::measures`]); nodes below are
//! folded into row expressions ([`super::rows`]); nodes above are computed from released numbers ([`super::view`]).

use datafusion::{
    arrow::datatypes::{DataType, SchemaRef},
    logical_expr::{Expr, ExprSchemable as _, LogicalPlan, try_cast},
};
use tidegate_gate::{Keys, Plan, Shape, margins_fit};
use tidegate_protocol::{
    Refusal,
    job::{Key, Split},
    limits,
    policy::Policy,
};

use super::{
    Tables,
    above::{Cut, cut, is_released},
    cost::{Counted, of_program, of_query},
    declare::{declare, types},
    expr::{Bounded, total},
    fold::Fold,
    input::{Input, Source},
    measures, mismatch, place,
    planner::{self, Planned, subqueries_joined},
    refuse,
    rows::{PartOf, Rows, unsupported},
    select::Select,
    sets::{self, GROUPING, Set},
    titles::{distinct, readable},
    view::{View, named},
    wrap::bare,
};
use crate::{deep::deep, units};

/// A query as received.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// SQL text.
    pub text: &'a str,
    /// Declared keys.
    pub keys: Option<&'a [Vec<Key>]>,
    /// Public tables for joins.
    pub tables: &'a Tables,
}

impl<'a> Asked<'a> {
    /// Creates a query without keys or tables.
    pub fn new(text: &'a str) -> Self {
        static NONE: std::sync::LazyLock<Tables> = std::sync::LazyLock::new(Tables::default);
        Self { text, keys: None, tables: &NONE }
    }
}

/// An admitted aggregate query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Rows to be counted: filter, then key expressions, then aggregate arguments.
    pub(super) input: Input,
    /// Number of key expressions.
    pub keys: usize,
    /// Sets of keys to group by: all of them, or each grouping set.
    pub(super) sets: Vec<Set>,
    /// Shape of the release.
    pub shape: Shape,
    /// Declared keys, in the column's own types.
    pub declared: Option<Vec<Vec<Key>>>,
    /// Output names of released columns shown unchanged by the query, with their columns in the shape.
    pub(crate) aliases: Vec<(String, usize)>,
    /// Whether the result leaves exactly; the data for its rules are then kept.
    pub reviewed: bool,
    /// Computation from released numbers, if more than naming them.
    pub view: Option<View>,
}

impl Query {
    /// Returns the selects over the dataset's rows.
    pub(crate) fn selects(&self) -> Vec<&Select> {
        self.input.leaves()
    }

    /// Prepares the query for an exact result: all rows and groups of a unit count, and each group's kinds of units are kept.
    ///
    /// Such a query has one grouping, and each row counts in one group: numbers of which one is the sum of others, or equal to
    /// another but for a few people, give away what a rule keeps back.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for grouping sets, for UNION ALL, and for groups by several keys that are undeclared or too many.
    pub(crate) fn review(&mut self) -> Result<(), Refusal> {
        if self.shape.key_names.len() != self.keys {
            return Err(refuse("an exact result has one grouping: subtotals disclose the suppressed groups")
                .fix("Query the finest groups, with declared keys, and add up the released groups"));
        }
        if self.input.repeats() {
            return Err(refuse("an exact result counts each row once, and UNION ALL makes several of one")
                .fix("Ask for columns with FILTER instead"));
        }
        let keys = |message: &str| refuse(message).at("program.keys");
        match &self.declared {
            None if self.keys > 1 => {
                return Err(keys("an exact result by several keys needs declared groups, whose margins are checked first")
                    .fix("List the groups under `keys` in the job, or group by one key"));
            }
            Some(declared) if !margins_fit(declared) => {
                return Err(keys("so many groups by so many keys have more margins than can be checked")
                    .fix("Declare fewer groups, or group by fewer keys"));
            }
            _ => {}
        }
        if self.input.source.most_a_unit() != Some(1) {
            (self.shape.max_rows, self.shape.max_groups) = (u32::MAX, u32::MAX);
            self.sets.iter_mut().for_each(|set| set.kappa = u32::MAX);
        }
        // The owner has read the query.
        self.input.look_at(&self.input.leaves()[0].reach.clone().whole());
        self.reviewed = true;
        Ok(())
    }
}

/// Returns an expression's name in the result: for a column its own name, without the table's.
fn title(expr: &Expr, planned: &Planned) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        // COUNT(*) is planned as COUNT(1).
        other => planned.bare(&other.schema_name().to_string()).replace("count(Int64(1))", "count(*)"),
    }
}

/// Admits `SELECT expressions FROM dataset [WHERE …]`, with row-wise subqueries; a program gets the rows by `split`.
///
/// # Errors
/// Returns a [`Refusal`] that names the construct.
pub fn admit_select(sql: &str, split: Split, schema: &SchemaRef, policy: &Policy) -> Result<Select, Refusal> {
    deep(|| select(sql, split, schema, policy)).map_err(|refusal| place::found(refusal, sql))
}

fn select(sql: &str, split: Split, schema: &SchemaRef, policy: &Policy) -> Result<Select, Refusal> {
    let planned = planner::plan(sql, &Tables::default(), schema, policy)?;
    let plan = subqueries_joined(planned.plan.clone());
    let names = match &plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(|e| title(e, &planned)).collect(),
        LogicalPlan::Union(union) => union.schema.fields().iter().map(|f| f.name().clone()).collect(),
        other => return Err(unsupported(other)),
    };
    let rows = Rows::fold(&plan, &planned, policy)?;
    if !matches!(rows.source, Source::Rows) {
        return Err(refuse("a program sees the tables' own rows")
            .fix("Select row expressions, of several tables by UNION ALL; the program itself can aggregate and join them"));
    }
    let unit = &policy.unit.column;
    let columns = rows.parts().map(|part| part.columns().iter().map(|e| total(e.clone(), unit)).collect());
    let columns = columns.collect::<Result<Vec<Vec<_>>, Refusal>>()?;
    let mut select = Select::new(names, rows.filters().zip(columns).collect(), planned.schema, unit)?;
    units::prove(&select)?;
    select.reach = of_program(&select, split, policy)?;
    Ok(select)
}

/// Returns the policy with bounds 0 and 1 for boolean columns without bounds.
fn truths(schema: &SchemaRef, policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    for (name, rule) in &mut policy.columns {
        let is_truth = schema.column_with_name(name).is_some_and(|(_, field)| *field.data_type() == DataType::Boolean);
        if is_truth && rule.bounds().is_none() {
            (rule.lo, rule.hi) = (Some(0.0), Some(1.0));
        }
    }
    policy
}

/// Returns the column of each SELECT item if the only node above the aggregate names its columns.
fn plain(above: &LogicalPlan) -> Option<Vec<usize>> {
    let LogicalPlan::Projection(projection) = above else { return None };
    if !is_released(&projection.input) {
        return None;
    }
    let place = |item| {
        let Expr::Column(column) = bare(item, projection.input.schema()) else { return None };
        projection.input.schema().index_of_column(column).ok()
    };
    let places = projection.expr.iter().map(place).collect::<Option<Vec<_>>>()?;
    // A column with two names is released once and named twice afterwards.
    let distinct: std::collections::BTreeSet<_> = places.iter().collect();
    (distinct.len() == places.len()).then_some(places)
}

/// Refuses plans that, by public numbers, would not fit in memory: a percentile takes hundreds of numbers in each group.
fn check_memory(shape: &Shape, plan: &Plan) -> Result<(), Refusal> {
    let (groups, most) = match shape.keys {
        Keys::None => (1, limits::GROUPS_BYTES),
        Keys::Declared(n) => (n as usize, limits::GROUPS_BYTES),
        Keys::Undeclared { .. } => (1, limits::GROUP_BYTES),
    };
    if Fold::group_bytes(plan).saturating_mul(groups) <= most {
        return Ok(());
    }
    Err(refuse("so many percentiles of so many groups do not fit in memory")
        .fix("Ask for fewer percentiles, or declare fewer keys"))
}

/// Admits an aggregate query.
///
/// # Errors
/// Returns a [`Refusal`] that names the construct.
pub fn admit_query(asked: &Asked<'_>, schema: &SchemaRef, policy: &Policy) -> Result<Query, Refusal> {
    deep(|| query(asked, schema, policy)).map_err(|refusal| place::found(refusal, asked.text))
}

fn query(asked: &Asked<'_>, schema: &SchemaRef, policy: &Policy) -> Result<Query, Refusal> {
    let Asked { text, keys, tables } = *asked;
    let policy = &truths(schema, policy);
    let planned = planner::plan(text, tables, schema, policy)?;
    let Cut { above, aggregate } = cut(&planned, policy)?;
    let items = plain(&above);
    let rows = Rows::fold(&aggregate.input, &planned, policy)?;
    let (key_exprs, sets) = sets::of(&aggregate)?;
    let unit = &policy.unit.column;
    let (bounds, source) = (rows.source.bounds(policy), rows.source.schema(&planned));
    // In the order of the aggregate's schema: keys, then the column that tells grouping sets apart, then the calls.
    let named_by = |expr: &Expr| readable(&title(expr, &planned));
    let grouping = sets.iter().map(|_| GROUPING.to_owned());
    let mut titles: Vec<String> =
        key_exprs.iter().map(named_by).chain(grouping).chain(aggregate.aggr_expr.iter().map(named_by)).collect();
    let named = named(&above);
    // Each column gets its first name that no other column has.
    for (name, place) in &named {
        let name = readable(&planned.bare(name));
        if titles.contains(&name) || named.iter().any(|(first, of)| of == place && titles[*of] == *first) {
            continue;
        }
        titles[*place] = name;
    }
    let calls = titles.len() - aggregate.aggr_expr.len();
    distinct(&mut titles, 0);
    let keys_len = key_exprs.len();
    if keys_len > limits::KEYS {
        return Err(refuse(format!("more than {} keys", limits::KEYS)));
    }
    let (key_names, titles) = titles.split_at(calls);
    let key = |expr: &Expr, part: PartOf<'_>| {
        let key = part.resolve(expr)?;
        mismatch::no_quotient(&key, &source)?;
        let key = total(key, unit)?;
        // A dictionary is only a storage format: group by its values.
        Ok(match key.get_type(&*source) {
            Ok(DataType::Dictionary(_, value)) => try_cast(key, *value),
            _ => key,
        })
    };
    let keys_of = |part: PartOf<'_>| key_exprs.iter().map(|e| key(e, part)).collect::<Result<Vec<_>, Refusal>>();
    let mut columns = rows.parts().map(keys_of).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<String> = key_names[..keys_len].to_vec();
    let key_select = Select::new(names.clone(), columns.iter().map(|c| (None, c.clone())).collect(), source.clone(), unit)?;
    let types = types(&names, &key_select)?;
    // A key that SELECT has several times stands where it is first.
    let mut selected: Vec<usize> = Vec::new();
    for (_, place) in &named {
        if *place < keys_len && !selected.contains(place) {
            selected.push(*place);
        }
    }
    if keys.is_some() && !selected.is_sorted() {
        let listed = |places: &[usize]| places.iter().map(|place| names[*place].as_str()).collect::<Vec<_>>().join(", ");
        let grouped = listed(&(0..keys_len).collect::<Vec<_>>());
        return Err(refuse(format!(
            "SELECT has the keys in the order {}, and GROUP BY, as `keys` has them, {grouped}",
            listed(&selected)
        ))
        .at("program.keys")
        .fix("Write them in one order in SELECT, GROUP BY and `keys`"));
    }
    let declared = keys.map(|keys| declare(keys, &names, &types)).transpose()?;
    // A unit is in no more groups of each set than it has rows.
    let most = rows.source.most_a_unit().unwrap_or(u32::MAX);
    let (kappa, max_rows) = (policy.unit.max_groups.min(most), policy.unit.max_rows.min(most));
    // Groups left out by several sets cannot be combined into one row.
    let remainder = policy.remainder && sets.is_none();
    let sets = Set::all(keys_len, sets, declared.as_deref(), kappa);
    if declared.is_some() && keys_len == 0 {
        return Err(refuse("keys are declared but there is no GROUP BY").at("program.keys"));
    }
    // Undeclared keys appear if their groups are large; the only group of a set without keys is always the same.
    let known = declared.is_some() || sets.iter().all(|set| set.keys.is_empty());
    let declared = known.then(|| sets.iter().flat_map(Set::declared_keys).collect::<Vec<_>>());
    let (mode, most, declared) = match declared {
        None => (Keys::Undeclared { min_units: policy.min_units, remainder }, None, None),
        Some(_) if key_names.is_empty() => (Keys::None, Some(1), None),
        Some(keys) => (Keys::Declared(keys.len() as u32), Some(keys.len()), Some(keys)),
    };
    let max_groups = if let Keys::None = mode { kappa } else { sets.iter().map(|s| s.kappa).sum() };
    let found = measures::collect(&aggregate, &rows, &Bounded { unit, columns: bounds }, titles, most)?;
    names.extend((0..found.arguments.first().map_or(0, Vec::len)).map(|i| format!("argument {i}")));
    columns.iter_mut().zip(found.arguments).for_each(|(all, arguments)| all.extend(arguments));
    let shape = Shape { key_names: key_names.to_vec(), keys: mode, columns: found.columns, max_groups, max_rows, blocks: None };
    let plan = Plan::new(shape.clone()).map_err(refuse)?;
    check_memory(&shape, &plan)?;
    let alias = |(name, place): (String, usize)| {
        Some((readable(&planned.bare(&name)), *found.of_calls.get(place.checked_sub(key_names.len())?)?))
    };
    let aliases = named.into_iter().filter_map(alias).collect();
    // A different order, or additional columns, need a view.
    let as_released = items.is_some_and(|items| items.windows(2).all(|two| two[0] < two[1]));
    let view = (!as_released).then(|| View::new(above, aggregate.schema.clone(), found.places, types));
    let select = Select::new(names, rows.filters().zip(columns).collect(), source, unit)?;
    let mut input = Input::new(select, rows.source)?;
    let counted = Counted {
        keys: keys_len,
        sets: sets.len(),
        groups: shape.max_groups,
        // Other groups exist before any row.
        group_bytes: if matches!(shape.keys, Keys::Undeclared { .. }) { Fold::group_bytes(&plan) } else { 0 },
        fields: plan.fields().len(),
        release: plan.release_work(policy),
    };
    input.look_at(&of_query(&input, counted, policy)?);
    Ok(Query { input, keys: keys_len, sets, shape, declared, aliases, reviewed: false, view })
}
