//! Representation of texts as numbers: a row's text becomes its index among the texts named in the model, or `UNKNOWN`.
//!
//! The graph that is followed and run knows only numbers. Texts may be compared with those that the model names (`OneHotEncoder`,
//! `LabelEncoder`, `Equal`), and moved; anything that converts between texts and numbers, or looks into texts, is refused. Texts
//! of rows are looked up where columns are read (`source.rs`), whatever a kernel would take for them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tidegate_protocol::{Code, Refusal, limits};

use super::make::{self, Fresh};
use crate::onnx::{
    graph::refuse,
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
    prove,
};

/// Number of a text not named in the model; in a table, the entry after all others.
const UNKNOWN: i64 = -1;
/// Type number of texts for a tensor, in the IR.
const TEXT: i32 = 8;
/// Maximum number of entries in all generated tables.
const ENTRIES: usize = 1 << 22;

/// Texts named in a model, each with its number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::onnx) struct Words {
    numbers: HashMap<Box<[u8]>, i64>,
    longest: usize,
}

impl Words {
    /// Returns the number of a text, or [`UNKNOWN`] if it is not named in the model.
    pub(in crate::onnx) fn number(&self, text: &[u8]) -> i64 {
        // Longer texts are not hashed.
        if text.len() > self.longest { UNKNOWN } else { self.numbers.get(text).copied().unwrap_or(UNKNOWN) }
    }

    /// Returns the bytes of the longest text.
    pub(in crate::onnx) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns how many texts the model names; their numbers are those below.
    pub(in crate::onnx) fn count(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, text: &[u8]) -> i64 {
        self.longest = self.longest.max(text.len());
        let next = self.numbers.len() as i64;
        *self.numbers.entry(text.into()).or_insert(next)
    }

    fn add_all(&mut self, texts: &[Vec<u8>]) -> Vec<i64> {
        texts.iter().map(|text| self.add(text)).collect()
    }
}

/// Operators that move or pick values of their first input.
const MOVE: &[&str] =
    &["Identity", "Reshape", "Gather", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand", "Tile", "Split"];

/// Replaces texts by numbers; returns the texts, if there are any.
///
/// `inputs` are the names of the graph's inputs that take texts.
pub(super) fn lower(
    graph: &mut GraphProto,
    inputs: &[String],
    output: &str,
    fresh: &mut Fresh,
) -> Result<Option<Arc<Words>>, Refusal> {
    let mut pass = Pass { texts: inputs.iter().cloned().collect(), constant: HashSet::new(), words: Words::default() };
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.data_type == Some(TEXT)) {
        let name = tensor.name.clone().unwrap_or_default();
        pass.tensor(tensor);
        pass.constant.insert(name.clone());
        pass.texts.insert(name);
    }
    for node in &mut graph.node {
        pass.node(node).map_err(|why| refuse(format!("{}: {why}", prove::name(node))))?;
    }
    if pass.texts.contains(output) {
        let refusal = Refusal::new(Code::Program, "this output is texts, and what leaves is numbers").at("program.output");
        return Err(refusal.fix("Ask for the scores: `confusion` takes the place of the largest of them"));
    }
    if pass.words.numbers.len() > limits::MODEL_PARTS {
        return Err(refuse(format!("names more than {} texts", limits::MODEL_PARTS)));
    }
    if pass.texts.is_empty() && pass.words.numbers.is_empty() {
        return Ok(None);
    }
    let mut entries = 0;
    for node in &mut graph.node {
        if make::op(node) == ("LabelEncoder", true) && node.input.first().is_some_and(|x| pass.texts.contains(x)) {
            let whole = prove::name(node);
            let (made, table) = pass.table(node, fresh).map_err(|why| refuse(format!("{whole}: {why}")))?;
            entries += pass.words.numbers.len() + 1;
            if entries > ENTRIES {
                return Err(refuse(format!("{whole}: the tables of texts have more than {ENTRIES} entries")));
            }
            graph.initializer.push(table);
            *node = made;
        }
    }
    Ok(Some(Arc::new(pass.words)))
}

struct Pass {
    /// Tensors of texts.
    texts: HashSet<String>,
    /// Tensors of texts stored in the model.
    constant: HashSet<String>,
    words: Words,
}

impl Pass {
    /// Converts a tensor of the model.
    fn tensor(&mut self, tensor: &mut TensorProto) {
        let numbers = self.words.add_all(&std::mem::take(&mut tensor.string_data));
        let name = tensor.name.clone().unwrap_or_default();
        *tensor = make::ints(&name, std::mem::take(&mut tensor.dims), &numbers);
    }

    /// Checks whether texts may pass through a node, and converts its attributes to numbers.
    fn node(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let (op, ml) = make::op(node);
        let op = op.to_owned();
        let takes: Vec<bool> = node.input.iter().map(|name| self.texts.contains(name)).collect();
        let first = takes.first().copied().unwrap_or_default();
        let gives = match (op.as_str(), ml) {
            ("Constant", false) => self.constant(node),
            ("Cast", false) => match (first, make::attribute(node, "to").and_then(|a| a.i) == Some(TEXT.into())) {
                (true, true) => {
                    node.op_type = Some("Identity".into());
                    node.attribute.clear();
                    true
                }
                (false, true) => return Err("writes numbers as texts".into()),
                (true, false) => return Err("reads numbers from texts".into()),
                (false, false) => false,
            },
            ("Concat", false) if first => {
                if takes.contains(&false) {
                    return Err("puts texts and numbers together".into());
                }
                true
            }
            ("Where", false) if takes.get(1) == Some(&true) => true,
            ("Equal", false) if first => {
                if !node.input.iter().any(|name| self.constant.contains(name)) {
                    return Err("compares texts of rows with one another; with those of the model alone it may".into());
                }
                false
            }
            (name, false) if first && MOVE.contains(&name) => true,
            ("ArrayFeatureExtractor", true) => first,
            ("OneHotEncoder", true) => {
                self.numbers(node, "cats_strings", "cats_int64s");
                false
            }
            ("LabelEncoder", true) => self.encoder(node, first)?,
            ("TreeEnsembleClassifier", true) => self.numbers(node, "classlabels_strings", "classlabels_int64s"),
            ("LinearClassifier" | "SVMClassifier", true) => self.numbers(node, "classlabels_strings", "classlabels_ints"),
            _ if takes.contains(&true) => return Err("takes texts: those may be moved, or compared with the model's own".into()),
            _ => false,
        };
        if gives {
            let all = if op == "Split" { node.output.len() } else { 1 };
            self.texts.extend(node.output.iter().take(all).cloned());
            if op == "Constant" {
                self.constant.extend(node.output.first().cloned());
            }
        }
        Ok(())
    }

    fn constant(&mut self, node: &mut NodeProto) -> bool {
        for attribute in &mut node.attribute {
            match (attribute.name.as_deref(), attribute.kind) {
                (Some("value"), Some(4)) => {
                    if let Some(tensor) = attribute.t.as_mut().filter(|tensor| tensor.data_type == Some(TEXT)) {
                        self.tensor(tensor);
                        return true;
                    }
                }
                (Some("value_string"), Some(3)) => {
                    *attribute = make::int("value_int", self.words.add(attribute.s.as_deref().unwrap_or_default()));
                    return true;
                }
                (Some("value_strings"), Some(8)) => {
                    *attribute = make::list("value_ints", self.words.add_all(&attribute.strings));
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Converts an attribute of texts to numbers; returns whether the node has the attribute.
    fn numbers(&mut self, node: &mut NodeProto, texts: &str, numbers: &str) -> bool {
        let Some(given) = make::take(node, texts).filter(|given| !given.strings.is_empty()) else { return false };
        make::take(node, numbers);
        node.attribute.push(make::list(numbers, self.words.add_all(&given.strings)));
        true
    }

    /// Converts the keys and values of a LabelEncoder to numbers if they are texts; returns whether its output is texts.
    fn encoder(&mut self, node: &mut NodeProto, texts: bool) -> Result<bool, String> {
        // The first version maps texts to their indices, or back.
        if let Some(classes) = make::take(node, "classes_strings") {
            let places: Vec<i64> = (0..classes.strings.len() as i64).collect();
            let strings = |name: &str| AttributeProto { name: Some(name.into()), kind: Some(8), ..classes.clone() };
            let (keys, values) = if texts { ("keys_strings", "values_int64s") } else { ("keys_int64s", "values_strings") };
            let (from, to) = if texts { (keys, values) } else { (values, keys) };
            node.attribute.extend([strings(from), make::list(to, places)]);
        }
        for (name, ints, floats, strings) in [
            ("keys_tensor", "keys_int64s", "keys_floats", "keys_strings"),
            ("values_tensor", "values_int64s", "values_floats", "values_strings"),
        ] {
            let Some(tensor) = make::take(node, name).and_then(|a| a.t) else { continue };
            let mut as_list = AttributeProto::default();
            (as_list.name, as_list.kind) = if tensor.data_type == Some(TEXT) {
                as_list.strings = tensor.string_data;
                (Some(strings.into()), Some(8))
            } else if let Some(known) = prove::known_ints(&tensor) {
                as_list.ints = known;
                (Some(ints.into()), Some(7))
            } else {
                as_list.floats =
                    prove::known_floats(&tensor).ok_or_else(|| format!("attribute {name} is of a type that is not taken"))?;
                (Some(floats.into()), Some(6))
            };
            node.attribute.push(as_list);
        }
        if let Some(tensor) = make::take(node, "default_tensor").and_then(|a| a.t) {
            node.attribute.push(if let Some(text) = tensor.string_data.first() {
                AttributeProto {
                    name: Some("default_string".into()),
                    kind: Some(3),
                    s: Some(text.clone()),
                    ..AttributeProto::default()
                }
            } else if let Some([int]) = prove::known_ints(&tensor).as_deref() {
                make::int("default_int64", *int)
            } else {
                let float = prove::known_floats(&tensor).and_then(|all| all.first().copied());
                let float = float.ok_or("attribute default_tensor is of a type that is not taken")?;
                AttributeProto { name: Some("default_float".into()), kind: Some(1), f: Some(float), ..AttributeProto::default() }
            });
        }
        let default = make::take(node, "default_string").and_then(|a| a.s).unwrap_or_else(|| b"_Unused".to_vec());
        let gives = self.numbers(node, "values_strings", "values_int64s");
        if gives {
            make::take(node, "default_int64");
            node.attribute.push(make::int("default_int64", self.words.add(&default)));
        }
        if self.numbers(node, "keys_strings", "keys_int64s") != texts {
            return Err("its keys are of another type than its input".into());
        }
        Ok(gives)
    }

    /// Builds the table from which a LabelEncoder's values are picked: an entry for each text named in the model, and a last
    /// entry for all others.
    fn table(&self, node: &NodeProto, fresh: &mut Fresh) -> Result<(NodeProto, TensorProto), String> {
        let ints = |name: &str| make::attribute(node, name).map(|a| a.ints.as_slice()).unwrap_or_default();
        let keys = ints("keys_int64s");
        let places = |values: usize| {
            if keys.len() != values {
                return Err("its keys are not as many as its values".to_owned());
            }
            let places = keys.iter().map(|key| usize::try_from(*key).ok().filter(|key| *key < self.words.numbers.len()));
            // Of duplicate keys the first counts.
            places.rev().collect::<Option<Vec<_>>>().ok_or_else(|| "names a text that is none".to_owned())
        };
        let entries = self.words.numbers.len() + 1;
        let (x, y) = match (node.input.as_slice(), node.output.as_slice()) {
            ([x], [y]) => (x.clone(), y.clone()),
            _ => return Err("takes one input".into()),
        };
        let name = fresh.name();
        let dims = vec![entries as i64];
        let floats = make::attribute(node, "values_floats").map(|a| a.floats.as_slice()).filter(|values| !values.is_empty());
        let tensor = if let Some(values) = floats {
            let default = make::attribute(node, "default_float").and_then(|a| a.f).unwrap_or(-0.0);
            let mut table = vec![default; entries];
            places(values.len())?.into_iter().zip(values.iter().rev()).for_each(|(place, value)| table[place] = *value);
            make::floats(&name, dims, &table)
        } else {
            let values = ints("values_int64s");
            let mut table = vec![make::attribute(node, "default_int64").and_then(|a| a.i).unwrap_or(-1); entries];
            places(values.len())?.into_iter().zip(values.iter().rev()).for_each(|(place, value)| table[place] = *value);
            make::ints(&name, dims, &table)
        };
        Ok((make::node(node, "Gather", vec![name, x], y, vec![]), tensor))
    }
}
