//! The ONNX project's own tests of each operator, admitted and run as a job's model is, in a real runner (`fixtures/make_node_tests.py`).
//!
//! Each becomes a model of one row, whose inputs are the test's with a dimension before them; what must be known before a row is read becomes part of the model.

use crate::common;
use std::collections::{BTreeMap, BTreeSet};

use tidegate_fixtures::models::{field, number};
use tidegate_gpu_runner::{Input, Model};
use tidegate_node::worker::Workers;
use tidegate_sandbox::onnx::{operators, rewrite};

/// A field of a message: its number, and its bytes or number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut n, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            n |= u64::from(byte & 127) << shift;
            shift += 7;
            if *byte < 128 {
                return n;
            }
        }
    }
    let mut found = vec![];
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, vec![], varint(&mut bytes)));
                continue;
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut bytes) as usize,
        };
        let (value, rest) = bytes.split_at(length);
        found.push((key >> 3, value.to_vec(), 0));
        bytes = rest;
    }
    found
}

/// A tensor: name, type, dimensions, values as they lie in memory.
#[derive(Clone)]
struct Tensor {
    bytes: Vec<u8>,
    name: String,
    elem: i32,
    dims: Vec<u64>,
    raw: Vec<u8>,
}

impl Tensor {
    fn read(bytes: Vec<u8>) -> Self {
        let (mut name, mut elem, mut dims, mut raw) = (String::new(), 0, vec![], vec![]);
        for (number, value, n) in fields(&bytes) {
            match number {
                1 if value.is_empty() => dims.push(n),
                1 => panic!("packed dimensions"),
                2 => elem = n as i32,
                8 => name = String::from_utf8(value).unwrap(),
                9 => raw = value,
                _ => {}
            }
        }
        Self { bytes, name, elem, dims, raw }
    }

    fn size(&self) -> Option<u32> {
        Some(match self.elem {
            1 | 6 => 4,
            2 | 9 => 1,
            7 | 11 => 8,
            _ => return None,
        })
    }

    fn floats(&self) -> Option<Vec<f32>> {
        fn of<const N: usize>(raw: &[u8], read: fn([u8; N]) -> f32) -> Option<Vec<f32>> {
            Some(raw.chunks_exact(N).map(|b| read(b.try_into().unwrap())).collect())
        }
        match self.elem {
            1 => of(&self.raw, f32::from_le_bytes),
            2 | 9 => of(&self.raw, |[b]| f32::from(b)),
            3 => of(&self.raw, |[b]| f32::from(b as i8)),
            5 => of(&self.raw, |b| f32::from(i16::from_le_bytes(b))),
            4 => of(&self.raw, |b| f32::from(u16::from_le_bytes(b))),
            6 => of(&self.raw, |b| i32::from_le_bytes(b) as f32),
            7 => of(&self.raw, |b| i64::from_le_bytes(b) as f32),
            11 => of(&self.raw, |b| f64::from_le_bytes(b) as f32),
            _ => None,
        }
    }
}

struct Test {
    name: String,
    model: Vec<u8>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

fn parts(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![];
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (part, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        parts.push(part.to_vec());
        bytes = rest;
    }
    parts
}

fn tests() -> Vec<Test> {
    let bytes = std::fs::read(tidegate_fixtures::path("models/node_tests.bin")).unwrap();
    let tensors = |bytes: &[u8]| parts(bytes).into_iter().map(Tensor::read).collect();
    let test = |four: &[Vec<u8>]| Test {
        name: String::from_utf8(four[0].clone()).unwrap(),
        model: four[1].clone(),
        inputs: tensors(&four[2]),
        outputs: tensors(&four[3]),
    };
    parts(&bytes).chunks_exact(4).map(test).collect()
}

impl Test {
    /// Domain and name of its operator.
    fn operator(&self) -> (String, String) {
        let graph = fields(&self.model).into_iter().find(|(n, ..)| *n == 7).unwrap().1;
        let node = fields(&fields(&graph).into_iter().find(|(n, ..)| *n == 1).unwrap().1);
        let text = |wanted: u64| node.iter().find(|(n, ..)| *n == wanted).map(|(_, v, _)| String::from_utf8(v.clone()).unwrap());
        (text(7).unwrap_or_default(), text(4).unwrap())
    }

    /// A model of one row with the first `rows` inputs, the others its own, for output `output`.
    fn model(&self, rows: usize, output: usize) -> Vec<u8> {
        let graph = fields(&self.model).into_iter().find(|(n, ..)| *n == 7).unwrap().1;
        let node = fields(&graph).into_iter().find(|(n, ..)| *n == 1).unwrap().1;
        let axis = Tensor {
            bytes: tidegate_fixtures::models::tensor("first axis", 7, &[1], &0i64.to_le_bytes()),
            ..self.inputs[0].clone()
        };
        let operator = |op: &str, inputs: &[&str], to: &str, attributes: Vec<u8>| {
            let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
            field(1, &[inputs, field(2, to.as_bytes()), field(4, op.as_bytes()), attributes].concat())
        };
        let mut made = field(2, b"g");
        for input in &self.inputs[..rows] {
            made.extend(operator("Squeeze", &[&format!("row {}", input.name), "first axis"], &input.name, vec![]));
        }
        made.extend(field(1, &node));
        let to = &self.outputs[output].name;
        let cast = [field(1, b"to"), number(3, 1), number(20, 2)].concat();
        made.extend(operator("Cast", &[to], "as floats", field(5, &cast)));
        made.extend(operator("Unsqueeze", &["as floats", "first axis"], "as a row", vec![]));
        made.extend(field(5, &axis.bytes));
        self.inputs[rows..].iter().for_each(|input| made.extend(field(5, &input.bytes)));
        for input in &self.inputs[..rows] {
            let dims = std::iter::once(&1).chain(&input.dims).flat_map(|d| field(1, &number(1, *d as i64))).collect::<Vec<u8>>();
            let kind = [number(1, input.elem.into()), field(2, &dims)].concat();
            made.extend(field(11, &[field(1, format!("row {}", input.name).as_bytes()), field(2, &field(1, &kind))].concat()));
        }
        made.extend(field(12, &[field(1, b"as a row"), field(2, &field(1, &number(1, 1)))].concat()));
        let mut model = [number(1, 10), field(7, &made)].concat();
        for (domain, version) in self.versions() {
            model.extend(field(8, &[field(1, domain.as_bytes()), number(2, version)].concat()));
        }
        model
    }

    /// The nearest versions of operators that are taken: an operator that is of another there is not refused by us, and fails.
    fn versions(&self) -> BTreeMap<String, i64> {
        let mut versions = BTreeMap::from([(String::new(), 13), ("ai.onnx.ml".to_owned(), 4)]);
        for (_, import, _) in fields(&self.model).into_iter().filter(|(n, ..)| *n == 8) {
            let (mut domain, mut version) = (String::new(), 0);
            for (n, value, i) in fields(&import) {
                if n == 1 { domain = String::from_utf8(value).unwrap() } else { version = i as i64 }
            }
            let range = if domain.is_empty() { 13..=23 } else { 1..=4 };
            versions.insert(domain, version.clamp(*range.start(), *range.end()));
        }
        versions
    }
}

fn near(a: f32, b: f32) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-3 * b.abs().max(0.01)
}

/// What became of a test.
enum Outcome {
    Passed,
    NotTaken(String),
    Wrong(String),
}

fn run(workers: &Workers, test: &Test) -> Outcome {
    let fits = |n: usize| test.inputs[..n].iter().all(|input| input.size().is_some() && !input.dims.contains(&0));
    let mut said = "no input is of a column's type".to_owned();
    for output in 0..test.outputs.len().min(1) {
        let Some(wanted) = test.outputs[output].floats() else {
            return Outcome::NotTaken("its output is of another type".into());
        };
        // As much of it as rows as can be.
        for rows in (1..=test.inputs.len()).rev().filter(|n| fits(*n)) {
            let model = match rewrite(&test.model(rows, output), "as a row", Some(1)) {
                Ok(model) => model,
                Err(e) => {
                    said = e.to_string();
                    continue;
                }
            };
            let input = |t: &Tensor| Input {
                name: format!("row {}", t.name),
                elem: t.elem,
                size: t.size().unwrap(),
                row: t.dims.clone(),
            };
            let load = Model {
                bytes: model,
                inputs: test.inputs[..rows].iter().map(input).collect(),
                output: "as a row".into(),
                numbers: wanted.len() as u32,
                by_row: true,
                rows: 1,
                batched: true,
                step: 1,
                working: 1 << 20,
                threads: 1,
                cuda: None,
                unwalled: false,
                intermediates: None,
            };
            let (_child, client) = match workers.infer(&load) {
                Ok(pair) => pair,
                Err(e) => return Outcome::NotTaken(e.to_string()),
            };
            test.inputs[..rows].iter().enumerate().for_each(|(i, input)| client.write_row(i, 0, &input.raw));
            client.submit(0, &[1]).unwrap();
            let slot = client.wait().unwrap();
            let mut got = vec![];
            client.read(slot, &mut got);
            let right = got.len() == wanted.len() && got.iter().zip(&wanted).all(|(a, b)| near(*a, *b));
            return if right { Outcome::Passed } else { Outcome::Wrong(format!("{}: {got:?}, not {wanted:?}", test.name)) };
        }
    }
    Outcome::NotTaken(said)
}

/// Operators of which none of the project's tests can be a row's: what they take is computed there and must be known here, it is text, or the project has none of one
/// operator. Each has a case of ours (`fixtures/src/models/cases.rs`).
const NONE: [&str; 17] = [
    "Cast",
    "Constant",
    "ConstantOfShape",
    "GatherND",
    "Imputer",
    "LabelEncoder",
    "LinearClassifier",
    "LinearRegressor",
    "Mish",
    "Normalizer",
    "OneHot",
    "Range",
    "SVMClassifier",
    "SVMRegressor",
    "Scaler",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

#[test]
fn the_projects_own_tests_pass_in_a_runner() {
    if !common::runtime_is_here() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let workers = Workers::of(env!("CARGO_BIN_EXE_tidegate").as_ref()).unwrap();
    let (mut passed, mut wrong, mut left) = (BTreeMap::<String, u32>::new(), vec![], BTreeMap::<String, Vec<String>>::new());
    for test in tests() {
        let (_, operator) = test.operator();
        match run(&workers, &test) {
            Outcome::Passed => *passed.entry(operator).or_default() += 1,
            Outcome::NotTaken(why) => left.entry(operator).or_default().push(format!("{}: {why}", test.name)),
            Outcome::Wrong(why) => wrong.push(why),
        }
    }
    let all: u32 = passed.values().sum();
    let missing: BTreeSet<&str> = operators().map(|(_, name)| name).filter(|name| !passed.contains_key(*name)).collect();
    let whys: Vec<String> = missing.iter().flat_map(|name| left.get(*name).into_iter().flatten()).cloned().collect();
    if std::env::var_os("WHY").is_some() {
        left.values().flatten().for_each(|why| eprintln!("{why}"));
    }
    assert!(wrong.is_empty(), "{} passed, {} are wrong:\n{}", all, wrong.len(), wrong.join("\n"));
    assert_eq!(missing, NONE.into(), "{all} passed\n{}", whys.join("\n"));
    eprintln!("{all} passed, {} are not a row's", left.values().map(Vec::len).sum::<usize>());
}
