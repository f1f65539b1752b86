//! Whether rows meet in a model: they are changed, taken away and put elsewhere, and others' numbers are looked at.

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::Tensor,
};
use tidegate_fixtures::models::elem;
use tidegate_sandbox::onnx::{inspect, rewrite};

/// Rows of each input, as floats.
type Inputs = Vec<Vec<Vec<f64>>>;

/// An input's name, type and dimensions, rows first.
type Takes = (String, i32, String);

/// A model in the test's own process.
pub(crate) struct Runs<'a> {
    name: &'a str,
    model: &'a [u8],
    inputs: &'a [Takes],
    session: Session,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(environment: &Environment, name: &'a str, model: &'a [u8], inputs: &'a [Takes]) -> Result<Self, String> {
        let written = rewrite(model, "y", None).map_err(|e| e.to_string())?;
        let session =
            Session::builder(environment).map_err(|e| e.to_string())?.with_intra_threads(1).map_err(|e| e.to_string())?;
        let session = session.with_deterministic_compute(true).map_err(|e| e.to_string())?.commit_from_memory(&written);
        Ok(Self { name, model, inputs, session: session.map_err(|e| format!("{name}: not loaded: {e}"))? })
    }

    /// So many numbers a row.
    fn width(&self, input: usize) -> usize {
        self.inputs[input].2.split(',').skip(1).map(|n| n.parse::<usize>().unwrap()).product()
    }

    fn run(&mut self, inputs: &Inputs) -> Result<Vec<f32>, String> {
        let value = |((name, kind, dims), rows): (&Takes, &Vec<Vec<f64>>)| {
            let shape: Vec<usize> =
                std::iter::once(rows.len()).chain(dims.split(',').skip(1).map(|n| n.parse().unwrap())).collect();
            let flat = rows.iter().flatten().copied();
            let value: SessionInputValue<'_> = match *kind {
                elem::F32 => Tensor::from_array((shape, flat.map(|v| v as f32).collect::<Vec<_>>())).unwrap().into(),
                elem::F64 => Tensor::from_array((shape, flat.collect::<Vec<_>>())).unwrap().into(),
                elem::I64 => Tensor::from_array((shape, flat.map(|v| (v * 12.0) as i64).collect::<Vec<_>>())).unwrap().into(),
                elem::I32 => Tensor::from_array((shape, flat.map(|v| (v * 12.0) as i32).collect::<Vec<_>>())).unwrap().into(),
                elem::U8 => Tensor::from_array((shape, flat.map(|v| (v * 12.0) as u8).collect::<Vec<_>>())).unwrap().into(),
                _ => Tensor::from_array((shape, flat.map(|v| v > 0.0).collect::<Vec<_>>())).unwrap().into(),
            };
            (name.clone(), value)
        };
        let values: Vec<_> = self.inputs.iter().zip(inputs).map(value).collect();
        let outputs = self.session.run(values).map_err(|e| format!("{}: {e}", self.name))?;
        let (_, data) = outputs["y"].try_extract_tensor::<f32>().map_err(|e| format!("{}: {e}", self.name))?;
        Ok(data.to_vec())
    }
}

const ROWS: usize = 6;

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// As near as kernels for other numbers of rows come.
fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 * a.abs().max(1.0))
}

/// Whether some row's numbers were seen to depend on another row, on how many there are, or on its place.
pub(crate) fn rows_meet(runs: &mut Runs<'_>) -> Result<bool, String> {
    let draw = |seed: u64, width: usize| -> Vec<f64> {
        tidegate_fixtures::models::weights(width, seed, 2.0).into_iter().map(f64::from).collect()
    };
    let widths: Vec<usize> = (0..runs.inputs.len()).map(|i| runs.width(i)).collect();
    let inputs: Inputs = widths.iter().map(|w| (0..ROWS as u64).map(|row| draw(row + 1, *w)).collect()).collect();
    let before = runs.run(&inputs)?;
    let seen = inspect(runs.model);
    let numbers = seen.outputs[0].numbers.unwrap() as usize;
    if before.len() != ROWS * numbers {
        return Err(format!("{}: {} numbers, {numbers} a row were found", runs.name, before.len()));
    }
    let row = |all: &[f32], row: usize| all[row * numbers..(row + 1) * numbers].to_vec();
    let mut meet = false;
    for changed in 0..ROWS {
        for value in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1e30), Some(0.0), Some(1e25)] {
            let mut other = inputs.clone();
            for (input, width) in other.iter_mut().zip(&widths) {
                input[changed] = value.map_or_else(|| draw(99 + changed as u64, *width), |v| vec![v; *width]);
            }
            let after = runs.run(&other)?;
            meet |= (0..ROWS).filter(|r| *r != changed).any(|r| !same(&row(&before, r), &row(&after, r)));
        }
        // The others without it.
        let mut fewer = inputs.clone();
        fewer.iter_mut().for_each(|input| {
            input.remove(changed);
        });
        let after = runs.run(&fewer)?;
        meet |= (0..ROWS - 1).any(|r| !near(&row(&before, r + usize::from(r >= changed)), &row(&after, r)));
    }
    Ok(meet)
}
