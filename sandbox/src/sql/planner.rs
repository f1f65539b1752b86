//! DataFusion with nothing in it but an empty table and a list of functions, and text planned in it.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    common::{Column, DFSchema, TableReference, tree_node::Transformed},
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SessionState, SessionStateBuilder, context::SessionContext},
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, lit},
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
    Tables,
    clamp::clamp,
    exact::mark,
    flags, mismatch, refuse,
    said::{Shown, engine, planning},
    text::parse,
    times::{self, Arithmetic},
};

/// The owner's rows; of a dataset of one table, also the table's name.
pub const TABLE: &str = "dataset";

/// The schema metadata that says under which name the dataset was published.
const PUBLISHED: &str = "tidegate.dataset";

/// A dataset's schema, of one that was published under `name`: queries may call its only table so, beside [`TABLE`].
pub fn published(schema: &SchemaRef, name: &str) -> SchemaRef {
    Arc::new(schema.as_ref().clone().with_metadata([(PUBLISHED.to_owned(), name.to_owned())].into()))
}

/// A planned SELECT.
pub(super) struct Planned {
    /// With types made to agree, and subqueries within expressions as they were written.
    pub(super) plan: LogicalPlan,
    /// As it was written, but for GROUPING(…), which is no aggregate.
    pub(super) raw: LogicalPlan,
    state: SessionState,
    /// The dataset's columns that a buyer sees; of several tables, all of theirs, and which table a row is of.
    pub(super) schema: Arc<DFSchema>,
    owned: Vec<Owned>,
    /// What the owner's only table may be called too.
    published: Option<String>,
    /// The public tables that came with the query.
    pub(super) tables: Tables,
}

/// One of the owner's tables.
struct Owned {
    name: String,
    /// As a buyer sees it.
    schema: SchemaRef,
    /// Its columns' places among the dataset's.
    places: Vec<usize>,
    /// Which of the dataset's rows are its own, where there are several tables.
    filter: Option<Expr>,
}

/// A context without table functions, catalog of information or files.
pub(super) fn context() -> SessionContext {
    let mut config = SessionConfig::new().with_information_schema(false).with_target_partitions(1);
    // Without one, a TIMESTAMPTZ would have none.
    config.options_mut().execution.time_zone = Some("+00:00".to_owned());
    config.options_mut().sql_parser.collect_spans = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        // Before the engine's own.
        .with_expr_planners(vec![Arc::new(Arithmetic)])
        .with_default_features()
        .with_table_functions(Default::default())
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_udf(clamp());
    // Another name of a function that ours takes the place of.
    context.deregister_udf("date_format");
    for function in times::named() {
        context.register_udf(function.clone());
    }
    for aggregate in flags::aggregates() {
        context.register_udaf(aggregate.clone());
    }
    context
}

/// The unit column and the policy's columns; of several tables, also which table a row is of.
///
/// Their order is the policy's, and any of them may have NULL: in which order a file has its columns, and whether it says that one has no NULL, may follow from
/// rows, as where jobs read a copy because of them. A query means the same over every file with the same rows.
fn visible(schema: &SchemaRef, policy: &Policy) -> SchemaRef {
    let table = (!policy.tables.is_empty()).then_some(ROW_TABLE);
    let columns = policy.columns.keys().filter(|name| **name != policy.unit.column);
    let names = std::iter::once(policy.unit.column.as_str()).chain(table).chain(columns.map(String::as_str));
    let fields = names.filter_map(|name| schema.column_with_name(name)).map(|(_, field)| {
        let kind = match field.data_type() {
            // A dictionary is a way to store values. What is done for each of its values would be done for as many as the files have, whatever the rows.
            DataType::Dictionary(_, value) => value.as_ref(),
            kind => kind,
        };
        Field::new(field.name(), kind.clone(), field.name() != ROW_TABLE)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The owner's tables, over columns of `schema`.
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
    /// A part of a plan, with types made to agree.
    pub(super) fn agreed(&self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
        self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {}).map_err(|e| engine(&e))
    }

    /// A text in which columns are called without the owner's only table.
    pub(super) fn bare(&self, text: &str) -> String {
        [Some(TABLE), self.published.as_deref()].into_iter().flatten().fold(text.to_owned(), |text, table| without(&text, table))
    }

    /// Whether `table` is the owner's.
    pub(super) fn owns(&self, table: &str) -> bool {
        self.owned.iter().any(|owned| owned.name == table)
    }

    /// Which of the dataset's rows are of the owner's `table`, and its columns.
    pub(super) fn rows_of(&self, table: &str) -> (Option<Expr>, Vec<Expr>) {
        let column = |at: &usize| Expr::Column(Column::from(self.schema.qualified_field(*at)));
        let found = self.owned.iter().find(|owned| owned.name == table);
        found.map_or_else(Default::default, |owned| (owned.filter.clone(), owned.places.iter().map(column).collect()))
    }
}

/// `text` without `table` and a dot before names.
fn without(text: &str, table: &str) -> String {
    let (mut rest, mut bare) = (text, String::with_capacity(text.len()));
    let dotted = format!("{table}.");
    while let Some(at) = rest.find(&dotted) {
        let (before, after) = (&rest[..at], &rest[at + dotted.len()..]);
        bare.push_str(before);
        // The end of a longer name is none.
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            bare.push_str(&dotted);
        }
        rest = after;
    }
    bare + rest
}

/// `plan` in which the owner's only table, where it is called by the name that it was published under, is [`TABLE`] under that name.
fn as_published(plan: LogicalPlan, name: &str) -> Result<LogicalPlan, DataFusionError> {
    let one = |plan: LogicalPlan| match plan {
        LogicalPlan::TableScan(scan) if scan.table_name == TableReference::bare(name) => {
            let scan = LogicalPlanBuilder::scan(TABLE, scan.source, None)?.build()?;
            let named = SubqueryAlias::try_new(Arc::new(scan), TableReference::bare(name))?;
            Ok(Transformed::yes(LogicalPlan::SubqueryAlias(named)))
        }
        other => Ok(Transformed::no(other)),
    };
    // What is put in is looked at no more.
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
    // As a buyer writes it.
    let quoted = published.as_deref().map(|name| Column::new_unqualified(name).quoted_flat_name());
    let names = owned.iter().map(|table| table.name.as_str()).chain(quoted.as_deref());
    let names: Vec<_> = names.chain(tables.schemas().map(|(name, _)| name)).collect();
    // Whoever sends a job shows a grant, which lets its holder see the listing too, where anybody may.
    let shown = Shown { tables: &names, columns: policy.list != Access::Nobody };
    let said = |e: DataFusionError| planning(&e, shown);
    let mut raw = block_on(state.statement_to_plan(statement)).map_err(said)?;
    if let Some(name) = &published {
        raw = as_published(raw, name).map_err(said)?;
    }
    raw = mark(raw).map_err(said)?;
    mismatch::check(&raw)?;
    let plan = state.analyzer().execute_and_check(raw.clone(), state.config_options(), |_, _| {}).map_err(said)?;
    let grouping = Analyzer::with_rules(vec![Arc::new(ResolveGroupingFunction::new())]);
    let raw = grouping.execute_and_check(raw, state.config_options(), |_, _| {}).map_err(said)?;
    let schema = DFSchema::try_from_qualified_schema(TABLE, &schema).map_err(|e| engine(&e))?;
    Ok(Planned { plan, raw, state, schema: Arc::new(schema), owned, published, tables: tables.clone() })
}

/// With IN and EXISTS as the semi-joins and anti-joins that they are; as it was, where they are none.
pub(super) fn subqueries_joined(plan: LogicalPlan) -> LogicalPlan {
    let rule = Optimizer::with_rules(vec![Arc::new(DecorrelatePredicateSubquery::new())]);
    let once = OptimizerContext::new().with_max_passes(1).with_skip_failing_rules(true);
    rule.optimize(plan.clone(), &once, |_, _| {}).unwrap_or(plan)
}

/// Planning one SELECT over a table in memory never waits for anything; a tiny executor is enough.
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
