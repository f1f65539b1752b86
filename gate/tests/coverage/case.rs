//! What is released, of whom, and the truth.

use tidegate_gate::{Column, GroupSums, Keys, Measure, Plan, Shape, Sums, release};
use tidegate_protocol::{ContentHash, Cost, job::Blocks, job::Key, result::Cell};

use crate::seen::Seen;

/// People, a score and a label, or two values, for each row of each.
pub(crate) type People = Vec<Vec<[f64; 2]>>;

/// How many people there are where nothing else is said.
pub(crate) const UNITS: usize = 1000;

/// Groups that are released together: each as if it were alone.
const GROUPS: usize = 48;

/// In which form they are released.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// As a group of a declared key, so many rows of a person at most.
    Group(u32),
    /// As blocks, a row each, of which a person is in so many.
    Blocks(u32),
    /// As a group that is there where it passes its threshold.
    Undeclared,
    /// As the sum over groups that are not there, each person in this many groups at most.
    Remainder(u32),
}

/// A measure, people, and the true numbers; those that are none (0/0) are not looked at.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) measure: Measure,
    /// Another measure of the same value in the same release, which then pays for both. Its numbers come after the first one's.
    pub(crate) beside: Option<Measure>,
    pub(crate) form: Form,
    pub(crate) people: People,
    pub(crate) truths: Vec<f64>,
}

/// In [0, 1), the same in every run.
pub(crate) fn random(i: usize, salt: u64) -> f64 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 29;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// So many people of one row each.
pub(crate) fn people(number: usize, of: impl Fn(f64, f64) -> [f64; 2]) -> People {
    (0..number).map(|i| vec![of(random(i, 1), random(i, 2))]).collect()
}

/// 1 for yes.
pub(crate) fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// What a measure is called that stands beside another.
fn reducer(measure: &Measure) -> &'static str {
    match measure {
        Measure::Mean(_) => "mean",
        Measure::Quantiles(_) => "quantiles",
        other => panic!("{other:?} stands beside nothing"),
    }
}

impl Case {
    /// What was seen of each number in `runs` releases or a few more; nothing where none can appear.
    pub(crate) fn release(&self, cost: Cost, runs: usize) -> Vec<(String, Seen)> {
        let plan = self.plan();
        let calibration = plan.calibrate(cost).unwrap();
        let sums = self.sums(&plan);
        let declared: Vec<Vec<Key>> = match self.form {
            Form::Group(_) => sums.groups.iter().map(|group| group.key.clone()).collect(),
            _ => vec![],
        };
        if self.form == Form::Undeclared && calibration.threshold.is_some_and(|t| t.tau > self.people.len() as i64) {
            return vec![];
        }
        let mut seen = vec![Seen::default(); self.truths.len()];
        while seen[0].runs < runs {
            let result = release(&plan, &calibration, &declared, &sums, ContentHash([0; 32])).unwrap();
            let rows = result.document().rows.iter().map(|row| &row.cells).chain(&result.document().remainder);
            for cells in rows {
                self.check(cells);
                seen.iter_mut().zip(cells).zip(&self.truths).for_each(|((seen, cell), truth)| seen.add(cell, *truth));
            }
        }
        let name = plan.mechanism(&calibration).columns[0].reducer.clone();
        let name = if matches!(self.form, Form::Remainder(_)) { format!("remainder {name}") } else { name };
        let named = plan.result_names().into_iter().map(|n| match self.beside {
            Some(_) => n,
            None if n.starts_with(' ') => format!("{name}{n}"),
            None => format!("{name} {n}"),
        });
        named.zip(seen).zip(&self.truths).filter(|(_, truth)| truth.is_finite()).map(|(named, _)| named).collect()
    }

    fn plan(&self) -> Plan {
        let columns = match &self.beside {
            None => vec![Column::new("", self.measure.clone())],
            Some(beside) => {
                let named = |measure: &Measure, other: &Measure| {
                    Column::new(format!("{} beside {}", reducer(measure), reducer(other)), measure.clone())
                };
                vec![named(&self.measure, beside), named(beside, &self.measure)]
            }
        };
        let (keys, max_groups, max_rows) = match self.form {
            Form::Group(rows) => (Keys::Declared(GROUPS as u32), 1, rows),
            Form::Blocks(_) => (Keys::None, 1, 1),
            Form::Undeclared => (Keys::Undeclared { min_units: self.people.len() as u32, remainder: false }, 1, 1),
            Form::Remainder(groups) => (Keys::Undeclared { min_units: 1, remainder: true }, groups, 1),
        };
        let blocks = match self.form {
            Form::Blocks(resample) => Some(Blocks { number: self.people.len() as u32, resample }),
            _ => None,
        };
        let key_names = if keys == Keys::None { vec![] } else { vec!["k".to_owned()] };
        Plan::new(Shape { key_names, keys, columns, max_groups, max_rows, blocks }).unwrap()
    }

    fn sums(&self, plan: &Plan) -> Sums {
        let of = |people: &[Vec<[f64; 2]>]| {
            let mut group = plan.group(vec![]);
            for rows in people {
                let values = |measure: &Measure| 0..measure.values();
                let places = values(&self.measure).chain(self.beside.iter().flat_map(values));
                let columns: Vec<Vec<f64>> = places.map(|i| rows.iter().map(|row| row[i]).collect()).collect();
                plan.close_rows(&mut group, &columns.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            }
            // What takes no value is told of one row.
            if self.measure == Measure::Count {
                group.lanes = vec![people.iter().map(|rows| rows.len().min(plan.shape().max_rows as usize) as i128).sum()];
            }
            group
        };
        let keyed = |(i, group): (usize, GroupSums)| GroupSums { key: vec![Key::Int(i as i64)], ..group };
        let groups = match self.form {
            Form::Blocks(_) => vec![of(&self.people)],
            // One person each: too few to appear.
            Form::Remainder(_) => self.people.chunks(1).map(of).enumerate().map(keyed).collect(),
            Form::Group(_) | Form::Undeclared => vec![of(&self.people); GROUPS].into_iter().enumerate().map(keyed).collect(),
        };
        Sums { groups }
    }

    /// What is computed from several noised numbers is never known for certain, at the ends of its range neither. Counts are first in a confusion matrix.
    fn check(&self, cells: &[Cell]) {
        let computed = match self.measure {
            Measure::Mean(_) | Measure::Variance(_) | Measure::Covariance(_) | Measure::Quantiles(_) => 0,
            Measure::Scores(_) | Measure::Reliability(_) => 0,
            Measure::Confusion(confusion) => confusion.classes.pow(2) as usize,
            _ => usize::MAX,
        };
        for (i, cell) in cells.iter().enumerate() {
            let sound = cell.low <= cell.value && cell.value <= cell.high && (i < computed || cell.low < cell.high);
            assert!(sound, "{cell:?} of {:?}, {}", self.measure, self.name);
        }
    }
}
