//! What is known of a tensor before any row is read: type, shape, and whose rows its parts depend on.

use super::spots::Spot;

/// Type of a value (TensorProto.DataType of the IR). Texts, complex numbers and the types of less than a byte are not among them.
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
    /// By its number in the IR.
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

    /// Its number in the IR.
    pub(crate) fn number(self) -> i32 {
        (1..=16).find(|n| Self::of(*n) == Some(self)).unwrap_or_default()
    }

    /// Whether columns of rows are made such.
    pub(crate) fn is_column(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::I64 | Self::I32 | Self::U8 | Self::Bool)
    }

    /// Bytes of a value.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::F64 | Self::U64 => 8,
        }
    }

    /// Whether it is of some integer type.
    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64 | Self::Bool)
    }
}

/// A dimension: `times` · rows^`power`, where `rows` is how many rows a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dim {
    pub(crate) times: u64,
    pub(crate) power: u8,
}

/// Highest power of the number of rows: attention over rows needs two, a product of such three.
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

    /// How often `other` is in it.
    pub(crate) fn over(self, other: Self) -> Option<Self> {
        let power = self.power.checked_sub(other.power)?;
        let times = self.times.checked_div(other.times)?;
        (times * other.times == self.times).then_some(Self { times, power })
    }

    /// The number, where it does not depend on rows.
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

/// How many values `dims` have.
pub(crate) fn count(dims: &[Dim]) -> Result<Dim, String> {
    dims.iter().try_fold(Dim::ONE, |product, dim| product.times(*dim))
}

/// `[rows, 3, 224]`
pub(crate) fn show(dims: &[Dim]) -> String {
    format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}

/// What a tensor's values depend on, beside the model itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nothing: no dimension depends on the number of rows either.
    Public,
    /// Along this axis, of `k`·rows, the values from `i`·`k` on, `k` of them, depend on row `i` alone, and in the same way for every `i` and every
    /// number of rows. No other dimension depends on the number of rows.
    Rows(usize),
    /// Maybe on other rows than their own, on a row's place or on how many there are. The node of this number began it.
    Mixed(usize),
}

/// A small integer that is known: `times` · rows^`power`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Int {
    pub(crate) times: i64,
    pub(crate) power: u8,
}

impl Int {
    pub(crate) const fn of(times: i64) -> Self {
        Self { times, power: 0 }
    }

    /// The number, where it does not depend on rows.
    pub(crate) fn known(self) -> Option<i64> {
        (self.power == 0 || self.times == 0).then_some(self.times)
    }

    pub(crate) fn dim(self) -> Option<Dim> {
        Some(Dim { times: u64::try_from(self.times).ok()?, power: self.power })
    }
}

/// Most integers that are followed of one tensor: shapes, axes, the divisors of a column each.
pub(crate) const KNOWN: usize = 4096;

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) elem: Elem,
    pub(crate) dims: Vec<Dim>,
    pub(crate) flow: Flow,
    /// Its values, where they are known: of integers or truth values, of one dimension at most.
    pub(crate) ints: Option<Vec<Int>>,
    /// Its values, where they are known but for the number of a row: of whole numbers, of any dimensions.
    pub(crate) spots: Option<Vec<Spot>>,
}

impl Tensor {
    pub(crate) fn new(elem: Elem, dims: Vec<Dim>, flow: Flow) -> Self {
        Self { elem, dims, flow, ints: None, spots: None }
    }

    /// Of known integers: a scalar, or a list.
    pub(crate) fn known(elem: Elem, scalar: bool, ints: Vec<Int>) -> Self {
        let dims = if scalar { vec![] } else { vec![Dim::fixed(ints.len() as u64)] };
        Self { elem, dims, flow: Flow::Public, ints: Some(ints), spots: None }
    }

    pub(crate) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The axis of rows.
    pub(crate) fn axis(&self) -> Option<usize> {
        if let Flow::Rows(axis) = self.flow { Some(axis) } else { None }
    }

    /// A dimension that does not depend on rows.
    pub(crate) fn fixed(&self, axis: usize) -> Result<u64, String> {
        let dim = self.dims.get(axis).ok_or_else(|| format!("has {} dimensions, more are needed", self.rank()))?;
        dim.known()
            .ok_or_else(|| format!("dimension {axis} of {} is the number of rows, a fixed one is needed", show(&self.dims)))
    }
}

/// Work or bytes as a polynomial of the number of rows: its coefficients, saturating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work([u128; POWERS]);

impl Work {
    /// `times` for each of `dim`.
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

    /// The larger of both, of each power of the number of rows.
    pub(crate) fn most(self, other: Self) -> Self {
        let mut most = self;
        most.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine = theirs.max(*mine));
        most
    }

    /// For so many rows.
    pub(crate) fn at(&self, rows: u64) -> u128 {
        self.0.iter().rev().fold(0u128, |sum, c| sum.saturating_mul(rows.into()).saturating_add(*c))
    }
}
