//! k-means by sample and aggregate (Nissim, Raskhodnikova, Smith 2007): each block of people is clustered by itself, and the blocks' centres are averaged.
//!
//! Columns: numbers, all that a point has. Parameters: the starting centres as text, a centre's numbers separated by spaces, centres by semicolons.
//! Contribution: the centres after Lloyd's steps (Lloyd 1982, eq. 3.1), in the order of the starting ones, so that they mean the same in each block.

use tidegate_guest::{Guest, Rows, log, number, params};

const STEPS: usize = 20;

struct KMeans;

impl Guest for KMeans {
    fn contribute(rows: Rows) -> Vec<f64> {
        let text = String::from_utf8(params()).unwrap_or_default();
        let centre = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
        let Ok(mut centres) = text.split(';').map(centre).collect::<Result<Vec<_>, _>>() else {
            log("the parameters are not numbers");
            return vec![];
        };
        let point = |row: usize| rows.columns.iter().map(|column| number(column, row)).collect::<Option<Vec<f64>>>();
        let points: Vec<Vec<f64>> = (0..rows.len as usize).filter_map(point).collect();
        for _ in 0..STEPS {
            let mut sums = vec![(vec![0.0; rows.columns.len()], 0.0); centres.len()];
            for point in &points {
                let (sum, count) = &mut sums[nearest(&centres, point)];
                sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
                *count += 1.0;
            }
            for (centre, (sum, count)) in centres.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0.0) {
                centre.iter_mut().zip(sum).for_each(|(centre, sum)| *centre = sum / count);
            }
        }
        centres.concat()
    }
}

fn nearest(centres: &[Vec<f64>], point: &[f64]) -> usize {
    let distance = |centre: &Vec<f64>| centre.iter().zip(point).map(|(c, x)| (c - x) * (c - x)).sum::<f64>();
    (0..centres.len()).min_by(|a, b| distance(&centres[*a]).total_cmp(&distance(&centres[*b]))).unwrap_or_default()
}

tidegate_guest::export!(KMeans with_types_in tidegate_guest::bindings);
