//! The two steps of a job in the sandbox: admission and run.

use std::{collections::BTreeSet, fs::File};

use arrow::datatypes::SchemaRef;
use tidegate_gate::{
    BRANCHES, Column, Confusion, Histogram, Keys, Mean, Measure, Plan, Quantiles, Reliability, Scores, Shape, Sum, Sums, Vector,
};
use tidegate_protocol::{
    Code, ContentHash, Job, Refusal,
    device::Place,
    job::{Data, Key, Mode, Output, Program, Reducer, Split},
    policy::{JobKind, Policy},
};

use crate::{Attachment, Extent, Help, RunError, Sent, Sink, onnx, sql, sql::Select, units, wasm};

/// Admitted job, obtainable only from [`admit()`].
#[derive(Debug)]
pub struct Admitted {
    plan: Plan,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Sql(Box<sql::Query>),
    Wasm(Box<wasm::Program>),
    Onnx(Box<onnx::Model>),
}

impl Admitted {
    /// Returns the release plan, in public numbers.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the bytes and spec of the model to load, if the program is or has a model.
    pub fn loads(&self) -> Option<(&[u8], &onnx::Spec)> {
        match &self.engine {
            Engine::Sql(_) => None,
            Engine::Wasm(program) => program.model().map(|model| (model.bytes(), model.spec())),
            Engine::Onnx(model) => Some((model.bytes(), model.spec())),
        }
    }

    /// Returns the row-wise parts that read the dataset.
    fn selects(&self) -> Vec<&Select> {
        match &self.engine {
            Engine::Sql(query) => query.selects(),
            Engine::Wasm(program) => vec![program.select()],
            Engine::Onnx(model) => vec![model.select()],
        }
    }

    /// Returns the names of the columns read from every row, including the unit's.
    pub fn reads(&self) -> BTreeSet<String> {
        units::reads(&self.selects())
    }

    /// Returns the number of rows of each unit that are read, if more would not fit the time budget. Further rows count as absent.
    pub fn rows_read(&self) -> Option<u64> {
        self.selects().iter().filter_map(|select| select.reach.rows).min()
    }

    /// Returns the model, if the program is a model.
    pub fn model(&self) -> Option<&onnx::Model> {
        if let Engine::Onnx(model) = &self.engine { Some(model) } else { None }
    }

    /// Returns the query's expressions over released numbers, if there are any beyond plain names.
    pub fn view(&self) -> Option<&sql::View> {
        match &self.engine {
            Engine::Sql(query) => query.view.as_ref(),
            Engine::Wasm(_) | Engine::Onnx(_) => None,
        }
    }

    /// Returns the declared keys in the columns' own types; empty for other key modes.
    pub fn declared(&self) -> &[Vec<Key>] {
        match &self.engine {
            Engine::Sql(query) => query.declared.as_deref().unwrap_or_default(),
            Engine::Wasm(_) | Engine::Onnx(_) => &[],
        }
    }
}

/// Checks a job against schema and policy alone, without reading rows.
///
/// # Errors
/// Returns a [`Refusal`] naming the construct and the fix.
pub fn admit(job: &Job, policy: &Policy, schema: &SchemaRef, attachment: Option<Attachment>) -> Result<Admitted, Refusal> {
    admit_at(job, policy, schema, attachment, Place::Cpu)
}

/// Acts as [`admit`] for the place where the model runs: on a GPU, more rows are batched together.
///
/// # Errors
/// As for [`admit`].
pub fn admit_at(
    job: &Job,
    policy: &Policy,
    schema: &SchemaRef,
    attachment: Option<Attachment>,
    place: Place,
) -> Result<Admitted, Refusal> {
    job.check()?;
    let kind = job.program.kind();
    if !policy.kinds.contains(&kind) {
        let allowed = policy.kinds.iter().map(|k| format!("{k:?}").to_lowercase()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::new(Code::Policy, format!("{kind:?} jobs are not allowed here"))
            .at("program")
            .fix(format!("Allowed: {allowed}")));
    }
    if job.mode == Mode::Dp
        && let Some(field) = job.cost.over(policy.per_buyer)
    {
        let fix = if policy.per_buyer.epsilon_micro < job.cost.epsilon_micro {
            "Lower the cost, or remove noise: Laplace noise is charged to the policy's laplace_epsilon"
        } else {
            "Lower the cost"
        };
        let message = format!("the job costs {}, and the policy's cap for one buyer is {}", job.cost, policy.per_buyer);
        return Err(Refusal::new(Code::Budget, message).at(field).fix(fix));
    }
    if let Some(hash) = job.program.attachment() {
        let sent = attachment.as_ref().ok_or_else(|| Refusal::new(Code::BadRequest, "the program's bytes were not sent"))?;
        // Code stands for a component whose bytes were checked when it was compiled.
        let compiled = kind == JobKind::Wasm && matches!(sent.program(), Sent::Code(_));
        if !compiled && ContentHash::of(sent.bytes()) != hash {
            return Err(Refusal::new(Code::BadRequest, "the program's bytes do not have the hash the job names").at("program"));
        }
        if job.program.data() != (!sent.data().is_empty()).then(|| Data::of(sent.data())) {
            return Err(Refusal::new(Code::BadRequest, "the data's bytes do not have the hash the job names").at("program.data"));
        }
    }
    let (mut shape, engine) = match &job.program {
        Program::Sql { query, keys, .. } => {
            let tables = attachment.map_or_else(|| Ok(sql::Tables::default()), |sent| sql::Tables::read(sent.bytes()))?;
            let asked = sql::Asked { text: query, keys: keys.as_deref(), tables: &tables };
            let mut query = sql::admit_query(&asked, schema, policy)?;
            if job.mode == Mode::Reviewed {
                query.review()?;
            }
            (query.shape.clone(), Engine::Sql(Box::new(query)))
        }
        Program::Wasm { select, outputs, split, .. } => {
            let select = sql::admit_select(select, *split, schema, policy)?;
            let sent = attachment.ok_or_else(|| Refusal::new(Code::BadRequest, "the component is missing"))?;
            let guest = wasm::Program::admit(&sent, select, &job.program, policy, place)?;
            (program_shape(outputs, *split), Engine::Wasm(Box::new(guest)))
        }
        Program::Onnx { select, outputs, split, .. } => {
            let select = sql::admit_select(select, *split, schema, policy)?;
            let sent = attachment.ok_or_else(|| Refusal::new(Code::BadRequest, "the model is missing"))?;
            let model = onnx::Model::admit(sent.bytes(), select, &job.program, policy, place)?;
            (program_shape(outputs, *split), Engine::Onnx(Box::new(model)))
        }
    };
    let aliases = if let Engine::Sql(query) = &engine { query.aliases.as_slice() } else { &[] };
    weigh(&mut shape, job, aliases)?;
    let plan = Plan::new(shape).map_err(|e| Refusal::new(Code::Program, e.to_string()).at("program"))?;
    Ok(Admitted { plan, engine })
}

/// Sets the column weights given by the job, by released name or by a query's output alias.
fn weigh(shape: &mut Shape, job: &Job, aliases: &[(String, usize)]) -> Result<(), Refusal> {
    let mut weighed = std::collections::BTreeSet::new();
    for (name, weight) in &job.weights {
        let wrong = |why: &str| Refusal::new(Code::Program, why).at(format!("weights.{name}"));
        let released = shape.columns.iter().position(|column| column.name == *name);
        let place = released.or_else(|| aliases.iter().find(|(alias, _)| alias == name).map(|(_, place)| *place));
        let Some((place, column)) = place.and_then(|place| Some((place, shape.columns.get_mut(place)?))) else {
            let shown = |(i, column): (usize, &Column)| match aliases
                .iter()
                .find(|(alias, place)| *place == i && *alias != column.name)
            {
                Some((alias, _)) => format!("{alias} (released as {})", column.name),
                None => column.name.clone(),
            };
            let names: Vec<_> = shape.columns.iter().enumerate().map(shown).collect();
            return Err(wrong("names no released column").fix(format!("Columns with a cost: {}", names.join(", "))));
        };
        if !weighed.insert(place) {
            return Err(wrong("has two weights for one column").fix("Name each column once"));
        }
        column.weight = *weight;
    }
    Ok(())
}

/// Builds the gate's shape for a contribution vector.
pub(crate) fn program_shape(outputs: &[Output], split: Split) -> Shape {
    let columns = outputs
        .iter()
        .map(|o| {
            let Output { lo, hi, .. } = *o;
            let measure = match &o.reducer {
                Reducer::Sum => Measure::Sum(Sum { lo, hi }),
                Reducer::Mean => Measure::Mean(Mean { lo, hi }),
                Reducer::Histogram { bins } => Measure::Histogram(Histogram { lo, hi, bins: *bins }),
                Reducer::Quantiles { at } => Measure::Quantiles(Quantiles { lo, hi, bins: BRANCHES.pow(3), at: at.clone() }),
                Reducer::Confusion { classes } => Measure::Confusion(Confusion { classes: *classes }),
                Reducer::Scores { bins, cut } => Measure::Scores(Scores { lo, hi, bins: *bins, cut: *cut }),
                Reducer::Calibration { bins } => Measure::Reliability(Reliability { lo, hi, bins: *bins }),
                Reducer::Vector { len } => Measure::Vector(Vector { len: *len, norm: hi }),
            };
            Column::new(&o.name, measure)
        })
        .collect();
    Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: split.blocks() }
}

/// Runs an admitted job over the dataset's files (Parquet, ordered by unit) and passes its sums to `sink`, some groups at a time.
///
/// `prf` places units and chooses groups.
///
/// # Errors
/// Returns a [`RunError`] for the owner's log; the buyer gets noise over no data.
pub fn run_into(job: &Admitted, files: &[File], prf: &[u8; 32], help: Help<'_>, sink: &mut Sink<'_>) -> Result<(), RunError> {
    match &job.engine {
        Engine::Sql(query) => {
            let room = sql::Room { spill: help.spill, least_units: help.least_units };
            sql::run_query(query, &job.plan, files, prf, room, sink)
        }
        Engine::Wasm(_) | Engine::Onnx(_) => run_program(job, files.into(), prf, help, sink),
    }
}

/// Runs a job over a piece of the rows or blocks, as [`run_into`] does over all.
///
/// `sink` gets the sums of this piece only; other pieces may contribute to the same group. Groups whose keys were not declared go
/// to the file of `help` instead, and [`add_up`] passes them on once all pieces have run.
///
/// # Errors
/// As for [`run_into`]; whatever this call added to the file is then void.
pub fn run_piece(
    job: &Admitted,
    extent: Extent<'_>,
    prf: &[u8; 32],
    help: Help<'_>,
    sink: &mut Sink<'_>,
) -> Result<sql::Written, RunError> {
    match (&job.engine, help.spill) {
        (Engine::Sql(query), Some(spill)) => sql::run_piece(query, &job.plan, extent, prf, spill, sink),
        (Engine::Sql(_), None) => Err(RunError::Engine("a part of the job has no file for its groups".into())),
        _ => run_program(job, extent, prf, help, sink).map(|()| sql::Written::default()),
    }
}

/// Reads a program's rows as a run over blocks does, and discards them.
///
/// Since every block reads all rows, this is how units whose rows cannot even be read are found.
///
/// # Errors
/// As for [`run_into`].
pub fn read_piece(job: &Admitted, extent: Extent<'_>) -> Result<(), RunError> {
    match &job.engine {
        Engine::Sql(_) => Err(RunError::Engine("a query is called for no blocks".into())),
        Engine::Wasm(program) => units::read(extent, program.select()),
        Engine::Onnx(model) => units::read(extent, model.select()),
    }
}

/// Passes on the groups written by pieces, each once.
///
/// # Errors
/// Returns a [`RunError`] on failure.
pub fn add_up(
    job: &Admitted,
    written: &[sql::Written],
    prf: &[u8; 32],
    help: &Help<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    match (&job.engine, help.spill) {
        (Engine::Sql(query), Some(spill)) => sql::add_up(query, &job.plan, prf, (spill, written), help.least_units, sink),
        _ => Ok(()),
    }
}

fn run_program(job: &Admitted, files: Extent<'_>, prf: &[u8; 32], help: Help<'_>, sink: &mut Sink<'_>) -> Result<(), RunError> {
    match &job.engine {
        Engine::Sql(_) => Err(RunError::Engine("a query is no program".into())),
        Engine::Wasm(program) => sink(program.run(&job.plan, files, prf, help)?.groups),
        Engine::Onnx(model) => {
            let inference = help.inference.ok_or_else(|| RunError::Engine("no runner for the model".into()))?;
            sink(model.run(&job.plan, files, prf, &*inference)?.groups)
        }
    }
}

/// Acts as [`run_into`], with all groups held in memory.
///
/// # Errors
/// As for [`run_into`].
pub fn run(job: &Admitted, files: &[File], prf: &[u8; 32], help: Help<'_>) -> Result<Sums, RunError> {
    let mut sums = Sums::default();
    run_into(job, files, prf, help, &mut |groups| {
        sums.groups.extend(groups);
        Ok(())
    })?;
    Ok(sums)
}
