//! The standard scoring component: columns become tensors, the job's model is run over them, and what it says of the rows is reduced to one contribution.
//!
//! What an ONNX job does by the direct path, as a program to begin with for whoever wants pre- or post-processing of their own. Its parameters are lines, see
//! [`plan`]; the data is the model. Where a value is missing that has no place in a tensor, and of no rows, every number is NaN: the public default.

mod plan;
mod reduce;
mod tensors;

use plan::Plan;
use tidegate_guest::{Guest, Rows, nn, params};

struct Scoring;

impl Guest for Scoring {
    fn contribute(rows: Rows) -> Vec<f64> {
        let text = String::from_utf8(params()).unwrap_or_default();
        let plan = match Plan::read(&text) {
            Ok(plan) => plan,
            Err(why) => {
                tidegate_guest::log(&why);
                return vec![];
            }
        };
        let scored = score(&plan, &rows).unwrap_or_else(|why| {
            tidegate_guest::log(&why);
            None
        });
        match scored {
            Some((numbers, labels)) => reduce::contribution(&plan, &numbers, &labels),
            None => vec![f64::NAN; plan.numbers()],
        }
    }
}

/// What the model says of the rows, row by row, and their labels; nothing where a value is missing, or there is no row.
fn score(plan: &Plan, rows: &Rows) -> Result<Option<(Scored, Vec<f64>)>, String> {
    let columns = tensors::columns(plan, rows)?;
    let most = plan.rows.unwrap_or(rows.len as usize).max(1);
    let mut scored = Scored::default();
    for from in (0..rows.len as usize).step_by(most) {
        let to = (from + most).min(rows.len as usize);
        let Some(inputs) = tensors::inputs(plan, &columns, from..to)? else { return Ok(None) };
        let (_, numbers) = nn::compute(inputs)?;
        scored.width = numbers.len() / if plan.together { 1 } else { to - from };
        scored.numbers.extend(numbers);
    }
    let labels = tensors::labels(plan, rows)?;
    Ok((!scored.numbers.is_empty()).then_some((scored, labels)))
}

/// Numbers of some rows, so many each.
#[derive(Default)]
pub(crate) struct Scored {
    pub(crate) width: usize,
    pub(crate) numbers: Vec<f32>,
}

tidegate_guest::export!(Scoring with_types_in tidegate_guest::bindings);
