//! A rule in a list of system calls: the processes, the call, its arguments, and the reason.

/// Kind of confined process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Worker: plans queries, compiles and runs components, holds rows.
    Worker,
    /// Runner of a model on the processor.
    Runner,
    /// Runner of a model on a GPU.
    DeviceRunner,
}

/// Arguments allowed for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Any arguments.
    Any,
    /// The argument of this index has all of these bits.
    Bits(u8, u64),
    /// The argument of this index has none of these bits.
    NoBits(u8, u64),
    /// The argument of this index has this value.
    Just(u8, u64),
    /// The argument of this index, without these bits, has this value.
    Under(u8, u64, u64),
}

/// An allowed call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Processes covered by the rule.
    pub who: &'static [Who],
    /// Name of the call.
    pub name: &'static str,
    /// Number of the call on this architecture.
    pub number: i64,
    /// Arguments allowed.
    pub with: With,
    /// Purpose.
    pub why: &'static str,
}

/// Groups of processes, here the worker only. Below: the runner on the processor only, the runner on a device only, and all
/// three.
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
