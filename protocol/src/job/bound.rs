//! Separation of a job into its program, as identified in grants and standing rules, and the parameters chosen anew for each job.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Job, Mode, Program};
use crate::ContentHash;

/// Bound fields, in the order of hashing.
#[derive(Serialize)]
struct Bound<'a> {
    version: u32,
    mode: Mode,
    program: &'a Program,
    weights: &'a BTreeMap<String, f64>,
}

impl Job {
    /// Human-readable description of the content of [`Job::bound`].
    pub const BOUND: &'static str = "the query or component or model, with its SELECT, declared keys, public tables, parameters, data, split, outputs and \
                                     device; how its result is released (mode), and how the cost is split over its columns (weights)";

    /// Human-readable description of the differences allowed between jobs of the same [`Job::bound`].
    pub const FREE: &'static str = "the cost, the kind of noise, the version of the dataset, the request's id and time";

    /// Returns the hash of the job's program.
    ///
    /// It is BLAKE3 of `{"version", "mode", "program", "weights"}` as JSON without spaces, fields in the order in which this
    /// crate declares them, numbers to the
    /// last digit. Jobs with the same hash differ only in price, kind of noise, request and version of the dataset.
    ///
    /// The JSON is not canonical (RFC 8785), which rounds integers above 2⁵³: two declared keys would become the same.
    pub fn bound(&self) -> ContentHash {
        // Destructured so that any new field of a job must be decided on here.
        let Self { version, mode, program, weights, request: _, dataset: _, cost: _, created: _ } = self;
        let bound = Bound { version: *version, mode: *mode, program, weights };
        // Anything parsed from JSON can be written as JSON.
        ContentHash::of(&serde_json::to_vec(&bound).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cost, MicroRho,
        cost::{FemtoDelta, MicroEpsilon},
        device::On,
        job::{Blocks, Data, Key, Output, Reducer, RowReduce, Split},
    };

    fn outputs() -> Vec<Output> {
        vec![Output { name: "a".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Mean, default: 0.0 }]
    }

    fn job(program: Program) -> Job {
        Job {
            version: 1,
            request: "0".repeat(32),
            dataset: ContentHash::of(b"d"),
            cost: Cost::dp(MicroRho(10), FemtoDelta(0)),
            created: 7,
            program,
            mode: Mode::Dp,
            weights: BTreeMap::new(),
        }
    }

    fn sql(keys: Option<Vec<Vec<Key>>>) -> Program {
        Program::Sql { query: "SELECT 1".into(), keys, tables: None }
    }

    fn wasm() -> Program {
        Program::Wasm {
            module: ContentHash::of(b"m"),
            select: "SELECT a FROM dataset".into(),
            params_base64: String::new(),
            data: None,
            infer: None,
            on: None,
            split: Split::Unit,
            outputs: outputs(),
        }
    }

    fn onnx() -> Program {
        Program::Onnx {
            model: ContentHash::of(b"m"),
            select: "SELECT a FROM dataset".into(),
            label: None,
            output: "y".into(),
            index: 0,
            on: None,
            reduce: RowReduce::Mean,
            split: Split::Unit,
            outputs: outputs(),
        }
    }

    /// Every JSON value that differs by one leaf from `value`: a number, a text, a truth, or something where there was nothing.
    fn changed(value: &serde_json::Value) -> Vec<serde_json::Value> {
        use serde_json::{Value, json};
        match value {
            Value::Object(fields) => {
                let one = |name: &String| {
                    let others = changed(&fields[name]).into_iter();
                    let put = move |other| {
                        let mut whole = fields.clone();
                        whole.insert(name.clone(), other);
                        Value::Object(whole)
                    };
                    others.map(put).collect::<Vec<_>>()
                };
                fields.keys().flat_map(one).collect()
            }
            Value::Array(items) => {
                let one = |at: usize| {
                    let put = move |other| {
                        let mut whole = items.clone();
                        whole[at] = other;
                        Value::Array(whole)
                    };
                    changed(&items[at]).into_iter().map(put).collect::<Vec<_>>()
                };
                let longer = Value::Array([items.as_slice(), &[items.first().cloned().unwrap_or(json!(1))]].concat());
                (0..items.len()).flat_map(one).chain([longer]).collect()
            }
            Value::Number(number) => match number.as_i64() {
                Some(whole) => vec![json!(whole + 1)],
                None => vec![json!(number.as_f64().unwrap() / 2.0)],
            },
            Value::Bool(truth) => vec![json!(!truth)],
            Value::Null => vec![json!(1)],
            // A name stays one that there is, a hash a hash.
            Value::String(text) => {
                let words = ["mean", "max", "cpu", "cuda", "dp", "reviewed", "sum"];
                let mut other = words.map(|word| json!(word)).to_vec();
                other.push(json!(format!("{text}x")));
                if let Ok(hash) = text.parse::<ContentHash>() {
                    other.push(json!(ContentHash::of(&hash.0)));
                }
                other.retain(|o| *o != *value);
                other
            }
        }
    }

    /// Whatever of a job is changed, it is another program, but for what is listed here.
    #[test]
    fn everything_but_price_request_time_and_version_is_bound() {
        let key = |n| Some(vec![vec![Key::Int(n)]]);
        let mut whole_sql = job(sql(key(3)));
        whole_sql.weights.insert("n".into(), 2.5);
        if let Program::Sql { tables, .. } = &mut whole_sql.program {
            *tables = Some(ContentHash::of(b"t"));
        }
        let mut whole_wasm = job(wasm());
        if let Program::Wasm { params_base64, data, infer, on, split, .. } = &mut whole_wasm.program {
            (*params_base64, *data, *infer) = ("AA==".into(), Some(Data::of(b"x")), Some("y".into()));
            (*on, *split) = (Some(On::Cpu), Split::Blocks(Blocks { number: 8, resample: 2 }));
        }
        let mut whole_onnx = job(onnx());
        if let Program::Onnx { label, on, split, .. } = &mut whole_onnx.program {
            (*label, *on, *split) = (Some("l".into()), Some(On::Cuda), Split::Blocks(Blocks::of(8)));
        }
        let free = ["request", "dataset", "cost", "created"];
        let mut seen = 0;
        for job in [whole_sql, whole_wasm, whole_onnx] {
            let json = serde_json::to_value(&job).unwrap();
            for field in json.as_object().unwrap().keys() {
                for other in changed(&json[field]) {
                    let mut whole = json.clone();
                    whole[field] = other;
                    let Ok(other) = serde_json::from_value::<Job>(whole.clone()) else { continue };
                    if other == job {
                        continue;
                    }
                    seen += 1;
                    assert_eq!(other.bound() == job.bound(), free.contains(&field.as_str()), "{field}: {whole}");
                }
            }
        }
        assert!(seen > 60, "{seen}");
        let paid = |cost| Job { cost, ..job(sql(None)) }.bound();
        assert_eq!(paid(Cost::dp(MicroRho(1), FemtoDelta(2))), paid(Cost::pure(MicroEpsilon(3), FemtoDelta(4))));
    }

    /// Neither a grant nor a question that is answered again takes one declared key for another.
    #[test]
    fn keys_are_told_apart_to_the_last_digit() {
        let policy = ContentHash::of(b"p");
        let all = [Key::Int(1), Key::Float(1.0), Key::Text("1".into()), Key::Int(1 << 53), Key::Int((1 << 53) + 1)];
        let jobs = all.map(|key| job(sql(Some(vec![vec![key]]))));
        for (i, one) in jobs.iter().enumerate() {
            for other in &jobs[..i] {
                assert_ne!(one.bound(), other.bound());
                assert_ne!(one.question(&policy, None), other.question(&policy, None));
            }
        }
        assert_ne!(jobs[0].question(&policy, None), jobs[0].question(&policy, Some(&policy)));
    }
}
