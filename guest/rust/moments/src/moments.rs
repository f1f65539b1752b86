//! The loops alone: the same code in the guest and natively.

use std::hint::black_box;

use tidegate_guest::eights;

/// Mean and variance of `a`, and its covariance with `b`, in two passes, `times` over; an element at a time.
pub(crate) fn plain(a: &[f64], b: &[f64], times: usize) -> [f64; 3] {
    let n = a.len().max(1) as f64;
    let mut moments = [0.0; 3];
    for _ in 0..times {
        // No compiler may make the passes once for all.
        let (a, b) = black_box((a, b));
        let (mut sum_a, mut sum_b) = (0.0, 0.0);
        for i in 0..a.len().min(b.len()) {
            sum_a += a[i];
            sum_b += b[i];
        }
        let (mean_a, mean_b) = (sum_a / n, sum_b / n);
        let (mut variance, mut covariance) = (0.0, 0.0);
        for i in 0..a.len().min(b.len()) {
            variance += (a[i] - mean_a) * (a[i] - mean_a);
            covariance += (a[i] - mean_a) * (b[i] - mean_b);
        }
        moments = [mean_a, variance / n, covariance / n];
    }
    moments
}

/// The same, eight elements a turn.
pub(crate) fn chunked(a: &[f64], b: &[f64], times: usize) -> [f64; 3] {
    let n = a.len().max(1) as f64;
    let mut moments = [0.0; 3];
    for _ in 0..times {
        // No compiler may make the passes once for all.
        let (a, b) = black_box((a, b));
        let (mean_a, mean_b) = (sum(a) / n, sum(b) / n);
        let (mut variance, mut covariance) = ([0.0; 8], [0.0; 8]);
        let ((many_a, rest_a), (many_b, rest_b)) = (eights(a), eights(b));
        for (a, b) in many_a.zip(many_b) {
            for k in 0..8 {
                variance[k] += (a[k] - mean_a) * (a[k] - mean_a);
                covariance[k] += (a[k] - mean_a) * (b[k] - mean_b);
            }
        }
        for (k, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
            variance[k] += (a - mean_a) * (a - mean_a);
            covariance[k] += (a - mean_a) * (b - mean_b);
        }
        moments = [mean_a, variance.iter().sum::<f64>() / n, covariance.iter().sum::<f64>() / n];
    }
    moments
}

fn sum(values: &[f64]) -> f64 {
    let (many, rest) = eights(values);
    let mut sums = [0.0; 8];
    for eight in many {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}
