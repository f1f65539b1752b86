//! DataFusion with nothing in it but an empty table and a list of functions, and text planned in it.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::DFSchema,
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SessionStateBuilder, context::SessionContext},
    logical_expr::LogicalPlan,
    prelude::SessionConfig,
};
use tidegate_protocol::{Refusal, policy::Policy};

use super::{Tables, clamp::clamp, refuse, text::parse};

/// The owner's table.
pub(super) const TABLE: &str = "dataset";

/// A planned SELECT.
pub(super) struct Planned {
    /// With types made to agree.
    pub(super) plan: LogicalPlan,
    /// The dataset's columns that a buyer sees.
    pub(super) schema: Arc<DFSchema>,
    /// The public tables that came with the query.
    pub(super) tables: Tables,
}

/// A context without table functions, catalog of information or files.
pub(super) fn context() -> SessionContext {
    let config = SessionConfig::new().with_information_schema(false).with_target_partitions(1);
    let state =
        SessionStateBuilder::new().with_config(config).with_default_features().with_table_functions(Default::default()).build();
    let context = SessionContext::new_with_state(state);
    context.register_udf(clamp());
    context
}

/// The schema a buyer sees: the unit column and the policy's columns.
fn visible(schema: &SchemaRef, policy: &Policy) -> Result<SchemaRef, Refusal> {
    let keep: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, f)| *f.name() == policy.unit.column || policy.columns.contains_key(f.name()))
        .map(|(i, _)| i)
        .collect();
    schema.project(&keep).map(Arc::new).map_err(refuse)
}

/// Plans `sql` over the visible columns of `schema`, and public tables.
pub(super) fn plan(sql: &str, tables: &Tables, schema: &SchemaRef, policy: &Policy) -> Result<Planned, Refusal> {
    let schema = visible(schema, policy)?;
    let context = context();
    context.register_table(TABLE, Arc::new(EmptyTable::new(schema.clone()))).map_err(said)?;
    for (name, schema) in tables.schemas() {
        context.register_table(name, Arc::new(EmptyTable::new(schema))).map_err(said)?;
    }
    let state = context.state();
    let statement = parse(&state, sql)?;
    let raw = block_on(state.statement_to_plan(statement)).map_err(said)?;
    let plan = state.analyzer().execute_and_check(raw, state.config_options(), |_, _| {}).map_err(said)?;
    let schema = DFSchema::try_from_qualified_schema(TABLE, &schema).map_err(refuse)?;
    Ok(Planned { plan, schema: Arc::new(schema), tables: tables.clone() })
}

/// The planner's message, short. "Did you mean" and "Valid fields are" list columns; the listing shows them anyway, but only to those it was sent to.
fn said(e: DataFusionError) -> Refusal {
    let message = e.strip_backtrace();
    let message = message.split(". Did you mean").next().unwrap_or_default();
    refuse(message.split("Valid fields are").next().unwrap_or_default().trim().chars().take(300).collect::<String>())
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
