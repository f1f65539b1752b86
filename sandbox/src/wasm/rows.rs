//! Row functions: numbers to numbers, a row at a time, each person's added up.
//!
//! How a function is called depends on what is [proven](super::stateless) of it, what comes out does not: one that keeps nothing and has a bound is called for
//! many rows in one go, without counting its fuel; one that keeps nothing, in an instance for all people; any other, in a fresh instance for each person.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Float64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use tidegate_gate::{GroupSums, Plan};
use tidegate_protocol::{Refusal, job::Output};
use wasmtime::{Engine, Func, Instance, Linker, Memory, Module, Store, TypedFunc, Val};

use super::{
    component::refuse,
    driver,
    guest::Limits,
    host::Call,
    stateless::{Proof, ROW, RowFunction},
};
use crate::{
    RunError,
    sql::Select,
    units::{Chunk, Scan, Unit, UnitRef},
};

/// An admitted row function with the rows it asks for.
pub struct Rows {
    pub(super) engine: Engine,
    pub(super) module: Module,
    pub(super) function: RowFunction,
    /// Calls it for many rows, where that is allowed.
    pub(super) driver: Option<Module>,
    pub(super) select: Select,
    pub(super) outputs: Vec<Output>,
    pub(super) limits: Limits,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({:?})", self.function)
    }
}

impl Rows {
    /// Checks it against what the job declares.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let RowFunction { takes, gives, proof } = &self.function;
        let (columns, numbers) = (self.select.names.len(), self.outputs.iter().map(Output::numbers).sum::<usize>());
        if *takes != columns {
            return Err(refuse(format!("{ROW} takes {takes} numbers, the query selects {columns}")).at("program.select"));
        }
        if *gives != numbers {
            return Err(refuse(format!("{ROW} gives {gives} numbers, the job declares {numbers}")).at("program.outputs"));
        }
        match proof {
            Proof::Bounded(most) if *most > self.limits.fuel => {
                let message =
                    format!("{ROW} may execute {most} instructions, a person's rows have fuel for {}", self.limits.fuel);
                Err(refuse(message).fix("Make it shorter, or ask the owner for more fuel"))
            }
            _ => Ok(()),
        }
    }

    /// Calls the function for each row and hands each person's sums to the gate, over at most `ways` threads. Also says how many
    /// people have the default, which is for rehearsal alone.
    ///
    /// # Errors
    /// [`RunError`] for unreadable data; the function's own failures only ever give the default vector.
    pub(super) fn run(&self, ways: usize, plan: &Plan, files: &[File]) -> Result<(GroupSums, u64), RunError> {
        let selects = [&self.select];
        let scan = Scan::open(files, &selects, (self.function.takes + self.function.gives) * size_of::<f64>())?;
        let states = scan.run_split(
            ways,
            || Caller::new(self, plan),
            |caller, chunks, _| chunks.iter().try_for_each(|chunk| caller.take(chunk)),
        )?;
        let (mut sum, mut defaults) = (plan.group(vec![]), 0);
        for mut caller in states {
            caller.close()?;
            caller.flush()?;
            defaults += caller.failed;
            sum.units += caller.group.units;
            sum.lanes.iter_mut().zip(caller.group.lanes).for_each(|(sum, lane)| *sum += lane);
        }
        Ok((sum, defaults))
    }
}

/// A running instance.
struct Running {
    store: Store<Call>,
    row: Func,
    /// The driver's loop and the memory it works in.
    many: Option<(TypedFunc<i32, ()>, Memory)>,
}

fn engine_error(e: wasmtime::Error) -> RunError {
    RunError::Engine(format!("{e:#}"))
}

/// Calls the function and adds up, for the people of one thread.
struct Caller<'a> {
    rows: &'a Rows,
    plan: &'a Plan,
    defaults: Vec<f64>,
    running: Option<Running>,
    open: Option<Unit>,
    /// The open person's sums; `None` after a failure.
    sums: Option<Vec<f64>>,
    /// What is left of the open person's fuel, where it is not counted by the engine.
    fuel: u64,
    /// Sums of people who are done, number by number.
    done: Vec<Vec<f64>>,
    group: GroupSums,
    /// How many people have the default.
    failed: u64,
    taken: Vec<Vec<f64>>,
    given: Vec<Vec<f64>>,
}

/// People whose sums are handed to the gate together.
const TOGETHER: usize = 4096;

impl<'a> Caller<'a> {
    fn new(rows: &'a Rows, plan: &'a Plan) -> Result<Self, RunError> {
        let gives = rows.function.gives;
        Ok(Self {
            rows,
            plan,
            defaults: Output::defaults(&rows.outputs),
            running: None,
            open: None,
            sums: None,
            fuel: 0,
            done: vec![vec![]; gives],
            group: plan.group(vec![]),
            failed: 0,
            taken: vec![],
            given: vec![vec![]; gives],
        })
    }

    fn take(&mut self, chunk: &Chunk) -> Result<(), RunError> {
        self.taken = chunk.columns.iter().map(numbers).collect::<Result<_, _>>()?;
        let len = chunk.runs.rows.last().map_or(0, |rows| rows.end);
        for from in (0..len).step_by(driver::ROWS) {
            let to = len.min(from + driver::ROWS);
            let begins = chunk.runs.rows.partition_point(|rows| rows.end <= from);
            let failed = self.sums.is_none() && self.open.as_ref().is_some_and(|open| open.as_ref() == chunk.runs.unit(begins));
            if failed && chunk.runs.rows[begins].end >= to {
                // All of one person's who has the default already.
                continue;
            }
            let together = self.call_many(from..to)?;
            for (i, rows) in chunk.runs.rows.iter().enumerate().skip(begins) {
                if rows.start >= to {
                    break;
                }
                self.meet(chunk.runs.unit(i))?;
                for row in rows.start.max(from)..rows.end.min(to) {
                    if together {
                        self.add(row - from);
                    } else {
                        self.call_one(row)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of `unit` come now.
    fn meet(&mut self, unit: UnitRef<'_>) -> Result<(), RunError> {
        if self.open.as_ref().is_some_and(|open| open.as_ref() == unit) {
            return Ok(());
        }
        self.close()?;
        self.open = Some(unit.to_owned());
        self.sums = Some(vec![0.0; self.rows.function.gives]);
        self.fuel = self.rows.limits.fuel;
        if self.rows.function.proof == Proof::Stateless {
            // Each person has a tank of their own.
            if let Some(running) = &mut self.running {
                running.store.set_fuel(self.rows.limits.fuel).map_err(engine_error)?;
            }
        } else if matches!(self.rows.function.proof, Proof::Unproven(_)) {
            self.running = None;
        }
        Ok(())
    }

    /// The open person is done.
    fn close(&mut self) -> Result<(), RunError> {
        if self.open.take().is_none() {
            return Ok(());
        }
        let sums = self.sums.take();
        self.failed += u64::from(sums.is_none());
        let sums = sums.as_deref().unwrap_or(&self.defaults);
        self.done.iter_mut().zip(sums).for_each(|(done, sum)| done.push(*sum));
        if self.done[0].len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let values: Vec<&[f64]> = self.done.iter().map(Vec::as_slice).collect();
        self.plan.close_vectors(&mut self.group, &values, &self.defaults)?;
        self.done.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Adds what the driver gave for a row of the open person, who pays for the most that it may have taken.
    fn add(&mut self, row: usize) {
        match (self.fuel.checked_sub(self.most()), &mut self.sums) {
            (Some(left), Some(sums)) => {
                self.fuel = left;
                sums.iter_mut().zip(&self.given).for_each(|(sum, given)| *sum += given[row]);
            }
            _ => self.sums = None,
        }
    }

    /// The most instructions of a call, where that is proven.
    fn most(&self) -> u64 {
        match self.rows.function.proof {
            Proof::Bounded(most) => most,
            Proof::Stateless | Proof::Unproven(_) => 0,
        }
    }

    /// Calls the function for these rows together; says whether it did. Where one of them traps, each is called by itself.
    fn call_many(&mut self, rows: std::ops::Range<usize>) -> Result<bool, RunError> {
        if self.rows.driver.is_none() {
            return Ok(false);
        }
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.rows.start().map_err(engine_error)?,
        };
        let mut done = false;
        if let Some((run, memory)) = &running.many {
            let bytes = memory.data_mut(&mut running.store);
            for (place, column) in bytes.chunks_exact_mut(driver::COLUMN_BYTES).zip(&self.taken) {
                let numbers = &column[rows.clone()];
                place.chunks_exact_mut(8).zip(numbers).for_each(|(place, number)| place.copy_from_slice(&number.to_le_bytes()));
            }
            done = run.call(&mut running.store, rows.len() as i32).is_ok();
            let bytes = memory.data(&running.store).chunks_exact(driver::COLUMN_BYTES).skip(self.taken.len());
            for (given, place) in self.given.iter_mut().zip(bytes) {
                let numbers = place.as_chunks::<8>().0.iter().take(rows.len());
                given.clear();
                given.extend(numbers.map(|number| f64::from_le_bytes(*number)));
            }
        }
        self.running = Some(running);
        Ok(done)
    }

    /// Calls the function for one row of the open person.
    fn call_one(&mut self, row: usize) -> Result<(), RunError> {
        let left = self.fuel.checked_sub(self.most());
        let (Some(left), Some(sums)) = (left, &mut self.sums) else {
            self.sums = None;
            return Ok(());
        };
        self.fuel = left;
        let started = match self.running.take() {
            Some(running) => Ok(running),
            None => self.rows.start(),
        };
        let called = started.and_then(|mut running| {
            let taken: Vec<Val> = self.taken.iter().map(|column| Val::F64(column[row].to_bits())).collect();
            let mut given = vec![Val::F64(0); sums.len()];
            let called = running.row.call(&mut running.store, &taken, &mut given);
            sums.iter_mut().zip(&given).for_each(|(sum, given)| *sum += given.f64().unwrap_or(f64::NAN));
            self.running = Some(running);
            called
        });
        if called.is_err() {
            self.sums = None;
        }
        Ok(())
    }
}

impl Rows {
    fn start(&self) -> wasmtime::Result<Running> {
        let mut store = self.limits.store(
            &self.engine,
            Call::new(self.limits.of_store(), Arc::default(), [0; 32], false),
            self.driver.is_none(),
        )?;
        let instance = Instance::new(&mut store, &self.module, &[])?;
        let row = instance.get_func(&mut store, ROW).ok_or_else(|| wasmtime::format_err!("no {ROW}"))?;
        let mut many = None;
        if let Some(driver) = &self.driver {
            let mut linker = Linker::new(&self.engine);
            linker.define(&store, driver::MODULE, ROW, row)?;
            let driver = linker.instantiate(&mut store, driver)?;
            let memory = driver.get_memory(&mut store, driver::MEMORY).ok_or_else(|| wasmtime::format_err!("no memory"))?;
            many = Some((driver.get_typed_func(&mut store, driver::RUN)?, memory));
        }
        Ok(Running { store, row, many })
    }
}

/// A column as numbers: flags are 0 and 1, NaN where a value is missing or no number.
fn numbers(column: &ArrayRef) -> Result<Vec<f64>, RunError> {
    let kind = column.data_type();
    if !(kind.is_numeric() || *kind == DataType::Boolean) {
        return Ok(vec![f64::NAN; column.len()]);
    }
    let column = cast(column, &DataType::Float64)?;
    let column: &Float64Array = column.as_primitive::<Float64Type>();
    if column.null_count() == 0 {
        return Ok(column.values().to_vec());
    }
    Ok(column.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}
