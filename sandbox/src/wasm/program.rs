//! Programs from modules: a component, or a core module with a row function.

use tidegate_gate::{Plan, Sums};
use tidegate_protocol::{
    Refusal,
    device::Place,
    job::{self, Split},
    policy::Policy,
};

use super::{
    code::{compile_rows, engine_for, row_function},
    driver::driver,
    guest::{Asked, Guest, Limits, startup_of},
    module::{is_core, refuse},
    prices::Layout,
    rows::Rows,
    run::ways,
    stateless::{Proof, ROW},
};
use crate::{Attachment, Extent, Help, RunError, Sent, onnx::Beside, sql::Select};

/// Admitted program.
#[derive(Debug)]
pub enum Program {
    /// Component, with an instance for each call.
    Component(Guest),
    /// Row function.
    Rows(Rows),
}

impl Program {
    /// Returns the select for its rows.
    pub fn select(&self) -> &Select {
        match self {
            Self::Component(guest) => &guest.select,
            Self::Rows(rows) => &rows.select,
        }
    }

    /// Compiles a module, or loads its code, and checks the module against the job.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the import or the fault.
    pub fn admit(
        attachment: &Attachment,
        select: Select,
        program: &job::Program,
        policy: &Policy,
        place: Place,
    ) -> Result<Self, Refusal> {
        let asked = Asked::of(program)?;
        let bytes = policy.limits.memory_bytes as usize;
        let layout = match attachment.program() {
            Sent::Bytes(program) => Layout::of(program, bytes),
            Sent::Code(code) => code.layout()?,
        };
        let function = match attachment.program() {
            Sent::Bytes(program) if is_core(program) => Some(row_function(program, layout)?),
            Sent::Bytes(_) => None,
            Sent::Code(code) => code.function()?,
        };
        let Some(function) = function else {
            return Ok(Self::Component(Guest::admit((attachment, layout), select, asked, policy, place)?));
        };
        let Asked { params, split, outputs, .. } = asked;
        if split != Split::Unit {
            let refusal = refuse("a row function is called for the rows of a person, not of a block").at("program.split");
            return Err(refusal.fix("Remove split, or make it a component"));
        }
        if !params.is_empty() {
            return Err(refuse("a row function has no parameters").at("program.params_base64").fix("Write them into it"));
        }
        if !attachment.data().is_empty() {
            return Err(refuse("a row function has no data").at("program.data").fix("Make it a component"));
        }
        let engine = engine_for(&function, bytes, layout)?;
        let module = match attachment.program() {
            Sent::Bytes(program) => compile_rows(&engine, program, Some(layout).filter(|_| function.is_counted()))?,
            Sent::Code(code) => code.load_rows(&engine)?,
        };
        let driver = match function.proof {
            Proof::Bounded(_) | Proof::Stateless => {
                Some(compile_rows(&engine, &driver(ROW, function.takes, function.gives), None)?)
            }
            Proof::Unproven(_) => None,
        };
        let mut limits = Limits::of(policy, split, &outputs);
        // A proven function has one instance for all people.
        if let Proof::Unproven(_) = function.proof {
            limits = limits.with_startup(startup_of(attachment.program())?)?;
        }
        let rows = Rows { engine, module, function, driver, select, outputs, limits };
        rows.check()?;
        Ok(Self::Rows(rows))
    }

    /// Returns the model sent as its data.
    pub(crate) fn model(&self) -> Option<&Beside> {
        match self {
            Self::Component(guest) => guest.model.as_deref(),
            Self::Rows(_) => None,
        }
    }

    /// Runs the program for each unit or block and passes each vector to the gate.
    ///
    /// # Errors
    /// Returns a [`RunError`] if the data is unreadable; a program's own failures only ever lead to the fallback values.
    pub fn run(&self, plan: &Plan, files: Extent<'_>, prf: &[u8; 32], help: Help<'_>) -> Result<Sums, RunError> {
        match self {
            Self::Component(guest) => guest.run(plan, files, prf, help),
            Self::Rows(rows) => {
                let (group, defaults) = rows.run(ways(), plan, files)?;
                if let Some(shown) = help.rehearsal.filter(|_| defaults > 0) {
                    shown.lines.push(format!(
                        "fallback vector used for {defaults} people: the program trapped, or their fuel was used up"
                    ));
                }
                Ok(Sums { groups: vec![group] })
            }
        }
    }
}
