//! Plans with arbitrary floats as bounds, weights, prices and values: either refused, or no row and no unit adds more than the
//! noise covers.

use tidegate_gate::{
    Column, Covariance, Histogram, Keys, Kind, Mean, Measure, Plan, Quantiles, Scores, Shape, Sum, Sums, Variance, Vector,
    release,
};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    job::{Blocks, Key},
};

/// Consumes bytes from the front; zeros after the end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn float(&mut self) -> f64 {
        f64::from_bits(u64::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    fn measure(&mut self) -> Measure {
        let (lo, hi, flag, n) = (self.float(), self.float(), self.byte().is_multiple_of(2), u32::from(self.byte()));
        match self.byte() % 10 {
            0 => Measure::Units,
            1 => Measure::Count,
            2 => Measure::Sum(Sum { lo, hi }),
            3 => Measure::Mean(Mean { lo, hi }),
            4 => Measure::Variance(Variance { lo, hi, sample: flag, root: !flag }),
            5 => {
                Measure::Covariance(Covariance { x: (lo, hi), y: (self.float(), self.float()), sample: flag, correlation: !flag })
            }
            6 => Measure::Histogram(Histogram { lo, hi, bins: n }),
            7 => Measure::Quantiles(Quantiles { lo, hi, bins: 16, at: vec![self.float()] }),
            8 => Measure::Scores(Scores { lo, hi, bins: n, cut: self.float() }),
            _ => Measure::Vector(Vector { len: n, norm: hi }),
        }
    }
}

/// Runs an input; returns whether it was a valid plan.
pub fn run(bytes: &[u8]) -> bool {
    let mut bytes = Bytes(bytes);
    let columns: Vec<Column> = (0..1 + bytes.byte() % 3)
        .map(|i| Column {
            weight: if bytes.byte() % 4 == 0 { bytes.float() } else { 1.0 },
            ..Column::new(i.to_string(), bytes.measure())
        })
        .collect();
    let blocks = (bytes.byte() % 3 == 0).then_some(Blocks { number: 20, resample: 1 + u32::from(bytes.byte() % 2) });
    let keys = if blocks.is_none() && bytes.byte() % 2 == 0 { Keys::Declared(2) } else { Keys::None };
    let shape = Shape {
        key_names: if keys == Keys::None { vec![] } else { vec!["k".into()] },
        keys,
        columns,
        max_groups: 1 + u32::from(bytes.byte()),
        max_rows: if blocks.is_some() { 1 } else { 1 + u32::from(bytes.byte() % 4) },
        blocks,
    };
    let Ok(plan) = Plan::new(shape) else { return false };
    let rows = usize::from(bytes.byte() % 8);
    let mut values = |n: usize| (0..n).map(|_| (0..rows).map(|_| bytes.float()).collect()).collect::<Vec<Vec<f64>>>();
    let columns: Vec<Vec<Vec<f64>>> = plan.shape().columns.iter().map(|column| values(column.measure.values())).collect();
    for (i, values) in columns.iter().enumerate() {
        let mut fields = vec![vec![]; plan.fields_of(i)];
        plan.lay(i, rows, &values.iter().map(Vec::as_slice).collect::<Vec<_>>(), None, &mut fields);
        let mut fields = fields.iter();
        for part in &plan.parts()[plan.parts_of(i)] {
            for value in fields.by_ref().take(part.fields()).flatten().map(|value| i64::from(*value)) {
                let all = value * plan.rows_within_clip() as i64;
                match part.kind {
                    Kind::Bins => assert!((-1..part.lanes as i64).contains(&value), "{value} in {part:?}"),
                    Kind::Once => assert_eq!(value, 1),
                    Kind::Sum => assert!(value == 0 || (part.clip_lo..=part.clip_hi).contains(&all), "{value} in {part:?}"),
                }
            }
        }
    }
    let key = if keys == Keys::None { vec![] } else { vec![Key::Int(1)] };
    let mut group = plan.group(key.clone());
    let values: Vec<&[f64]> = columns.iter().flatten().map(Vec::as_slice).collect();
    let vectors = plan.shape().columns.iter().any(|column| matches!(column.measure, Measure::Vector(_)));
    let closed = plan.close_rows(&mut group, &values);
    assert_eq!(closed.is_err(), vectors && rows > 1, "{closed:?}");
    for part in plan.parts() {
        let lanes = &group.lanes[part.range()];
        let square: i128 = lanes.iter().map(|lane| lane * lane).sum();
        // A block's place in its range is not a move; from one end to the other is.
        let most = if blocks.is_some() {
            i128::from(part.clip_hi.max(-part.clip_lo)).pow(2)
        } else {
            i128::from(part.sensitivity).pow(2)
        };
        assert!(square <= most && part.sensitivity > 0, "{lanes:?} in {part:?}");
    }
    let (price, delta) = (1 + u64::from(bytes.byte()), FemtoDelta(0));
    for cost in [Cost::dp(MicroRho(price), delta), Cost::pure(MicroEpsilon(price), delta)] {
        let Ok(calibration) = plan.calibrate(cost) else { continue };
        let declared = if keys == Keys::None { vec![] } else { vec![key.clone(), vec![Key::Int(2)]] };
        let of = |sums: &Sums| release(&plan, &calibration, &declared, sums, ContentHash([0; 32])).unwrap().document().clone();
        let (some, none) = (of(&Sums { groups: vec![group.clone()] }), of(&Sums::default()));
        let finite = |cell: &tidegate_protocol::result::Cell| cell.value.is_finite() && cell.low <= cell.high;
        assert!(some.rows.iter().flat_map(|row| &row.cells).all(finite), "{some:?}");
        assert!(some.rows.iter().zip(&none.rows).all(|(a, b)| a.key == b.key && a.cells.len() == b.cells.len()));
        assert_eq!(some.rows.len(), none.rows.len());
    }
    true
}
