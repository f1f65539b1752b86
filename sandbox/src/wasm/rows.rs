//! Row functions: from numbers to numbers, a row at a time, summed per person.
//!
//! How a function is called depends on the properties [proven](super::stateless) for it; its results do not. A function without
//! state and with a bound is called for many rows at once, without counting its fuel; a function without state but no bound, in
//! an instance for all people; any other, in a fresh instance for each person.

use std::ops::Range;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Float64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use tidegate_gate::{GroupSums, Plan};
use tidegate_protocol::{Refusal, job::Output};
use wasmtime::{Engine, Func, Global, Instance, Linker, Memory, Module, Store, TypedFunc, Val};

use super::{
    driver,
    guest::Limits,
    host::{Call, Handed},
    module::refuse,
    shares::{Share, execute},
    stateless::{Proof, ROW, RowFunction},
};
use crate::{
    Extent, RunError,
    sql::Select,
    units::{Chunk, Scan, Unit, UnitRef},
};

/// Admitted row function with its select.
pub struct Rows {
    pub(super) engine: Engine,
    pub(super) module: Module,
    pub(super) function: RowFunction,
    /// Driver to call the function for many rows, if this is allowed.
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
    /// Checks the function against the job's declarations.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let RowFunction { takes, gives, proof } = &self.function;
        let (columns, numbers) = (self.select.names.len(), self.outputs.iter().map(Output::numbers).sum::<usize>());
        if *takes != columns {
            return Err(refuse(format!("{ROW} takes {takes} numbers, and the query selects {columns}")).at("program.select"));
        }
        if *gives != numbers {
            return Err(refuse(format!("{ROW} returns {gives} numbers, and the job declares {numbers}")).at("program.outputs"));
        }
        match proof {
            Proof::Bounded(most) if *most > self.limits.fuel => {
                let message = format!("{ROW} may take {most} of fuel, and a person's rows have {}", self.limits.fuel);
                Err(refuse(message).fix("Make it shorter, or ask the owner for more fuel"))
            }
            _ => Ok(()),
        }
    }

    /// Calls the function for each row and passes each person's sums to the gate, over at most `ways` threads.
    ///
    /// Also returns the number of people with the fallback values, for rehearsal only.
    ///
    /// # Errors
    /// Returns a [`RunError`] if the data is unreadable; the function's own failures only ever lead to the fallback values.
    pub(super) fn run(&self, ways: usize, plan: &Plan, files: Extent<'_>) -> Result<(GroupSums, u64), RunError> {
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

/// Instance of the driver.
struct Loop {
    /// Function over a range of rows.
    run: TypedFunc<(i32, i32), ()>,
    /// Memory with the columns.
    memory: Memory,
    /// Offset of the current row.
    at: Global,
}

impl Loop {
    /// Returns the row of the trap in the last call.
    fn trapped(&self, store: &mut Store<Call>) -> usize {
        self.at.get(store).i32().unwrap_or(0) as usize / size_of::<f64>()
    }
}

/// Running instance.
struct Running {
    store: Store<Call>,
    row: Func,
    many: Option<Loop>,
    /// Fuel of the loop for no rows.
    ///
    /// A person whose rows lie in several batches pays only for the rows, or else their distribution would matter.
    overhead: u64,
}

fn engine_error(e: wasmtime::Error) -> RunError {
    RunError::Engine(format!("{e:#}"))
}

/// Calls of the function and sums of its results, for the people of a thread.
struct Caller<'a> {
    rows: &'a Rows,
    plan: &'a Plan,
    defaults: Vec<f64>,
    running: Option<Running>,
    open: Option<Unit>,
    /// Sums of the current person; `fails` tells whether they are void.
    sums: Vec<f64>,
    fails: bool,
    /// Fuel left to the current person.
    fuel: u64,
    /// Sums of finished people, number by number.
    done: Vec<Vec<f64>>,
    group: GroupSums,
    /// Number of people with the fallback values.
    failed: u64,
    taken: Vec<Vec<f64>>,
    given: Vec<Vec<f64>>,
}

/// Number of people whose sums are passed to the gate together.
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
            sums: vec![0.0; gives],
            fails: false,
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
            let first = chunk.runs.rows.partition_point(|rows| rows.end <= from);
            let goes_on = self.open.as_ref().is_some_and(|open| open.as_ref() == chunk.runs.unit(first));
            if goes_on && self.fails && chunk.runs.rows[first].end >= to {
                // All these rows belong to a person who has the fallback values already.
                continue;
            }
            let people = chunk.runs.rows[first..].iter().take_while(|rows| rows.start < to);
            let mut people: Vec<Share> =
                people.map(|rows| Share::of(rows.start.max(from) - from..rows.end.min(to) - from)).collect();
            let how = self.lay(from..to, goes_on, &mut people)?;
            for (i, Share { rows, done }) in people.into_iter().enumerate() {
                self.meet(chunk.runs.unit(first + i))?;
                match how {
                    _ if self.fails => {}
                    How::Done if done => self.add(rows),
                    How::Done => self.fails = true,
                    How::Laid => self.call(rows)?,
                    How::Single => rows.for_each(|row| self.call_one(from + row)),
                }
            }
        }
        Ok(())
    }

    /// Continues with rows of `unit`.
    fn meet(&mut self, unit: UnitRef<'_>) -> Result<(), RunError> {
        if self.open.as_ref().is_some_and(|open| open.as_ref() == unit) {
            return Ok(());
        }
        self.close()?;
        self.open = Some(unit.to_owned());
        self.sums.fill(0.0);
        // Each person has a tank of their own.
        (self.fails, self.fuel) = (false, self.rows.limits.fuel);
        if matches!(self.rows.function.proof, Proof::Unproven(_)) {
            self.running = None;
        }
        Ok(())
    }

    /// Finishes the current person.
    fn close(&mut self) -> Result<(), RunError> {
        if self.open.take().is_none() {
            return Ok(());
        }
        self.failed += u64::from(self.fails);
        let sums = if self.fails { &self.defaults } else { &self.sums };
        self.done.iter_mut().zip(sums).for_each(|(done, sum)| done.push(*sum));
        if self.done[0].len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let values: Vec<&[f64]> = self.done.iter().map(Vec::as_slice).collect();
        self.plan.close_vectors(&mut self.group, &values, &self.defaults)?;
        self.done.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Adds the results for these rows of the current person, in their order.
    fn add(&mut self, rows: Range<usize>) {
        // A row's price is its proven maximum; without one, its actual fuel was counted.
        let most = if let Proof::Bounded(most) = self.rows.function.proof { most } else { 0 };
        let Some(left) = self.fuel.checked_sub(most.saturating_mul(rows.len() as u64)) else {
            self.fails = true;
            return;
        };
        self.fuel = left;
        for (sum, given) in self.sums.iter_mut().zip(&self.given) {
            *sum = given[rows.clone()].iter().fold(*sum, |sum, number| sum + number);
        }
    }

    /// Copies these rows into the driver's memory and, if the function has a bound, executes them at once.
    ///
    /// The first of `people` may be the current person, continued.
    fn lay(&mut self, rows: Range<usize>, goes_on: bool, people: &mut [Share]) -> Result<How, RunError> {
        if self.rows.driver.is_none() {
            return Ok(How::Single);
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => match self.rows.start() {
                Ok(running) => none.insert(running),
                // It cannot be instantiated, for anybody: everybody has the fallback values.
                Err(_) => return Ok(How::Single),
            },
        };
        let Some(many) = &running.many else { return Ok(How::Single) };
        let bytes = many.memory.data_mut(&mut running.store);
        for (place, column) in bytes.chunks_exact_mut(driver::COLUMN_BYTES).zip(&self.taken) {
            let places = place.as_chunks_mut::<8>().0;
            places.iter_mut().zip(&column[rows.clone()]).for_each(|(place, number)| *place = number.to_le_bytes());
        }
        let Proof::Bounded(most) = self.rows.function.proof else { return Ok(How::Laid) };
        let tank = self.rows.limits.fuel;
        for (i, person) in people.iter_mut().enumerate() {
            let fuel = match i {
                0 if goes_on && self.fails => 0,
                0 if goes_on => self.fuel,
                _ => tank,
            };
            person.done = most.max(1).saturating_mul(person.rows.len() as u64) <= fuel;
        }
        let store = &mut running.store;
        execute(people, |rows| {
            let run = many.run.call(&mut *store, (rows.start as i32, rows.end as i32));
            run.map_err(|_| many.trapped(&mut *store))
        });
        self.read(0..rows.len());
        Ok(How::Done)
    }

    /// Reads the results for these rows.
    fn read(&mut self, rows: Range<usize>) {
        let Some(Running { store, many: Some(many), .. }) = &self.running else { return };
        let columns = many.memory.data(store).chunks_exact(driver::COLUMN_BYTES).skip(self.taken.len());
        for (given, column) in self.given.iter_mut().zip(columns) {
            given.resize(driver::ROWS, 0.0);
            let places = &column.as_chunks::<8>().0[rows.clone()];
            given[rows.clone()].iter_mut().zip(places).for_each(|(number, place)| *number = f64::from_le_bytes(*place));
        }
    }

    /// Calls the function for these rows of the current person, which are in the driver's memory.
    fn call(&mut self, rows: Range<usize>) -> Result<(), RunError> {
        let counted = self.rows.function.proof == Proof::Stateless;
        let Some(Running { store, many: Some(many), overhead, .. }) = &mut self.running else { return Ok(()) };
        if counted {
            store.set_fuel(self.fuel.saturating_add(*overhead)).map_err(engine_error)?;
        }
        self.fails = many.run.call(&mut *store, (rows.start as i32, rows.end as i32)).is_err();
        if counted {
            self.fuel = store.get_fuel().map_err(engine_error)?;
        }
        if !self.fails {
            self.read(rows.clone());
            self.add(rows);
        }
        Ok(())
    }

    /// Calls the function for a row of the current person, in their own instance.
    fn call_one(&mut self, row: usize) {
        if self.fails {
            return;
        }
        let mut running = match self.running.take().map_or_else(|| self.rows.start(), Ok) {
            Ok(running) => running,
            Err(_) => {
                self.fails = true;
                return;
            }
        };
        let taken: Vec<Val> = self.taken.iter().map(|column| Val::F64(column[row].to_bits())).collect();
        let mut given = vec![Val::F64(0); self.sums.len()];
        self.fails = running.row.call(&mut running.store, &taken, &mut given).is_err();
        self.sums.iter_mut().zip(&given).for_each(|(sum, given)| *sum += given.f64().unwrap_or(f64::NAN));
        self.running = Some(running);
    }
}

/// Way of calling the function for rows.
#[derive(Debug, Clone, Copy)]
enum How {
    /// Already called, at once for all people who can pay.
    Done,
    /// By the driver, a person's rows at a time.
    Laid,
    /// Row by row.
    Single,
}

impl Rows {
    fn start(&self) -> wasmtime::Result<Running> {
        let bounded = matches!(self.function.proof, Proof::Bounded(_));
        let mut store = self.limits.store(&self.engine, Call::new(self.limits.of_store(), Handed::default(), false), !bounded)?;
        if self.function.proof == Proof::Stateless {
            // The instance is for all people.
            store.data_mut().give();
            store.set_fuel(u64::MAX >> 1)?;
        }
        let instance = Instance::new(&mut store, &self.module, &[])?;
        let row = instance.get_func(&mut store, ROW).ok_or_else(|| wasmtime::format_err!("no {ROW}"))?;
        let (mut many, mut overhead) = (None, 0);
        if let Some(driver) = &self.driver {
            let mut linker = Linker::new(&self.engine);
            linker.define(&store, driver::MODULE, ROW, row)?;
            let driver = linker.instantiate(&mut store, driver)?;
            let memory = driver.get_memory(&mut store, driver::MEMORY).ok_or_else(|| wasmtime::format_err!("no memory"))?;
            let at = driver.get_global(&mut store, driver::AT).ok_or_else(|| wasmtime::format_err!("no global"))?;
            many = Some(Loop { run: driver.get_typed_func::<(i32, i32), ()>(&mut store, driver::RUN)?, memory, at });
        }
        if let (Some(Loop { run, .. }), false) = (&many, bounded) {
            let before = u64::MAX >> 1;
            store.set_fuel(before)?;
            // The first call pays for the instances' memory, once for all people.
            run.call(&mut store, (0, 0))?;
            store.set_fuel(before)?;
            run.call(&mut store, (0, 0))?;
            overhead = before.saturating_sub(store.get_fuel()?);
        }
        Ok(Running { store, row, many, overhead })
    }
}

/// Converts a column to numbers: flags become 0 and 1, missing values and non-numbers NaN.
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
