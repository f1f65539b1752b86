//! Facts about a tensor before any row is read: type, shape, and the rows on which its parts depend.

use super::spot::Spot;

/// Type of a value (TensorProto.DataType of the IR), excluding texts, complex numbers and types of less than a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elem {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    Bool,
    F16,
    F64,
    U32,
    U64,
    Bf16,
}

impl Elem {
    /// Returns the type with this number in the IR.
    pub(crate) fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            4 => Self::U16,
            5 => Self::I16,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            12 => Self::U32,
            13 => Self::U64,
            16 => Self::Bf16,
            _ => return None,
        })
    }

    /// Returns its number in the IR.
    pub(crate) fn number(self) -> i32 {
        (1..=16).find(|n| Self::of(*n) == Some(self)).unwrap_or_default()
    }

    /// Returns whether columns of rows are converted to this type.
    pub(crate) fn is_column(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::I64 | Self::I32 | Self::U8 | Self::Bool)
    }

    /// Returns the bytes of a value.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::F64 | Self::U64 => 8,
        }
    }

    /// Returns whether the type is an integer type.
    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64 | Self::Bool)
    }
}

/// Dimension of `times` · rows^`power`, where `rows` is the number of rows in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dim {
    pub(crate) times: u64,
    pub(crate) power: u8,
}

/// Exclusive limit on powers of the number of rows: attention over rows needs two, a product of such three.
pub(crate) const POWERS: usize = 4;

impl Dim {
    pub(crate) const ONE: Self = Self::fixed(1);
    pub(crate) const ROWS: Self = Self { times: 1, power: 1 };

    pub(crate) const fn fixed(times: u64) -> Self {
        Self { times, power: 0 }
    }

    pub(crate) fn times(self, other: Self) -> Result<Self, String> {
        let times = self.times.checked_mul(other.times).filter(|n| *n <= 1 << 62);
        let power = self.power + other.power;
        match times {
            Some(times) if usize::from(power) < POWERS => Ok(Self { times, power }),
            _ => Err("a tensor is too large".into()),
        }
    }

    /// Divides by `other`, if this leaves no remainder.
    pub(crate) fn over(self, other: Self) -> Option<Self> {
        let power = self.power.checked_sub(other.power)?;
        let times = self.times.checked_div(other.times)?;
        (times * other.times == self.times).then_some(Self { times, power })
    }

    /// Returns the number in a run of `rows` rows; the largest there is, if it is larger.
    pub(crate) fn at(self, rows: u32) -> u64 {
        u64::from(rows).saturating_pow(self.power.into()).saturating_mul(self.times)
    }

    /// Returns the number, if independent of rows.
    pub(crate) fn known(self) -> Option<u64> {
        (self.power == 0).then_some(self.times)
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.times, self.power) {
            (times, 0) => write!(f, "{times}"),
            (1, 1) => f.write_str("rows"),
            (times, 1) => write!(f, "{times}·rows"),
            (times, power) => write!(f, "{times}·rows^{power}"),
        }
    }
}

/// Returns the number of values of a tensor with dimensions `dims`.
pub(crate) fn count(dims: &[Dim]) -> Result<Dim, String> {
    dims.iter().try_fold(Dim::ONE, |product, dim| product.times(*dim))
}

/// Formats dimensions, as in `[rows, 3, 224]`.
pub(crate) fn show(dims: &[Dim]) -> String {
    format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}

/// Dependence of a tensor's values on rows, beside the model itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// On nothing: no dimension depends on the number of rows either.
    Public,
    /// Along this axis, of length `k`·rows, the `k` values from `i`·`k` on depend on row `i` alone, and in the same way for every
    /// `i` and every number of rows.
    ///
    /// No other dimension depends on the number of rows.
    Rows(usize),
    /// Possibly on other rows than their own, on a row's place, or on the number of rows.
    ///
    /// The node of this number began the mixing.
    Mixed(usize),
}

/// Small known integer, `times` · rows^`power`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Int {
    pub(crate) times: i64,
    pub(crate) power: u8,
}

impl Int {
    pub(crate) const fn of(times: i64) -> Self {
        Self { times, power: 0 }
    }

    /// Returns the number, if independent of rows.
    pub(crate) fn known(self) -> Option<i64> {
        (self.power == 0 || self.times == 0).then_some(self.times)
    }

    /// Returns the number in a run of `rows` rows; without these, only a number that does not depend on them.
    pub(crate) fn at(self, rows: Option<u32>) -> Option<i64> {
        match (self.known(), rows) {
            (Some(known), _) => Some(known),
            (None, Some(rows)) => i64::from(rows).checked_pow(self.power.into())?.checked_mul(self.times),
            (None, None) => None,
        }
    }

    pub(crate) fn dim(self) -> Option<Dim> {
        Some(Dim { times: u64::try_from(self.times).ok()?, power: self.power })
    }
}

/// Maximum number of integers followed per tensor: shapes, axes, or a divisor for each column.
pub(crate) const KNOWN: usize = 4096;

/// Facts about a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) elem: Elem,
    pub(crate) dims: Vec<Dim>,
    pub(crate) flow: Flow,
    /// Values if known: integers or truth values, of at most one dimension.
    pub(crate) ints: Option<Vec<Int>>,
    /// Values if known except for the number of a row: integers, of any dimensions.
    pub(crate) spots: Option<Vec<Spot>>,
}

impl Tensor {
    pub(crate) fn new(elem: Elem, dims: Vec<Dim>, flow: Flow) -> Self {
        Self { elem, dims, flow, ints: None, spots: None }
    }

    /// Returns a tensor of known integers: a scalar, or a list.
    pub(crate) fn known(elem: Elem, scalar: bool, ints: Vec<Int>) -> Self {
        let dims = if scalar { vec![] } else { vec![Dim::fixed(ints.len() as u64)] };
        Self { elem, dims, flow: Flow::Public, ints: Some(ints), spots: None }
    }

    pub(crate) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Returns the axis of rows.
    pub(crate) fn axis(&self) -> Option<usize> {
        if let Flow::Rows(axis) = self.flow { Some(axis) } else { None }
    }

    /// Returns a dimension, which must not depend on rows.
    pub(crate) fn fixed(&self, axis: usize) -> Result<u64, String> {
        let dim = self.dims.get(axis).ok_or_else(|| format!("has {} dimensions, more are needed", self.rank()))?;
        dim.known()
            .ok_or_else(|| format!("dimension {axis} of {} is the number of rows, a fixed one is needed", show(&self.dims)))
    }
}

/// Work or bytes as a polynomial in the number of rows, with saturating coefficients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work([u128; POWERS]);

impl Work {
    /// Returns `times` for each of `dim`.
    pub(crate) fn of(dim: Dim, times: u64) -> Self {
        let mut work = Self::default();
        work.0[usize::from(dim.power)] = u128::from(dim.times).saturating_mul(times.into());
        work
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Returns the larger coefficient of both for each power of the number of rows.
    pub(crate) fn most(self, other: Self) -> Self {
        let mut most = self;
        most.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine = theirs.max(*mine));
        most
    }

    /// Evaluates the polynomial for this number of rows.
    pub(crate) fn at(&self, rows: u64) -> u128 {
        self.0.iter().rev().fold(0u128, |sum, c| sum.saturating_mul(rows.into()).saturating_add(*c))
    }
}
