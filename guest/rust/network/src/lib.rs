//! Mean score of a person's rows by a network of one hidden layer, whose weights come beside the program.
//!
//! Columns: the inputs, of numbers; a row with a missing one is left out. Data: floats of 64 bits, little-endian: for each hidden node its inputs'
//! weights and its bias, then the weight of each hidden node, then the last bias. Returns the mean of the rows' scores, each in (0, 1), and how many there were.

mod network;

use network::Network;
use tidegate_guest::{Guest, Rows, data, data_len, f64s, number};

struct Score;

impl Guest for Score {
    fn contribute(rows: Rows) -> Vec<f64> {
        let Some(network) = Network::new(f64s(&data(0, data_len() as u32)), rows.columns.len()) else { return vec![] };
        let inputs = |row: usize| rows.columns.iter().map(|column| number(column, row)).collect::<Option<Vec<f64>>>();
        let scores: Vec<f64> = (0..rows.len as usize).filter_map(inputs).map(|inputs| network.score(&inputs)).collect();
        vec![scores.iter().sum::<f64>() / scores.len().max(1) as f64, scores.len() as f64]
    }
}

tidegate_guest::export!(Score with_types_in tidegate_guest::bindings);
