//! One rule of a list of system calls: whose it is, the call, for which arguments, and why.

/// Who is behind the walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Plans queries, compiles and runs components, holds rows.
    Worker,
    /// Runs a model on the processor.
    Runner,
    /// Runs a model on a GPU.
    DeviceRunner,
}

/// Which arguments a call is allowed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Any.
    Any,
    /// The argument of this number has all of these bits.
    Bits(u8, u64),
    /// The argument of this number has none of these bits.
    NoBits(u8, u64),
    /// The argument of this number is this.
    Just(u8, u64),
    /// The argument of this number, without these bits, is this.
    Under(u8, u64, u64),
}

/// A call that is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Whose rule it is.
    pub who: &'static [Who],
    /// Its name.
    pub name: &'static str,
    /// Its number here.
    pub number: i64,
    /// With which arguments.
    pub with: With,
    /// What it is for.
    pub why: &'static str,
}

/// The worker's alone; the runner's on the processor alone; on a device alone; those of runners; of all.
pub(crate) const W: &[Who] = &[Who::Worker];
pub(crate) const R: &[Who] = &[Who::Runner];
pub(crate) const D: &[Who] = &[Who::DeviceRunner];
pub(crate) const WR: &[Who] = &[Who::Worker, Who::Runner, Who::DeviceRunner];

macro_rules! calls {
    ($($who:ident $name:ident $with:expr, $why:literal;)*) => {
        [$(Call { who: $who, name: stringify!($name), number: libc::$name, with: $with, why: $why }),*]
    };
}
pub(crate) use calls;
