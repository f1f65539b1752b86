//! One step of federated training, unread by the owner: the gradient of a logistic regression's loss, averaged over the rows of one unit.
//!
//! Columns: the features, then the label (0 or 1). Parameters: the weights in force as little-endian f64, one a feature and the intercept
//! last; missing ones are 0. Contribution: the gradient in the same order. The job's bounds clip it and the gate adds the noise, which
//! together is DP-SGD with the unit as example (Abadi et al. 2016, algorithm 1) and clipping by coordinate.

use tidegate_guest::{Column, Guest, Rows, number, params};

struct Gradient;

impl Guest for Gradient {
    fn contribute(rows: Rows) -> Vec<f64> {
        let Some((label, features)) = rows.columns.split_last() else { return vec![] };
        let width = features.len() + 1;
        let mut weights: Vec<f64> = params().chunks_exact(8).filter_map(|b| Some(f64::from_le_bytes(b.try_into().ok()?))).collect();
        weights.resize(width, 0.0);
        let (mut gradient, mut count) = (vec![0.0; width], 0.0);
        for row in 0..rows.len as usize {
            let Some((x, y)) = example(features, label, row) else { continue };
            let logit: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let error = 1.0 / (1.0 + (-logit).exp()) - y;
            for (g, x) in gradient.iter_mut().zip(&x) {
                *g += error * x;
            }
            count += 1.0;
        }
        gradient.iter().map(|g| g / f64::max(count, 1.0)).collect()
    }
}

/// A row's features with a 1 for the intercept, and its label; `None` where one is missing.
fn example(features: &[Column], label: &Column, row: usize) -> Option<(Vec<f64>, f64)> {
    let mut x = features.iter().map(|c| number(c, row)).collect::<Option<Vec<f64>>>()?;
    x.push(1.0);
    Some((x, number(label, row)?))
}

tidegate_guest::export!(Gradient with_types_in tidegate_guest::bindings);
