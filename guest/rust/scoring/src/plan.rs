//! The parameters: a line each.
//!
//! ```text
//! rows 1024                  most rows of a run; without it a run has all of them
//! together                   the output is one answer for all rows of a run
//! input f32 3,8,8 pixels     an input: type (f32, f64, i32, i64, u8, bool), shape of a row (`.` for a single value), name
//! label outcome              a column that is no feature
//! reduce mean                rows to one number: mean, max, sum, last
//! take 0 1                   numbers of the output: from which on, how many
//! labelled 0                 a number, and the label
//! class                      the label, and the place of the largest number
//! ```

/// What the rows of a unit are made of its model.
pub(crate) struct Plan {
    pub(crate) rows: Option<usize>,
    pub(crate) together: bool,
    pub(crate) inputs: Vec<Input>,
    pub(crate) label: Option<String>,
    pub(crate) reduce: Reduce,
    pub(crate) takes: Vec<Takes>,
}

pub(crate) struct Input {
    pub(crate) kind: Kind,
    pub(crate) row: Vec<u32>,
    pub(crate) name: String,
}

impl Input {
    /// Values of a row.
    pub(crate) fn width(&self) -> usize {
        self.row.iter().product::<u32>() as usize
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F64,
    I32,
    I64,
    U8,
    Bool,
}

impl Kind {
    /// Bytes of a value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::U8 | Self::Bool => 1,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Reduce {
    Mean,
    Max,
    Sum,
    Last,
}

pub(crate) enum Takes {
    Numbers(usize, usize),
    Labelled(usize),
    Class,
}

impl Plan {
    /// Reads it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut plan = Self { rows: None, together: false, inputs: vec![], label: None, reduce: Reduce::Mean, takes: vec![] };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            plan.line(line).ok_or_else(|| format!("a parameter that is not understood: {line}"))?;
        }
        Ok(plan)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "rows" => self.rows = Some(rest.parse().ok()?),
            "label" => self.label = Some(rest.to_owned()),
            "together" => self.together = true,
            "class" => self.takes.push(Takes::Class),
            "labelled" => self.takes.push(Takes::Labelled(rest.parse().ok()?)),
            "take" => {
                let (from, many) = rest.split_once(' ')?;
                self.takes.push(Takes::Numbers(from.parse().ok()?, many.parse().ok()?));
            }
            "reduce" => {
                self.reduce = match rest {
                    "mean" => Reduce::Mean,
                    "max" => Reduce::Max,
                    "sum" => Reduce::Sum,
                    "last" => Reduce::Last,
                    _ => return None,
                }
            }
            "input" => {
                let (kind, rest) = rest.split_once(' ')?;
                let (row, name) = rest.split_once(' ')?;
                let kind = match kind {
                    "f32" => Kind::F32,
                    "f64" => Kind::F64,
                    "i32" => Kind::I32,
                    "i64" => Kind::I64,
                    "u8" => Kind::U8,
                    "bool" => Kind::Bool,
                    _ => return None,
                };
                let row = row.split(',').filter(|n| *n != ".").map(|n| n.parse().ok()).collect::<Option<_>>()?;
                self.inputs.push(Input { kind, row, name: name.to_owned() });
            }
            _ => return None,
        }
        Some(())
    }

    /// Numbers of the contribution.
    pub(crate) fn numbers(&self) -> usize {
        self.takes.iter().map(|takes| if let Takes::Numbers(_, many) = takes { *many } else { 2 }).sum()
    }
}
