//! DataFusion with only an empty table and a list of functions, and the planning of text there.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    common::{Column, DFSchema, TableReference, tree_node::Transformed},
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SessionState, SessionStateBuilder, context::SessionContext},
    logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, lit},
    optimizer::{
        Analyzer, Optimizer, OptimizerContext, analyzer::resolve_grouping_function::ResolveGroupingFunction,
        decorrelate_predicate_subquery::DecorrelatePredicateSubquery,
    },
    prelude::SessionConfig,
};
use tidegate_protocol::{
    Refusal,
    manifest::ROW_TABLE,
    policy::{Access, Policy},
};

use super::{
    Tables, arguments, casts,
    clamp::clamp,
    dataset::{PUBLISHED, TABLE},
    exact::mark,
    flags, mismatch, refuse,
    said::{Shown, engine, planning},
    text::parse,
    times::{self, Arithmetic},
};

/// A planned SELECT.
pub(super) struct Planned {
    /// Plan with coerced types, and subqueries within expressions as written.
    pub(super) plan: LogicalPlan,
    /// Plan as written, except for GROUPING(…), which is no aggregate.
    pub(super) raw: LogicalPlan,
    state: SessionState,
    /// Columns of the dataset visible to a buyer; with several tables, the columns of all of them, and the table of a row.
    pub(super) schema: Arc<DFSchema>,
    owned: Vec<Owned>,
    /// Additional name of the owner's only table.
    published: Option<String>,
    /// Public tables sent with the query.
    pub(super) tables: Tables,
}

/// A table of the owner.
struct Owned {
    name: String,
    /// Schema visible to a buyer.
    schema: SchemaRef,
    /// Positions of the table's columns among the dataset's.
    places: Vec<usize>,
    /// Condition for the table's rows among the dataset's, if there are several tables.
    filter: Option<Expr>,
}

/// Creates a context without table functions, information schema or files.
pub(super) fn context() -> SessionContext {
    let mut config = SessionConfig::new().with_information_schema(false).with_target_partitions(1);
    // Without this setting, a TIMESTAMPTZ would have no zone.
    config.options_mut().execution.time_zone = Some("+00:00".to_owned());
    config.options_mut().sql_parser.collect_spans = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        // These come before the engine's own.
        .with_expr_planners(vec![Arc::new(Arithmetic)])
        .with_default_features()
        .with_table_functions(Default::default())
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_udf(clamp());
    context.register_udf(casts::named());
    // Alias of a function that one of ours replaces.
    context.deregister_udf("date_format");
    for function in times::named() {
        context.register_udf(function.clone());
    }
    for aggregate in flags::aggregates() {
        context.register_udaf(aggregate.clone());
    }
    context
}

/// Returns the schema of the unit column and the policy's columns; with several tables, also the table of a row.
///
/// Their order is the policy's, and any of them may have NULL: the order of a file's columns, and whether the file says that a
/// column has no NULL, may follow from rows, as where jobs read a copy because of them. A query means the same over every file
/// with the same rows.
fn visible(schema: &SchemaRef, policy: &Policy) -> SchemaRef {
    let table = (!policy.tables.is_empty()).then_some(ROW_TABLE);
    let columns = policy.columns.keys().filter(|name| **name != policy.unit.column);
    let names = std::iter::once(policy.unit.column.as_str()).chain(table).chain(columns.map(String::as_str));
    let fields = names.filter_map(|name| schema.column_with_name(name)).map(|(_, field)| {
        let kind = match field.data_type() {
            // A dictionary is only a storage format. Work per dictionary value would be done for as many values as the files
            // have, whatever the rows.
            DataType::Dictionary(_, value) => value.as_ref(),
            kind => kind,
        };
        Field::new(field.name(), kind.clone(), field.name() != ROW_TABLE)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the owner's tables, over columns of `schema`.
fn owned(schema: &SchemaRef, policy: &Policy) -> Vec<Owned> {
    if policy.tables.is_empty() {
        let places = (0..schema.fields().len()).collect();
        return vec![Owned { name: TABLE.to_owned(), schema: schema.clone(), places, filter: None }];
    }
    let place = Expr::Column(Column::new(Some(TABLE), ROW_TABLE));
    let table = |(i, name): (usize, &String)| {
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let bare = field.name().strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
            let bare = if *field.name() == policy.unit.column { Some(field.name().as_str()) } else { bare };
            if let Some(bare) = bare {
                fields.push(field.as_ref().clone().with_name(bare));
                places.push(at);
            }
        }
        let filter = Some(place.clone().eq(lit(i as i8)));
        Owned { name: name.clone(), schema: Arc::new(Schema::new(fields)), places, filter }
    };
    policy.tables.iter().enumerate().map(table).collect()
}

impl Planned {
    /// Coerces types in a part of a plan.
    pub(super) fn agreed(&self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
        self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {}).map_err(|e| engine(&e))
    }

    /// Strips the name of the owner's only table from column names in a text.
    pub(super) fn bare(&self, text: &str) -> String {
        [Some(TABLE), self.published.as_deref()].into_iter().flatten().fold(text.to_owned(), |text, table| without(&text, table))
    }

    /// Returns whether `table` is the owner's.
    pub(super) fn owns(&self, table: &str) -> bool {
        self.owned.iter().any(|owned| owned.name == table)
    }

    /// Returns the condition for the rows of the owner's `table`, and its columns.
    pub(super) fn rows_of(&self, table: &str) -> (Option<Expr>, Vec<Expr>) {
        let column = |at: &usize| Expr::Column(Column::from(self.schema.qualified_field(*at)));
        let found = self.owned.iter().find(|owned| owned.name == table);
        found.map_or_else(Default::default, |owned| (owned.filter.clone(), owned.places.iter().map(column).collect()))
    }
}

/// Strips `table` and a dot before names from `text`.
fn without(text: &str, table: &str) -> String {
    let (mut rest, mut bare) = (text, String::with_capacity(text.len()));
    let dotted = format!("{table}.");
    while let Some(at) = rest.find(&dotted) {
        let (before, after) = (&rest[..at], &rest[at + dotted.len()..]);
        bare.push_str(before);
        // The end of a longer name is not the table.
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            bare.push_str(&dotted);
        }
        rest = after;
    }
    bare + rest
}

/// Replaces scans of the owner's only table by its published name with scans of [`TABLE`] under this alias.
fn as_published(plan: LogicalPlan, name: &str) -> Result<LogicalPlan, DataFusionError> {
    let one = |plan: LogicalPlan| match plan {
        LogicalPlan::TableScan(scan) if scan.table_name == TableReference::bare(name) => {
            let scan = LogicalPlanBuilder::scan(TABLE, scan.source, None)?.build()?;
            let named = SubqueryAlias::try_new(Arc::new(scan), TableReference::bare(name))?;
            Ok(Transformed::yes(LogicalPlan::SubqueryAlias(named)))
        }
        other => Ok(Transformed::no(other)),
    };
    // Replacements are not visited again.
    Ok(plan.transform_up_with_subqueries(one)?.data)
}

/// Drops the repetitions of keys from every GROUP BY, as `GROUP BY x, x` and a key beside its alias have them.
///
/// The engine keeps them among the keys, and leaves them out of the columns.
fn keys_once(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let one = |plan: LogicalPlan| match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let mut keys: Vec<Expr> = Vec::with_capacity(aggregate.group_expr.len());
            for key in &aggregate.group_expr {
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
            }
            if keys.len() == aggregate.group_expr.len() {
                return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
            }
            let once = Aggregate::try_new(aggregate.input, keys, aggregate.aggr_expr)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(once)))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(plan.transform_up_with_subqueries(one)?.data)
}

/// Plans `sql` over the visible columns of `schema`, and public tables.
pub(super) fn plan(sql: &str, tables: &Tables, schema: &SchemaRef, policy: &Policy) -> Result<Planned, Refusal> {
    let published = schema.metadata().get(PUBLISHED).filter(|name| policy.tables.is_empty() && *name != TABLE).cloned();
    let schema = visible(schema, policy);
    let context = context();
    let owned = owned(&schema, policy);
    for table in &owned {
        context.register_table(table.name.as_str(), Arc::new(EmptyTable::new(table.schema.clone()))).map_err(|e| engine(&e))?;
    }
    for (name, schema) in tables.schemas() {
        if policy.tables.iter().any(|table| table == name) || published.as_deref() == Some(name) {
            let what =
                if policy.tables.is_empty() { "is the name of the dataset" } else { "is the name of a table of the dataset" };
            return Err(refuse(what).at(format!("program.tables.{name}")).fix("Give it another"));
        }
        context.register_table(name, Arc::new(EmptyTable::new(schema))).map_err(|e| engine(&e))?;
    }
    if let (Some(name), [table]) = (&published, owned.as_slice()) {
        let empty = Arc::new(EmptyTable::new(table.schema.clone()));
        context.register_table(TableReference::bare(name.as_str()), empty).map_err(|e| engine(&e))?;
    }
    let state = context.state();
    let statement = parse(&state, sql)?;
    // As a buyer writes the name.
    let quoted = published.as_deref().map(|name| Column::new_unqualified(name).quoted_flat_name());
    let names = owned.iter().map(|table| table.name.as_str()).chain(quoted.as_deref());
    let names: Vec<_> = names.chain(tables.schemas().map(|(name, _)| name)).collect();
    // Whoever sends a job presents a grant, whose holder may also see the listing, unless nobody may.
    let shown = Shown { tables: &names, columns: policy.list != Access::Nobody };
    let said = |e: DataFusionError| planning(&e, shown);
    let mut raw = match block_on(state.statement_to_plan(statement.clone())) {
        Err(e) if casts::same_name(&e) => {
            block_on(state.statement_to_plan(casts::apart(statement.clone()))).map_err(|_| said(e))?
        }
        planned => planned.map_err(said)?,
    };
    // The engine plans a key and a cast of it under one name, and only what reads both fails.
    if casts::same_keys(&raw).map_err(said)? {
        raw = block_on(state.statement_to_plan(casts::apart(statement))).map_err(said)?;
    }
    raw = keys_once(raw).map_err(said)?;
    if let Some(name) = &published {
        raw = as_published(raw, name).map_err(said)?;
    }
    raw = mark(raw).map_err(said)?;
    arguments::check(&raw, &policy.unit.column)?;
    mismatch::check(&raw)?;
    let plan = state.analyzer().execute_and_check(raw.clone(), state.config_options(), |_, _| {}).map_err(said)?;
    let grouping = Analyzer::with_rules(vec![Arc::new(ResolveGroupingFunction::new())]);
    let raw = grouping.execute_and_check(raw, state.config_options(), |_, _| {}).map_err(said)?;
    let schema = DFSchema::try_from_qualified_schema(TABLE, &schema).map_err(|e| engine(&e))?;
    Ok(Planned { plan, raw, state, schema: Arc::new(schema), owned, published, tables: tables.clone() })
}

/// Rewrites IN and EXISTS as semi-joins and anti-joins where possible; otherwise the plan is unchanged.
pub(super) fn subqueries_joined(plan: LogicalPlan) -> LogicalPlan {
    let rule = Optimizer::with_rules(vec![Arc::new(DecorrelatePredicateSubquery::new())]);
    let once = OptimizerContext::new().with_max_passes(1).with_skip_failing_rules(true);
    rule.optimize(plan.clone(), &once, |_, _| {}).unwrap_or(plan)
}

/// Runs a future. Planning a SELECT over a table in memory never waits for anything, so a tiny executor is enough.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
