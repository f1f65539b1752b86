//! Sketch of the people in a dataset, for its owner alone: used to notice when the same people are published again in other
//! files.
//!
//! The least hashes of a set represent it (bottom-k: Cohen and Kaplan, PODC 2007): those of two sets tell how much they have in
//! common.

use std::collections::BTreeSet;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::DataType,
};
use serde::{Deserialize, Serialize};

/// Number of hashes kept: statements about larger sets are accurate to some percent.
const KEPT: usize = 512;
const CONTEXT: &str = "tidegate 2026-11-29 a unit in the sketch of its dataset";

/// Least hashes of a dataset's units, with the number of units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    units: u64,
    least: BTreeSet<u64>,
}

impl People {
    /// Adds units, each once. Equal names are equal whatever their types: 7 equals `7`.
    pub(super) fn see(&mut self, units: &ArrayRef) {
        let bytes = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        let names: Vec<Option<Vec<u8>>> = match units.data_type() {
            DataType::Binary => units.as_binary::<i32>().iter().map(bytes).collect(),
            _ => match cast(units, &DataType::Utf8) {
                Ok(texts) => texts.as_string::<i32>().iter().map(|text| bytes(text.map(str::as_bytes))).collect(),
                Err(_) => return,
            },
        };
        for name in names.into_iter().flatten() {
            let mut hash = [0; 8];
            blake3::Hasher::new_derive_key(CONTEXT).update(&name).finalize_xof().fill(&mut hash);
            self.units += 1;
            let hash = u64::from_le_bytes(hash);
            if self.least.len() < KEPT || self.least.last().is_some_and(|last| hash < *last) {
                self.least.insert(hash);
                if self.least.len() > KEPT {
                    self.least.pop_last();
                }
            }
        }
    }

    /// Estimates the share of the smaller dataset's units found in the other too, in percent.
    pub fn in_common(&self, other: &Self) -> u64 {
        let all: BTreeSet<u64> = self.least.union(&other.least).copied().take(KEPT).collect();
        let both = all.iter().filter(|hash| self.least.contains(hash) && other.least.contains(hash)).count() as f64;
        let smaller = self.units.min(other.units);
        if all.is_empty() || smaller == 0 {
            return 0;
        }
        let alike = both / all.len() as f64;
        let together = alike / (1.0 + alike) * (self.units + other.units) as f64;
        (together / smaller as f64 * 100.0).clamp(0.0, 100.0).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn it_says_how_many_are_the_same_whatever_their_type() {
        let of = |units: ArrayRef| {
            let mut people = People::default();
            people.see(&units);
            people
        };
        let numbers = |range: std::ops::Range<i64>| of(Arc::new(range.collect::<Int64Array>()));
        let texts: StringArray = (0..5000).rev().map(|i| Some(i.to_string())).collect();
        let all = numbers(0..5000);
        assert_eq!(all.in_common(&of(Arc::new(texts))), 100);
        assert_eq!(all.in_common(&numbers(5000..9000)), 0);
        assert!((40..=60).contains(&all.in_common(&numbers(2500..7500))), "{}", all.in_common(&numbers(2500..7500)));
        assert!((80..=100).contains(&all.in_common(&numbers(0..2500))));
        assert_eq!(numbers(0..40).in_common(&numbers(30..70)), 25);
        assert_eq!(People::default().in_common(&all), 0);
    }
}
