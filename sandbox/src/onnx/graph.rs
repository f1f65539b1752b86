//! A model as it was read and understood: its inputs, what each output is, and the bytes that a runtime is handed.

use std::sync::Arc;

use prost::Message as _;
use tidegate_protocol::{Code, Refusal, limits};

use super::{
    lower::Words,
    proto::{Dimension, GraphProto, ModelProto, NodeProto, Shape, TensorProto, TensorType, TypeProto, ValueInfoProto},
    prove::{
        self, Found,
        tensor::{Dim, Elem, Flow, Work, count, show},
    },
    whole::Whole,
};

/// An input: rows of `row` values of one type each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) elem: Elem,
    /// Shape of a row.
    pub(super) row: Vec<u64>,
    /// The texts that the model names, where it takes texts: numbers stand for them.
    pub(super) words: Option<Arc<Words>>,
}

/// How many rows an input takes, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Any,
    One,
    /// As many as its exporter had for an example.
    Exactly(u64),
}

impl Input {
    /// Values of a row.
    pub(super) fn width(&self) -> u64 {
        self.row.iter().product()
    }
}

/// What an output is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Out {
    /// Numbers of a row; of all rows together where there is no axis of rows.
    pub(super) numbers: u64,
    /// Their shape.
    pub(super) shape: Vec<u64>,
    /// Whether each row has its own.
    pub(super) by_row: bool,
    /// The operator that may mix rows.
    pub(super) mixed: Option<String>,
}

/// A model that was understood.
#[derive(Debug)]
pub(super) struct Graph {
    model: ModelProto,
    graph: GraphProto,
    pub(super) inputs: Vec<Input>,
    /// It takes one row at a time, as it is written.
    pub(super) one: bool,
    exactly: Rows,
    asked: String,
    found: Found,
}

/// Operations of looking up a text, and two for each byte of the longest that there is.
const TEXT_WORK: u64 = 256;

pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Program, message).at("program.model")
}

impl Graph {
    /// Reads a model, and follows rows through what the output of this name needs.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part.
    pub(super) fn read(bytes: &[u8], output: &str) -> Result<Self, Refusal> {
        Whole::read(bytes)?.ask(output)
    }

    /// Follows rows through a graph, to tensor `asked`.
    pub(super) fn follow(
        model: ModelProto,
        graph: GraphProto,
        inputs: Vec<(Input, Rows)>,
        asked: String,
    ) -> Result<Self, Refusal> {
        let (inputs, rows): (Vec<Input>, Vec<Rows>) = inputs.into_iter().unzip();
        let rows = match rows.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => *first,
            _ => {
                let refusal = refuse("some inputs take one row, others any number of rows");
                return Err(refusal.fix("Export with one symbolic first dimension"));
            }
        };
        let one = rows == Rows::One;
        let tensor = |input: &Input| {
            let tensor = if one { prove::row_input } else { prove::rows_input };
            (input.name.clone(), tensor(input.elem, &input.row))
        };
        let found = prove::follow(&model, &graph, inputs.iter().map(tensor).collect());
        let mut found = found.map_err(|e| {
            let refusal = refuse(format!("{}: {}", e.node, e.why));
            match rows {
                Rows::Exactly(rows) => {
                    refusal.fix(format!("It takes exactly {rows} rows: export with a symbolic first dimension"))
                }
                _ if e.why.contains("version") => refusal.fix("Convert the model (onnx.version_converter)"),
                _ => refusal,
            }
        })?;
        for input in &inputs {
            // Each text is looked up among the model's.
            if let Some(words) = &input.words {
                let dim = Dim { times: input.width(), power: u8::from(!one) };
                found.work.add(Work::of(dim, TEXT_WORK + 2 * words.longest() as u64));
            }
        }
        let read = Self { model, graph, inputs, one, exactly: rows, asked, found };
        if read.bytes(1) > u128::from(limits::MODEL_BYTES) || read.work(1) > u128::from(limits::MODEL_WORK) {
            let (bytes, work) = (read.bytes(1), read.work(1));
            return Err(refuse(format!("takes {bytes} bytes and {work} operations for one row")).fix("Make it smaller"));
        }
        Ok(read)
    }

    /// Name of the tensor that stands for the output: the output's own, or that under a ZipMap.
    pub(super) fn asked(&self) -> &str {
        &self.asked
    }

    /// Operations of a run of so many rows.
    pub(super) fn work(&self, rows: u64) -> u128 {
        self.found.work.at(rows)
    }

    /// Bytes of all that a run of so many rows computes.
    pub(super) fn bytes(&self, rows: u64) -> u128 {
        self.found.bytes.at(rows)
    }

    /// Bytes of the tensors that came with the model.
    pub(super) fn weights(&self) -> u64 {
        self.graph.initializer.iter().map(|t| t.encoded_len() as u64).sum()
    }

    /// What the output is.
    ///
    /// # Errors
    /// A [`Refusal`] where it cannot be taken.
    pub(super) fn output(&self) -> Result<Out, Refusal> {
        let out = self.of_rows()?;
        if let (Rows::Exactly(rows), true) = (self.exactly, out.mixed.is_some() || !out.by_row) {
            let refusal = refuse(format!("the input takes exactly {rows} rows, and this output is not a row's own"));
            return Err(refusal.fix("Export with a symbolic first dimension"));
        }
        Ok(out)
    }

    fn of_rows(&self) -> Result<Out, Refusal> {
        let name = self.asked.as_str();
        let at = |refusal: Refusal| refusal.at("program.output");
        let tensor = self.found.tensors.get(name).ok_or_else(|| at(refuse("no operator computes this output")))?;
        let numbers = |dims: &[_]| count(dims).map(|d| d.times).map_err(|e| at(refuse(e)));
        let mut dims = tensor.dims.as_slice();
        let mixed = match tensor.flow {
            Flow::Mixed(node) => self.graph.node.get(node).map(prove::name),
            _ if self.one => None,
            Flow::Rows(axis) => {
                let (before, from_rows) = tensor.dims.split_at(axis);
                // What lies before is of length one: values lie in the same order without it.
                if count(before) != Ok(Dim::ONE) {
                    let refusal = refuse(format!("rows are axis {axis} of output {}", show(&tensor.dims)));
                    return Err(at(refusal.fix("Transpose it: rows come first")));
                }
                dims = from_rows;
                None
            }
            Flow::Public => return Err(at(refuse("this output does not depend on the input"))),
        };
        let by_row = self.one || dims.first().is_some_and(|d| d.power == 1);
        if dims.iter().skip(1).any(|d| d.power > 0) || dims.first().is_some_and(|d| d.power > 1) {
            let refusal = refuse(format!("rows do not come first, and there alone, in output {}", show(&tensor.dims)));
            return Err(at(refusal.fix("Bring them there, or reduce them to one")));
        }
        let numbers = numbers(dims)?;
        if numbers > limits::OUTPUTS as u64 {
            return Err(at(refuse(format!("output {} has more than {} numbers", show(&tensor.dims), limits::OUTPUTS))));
        }
        // The axis of rows apart, where there is one.
        let rows = by_row && (!self.one || dims.first().is_some_and(|d| d.times == 1));
        let shape = dims.iter().skip(usize::from(rows)).map(|d| d.times).collect();
        Ok(Out { numbers, shape, by_row, mixed })
    }

    /// The model as a runtime may read it: written anew from what was understood. With `rows` in each run, where that is fixed.
    pub(super) fn write(&self, rows: Option<u32>) -> Vec<u8> {
        let mut graph = self.graph.clone();
        // Names of nodes are for people, and what one node became several have.
        graph.node.iter_mut().for_each(|node| node.name = None);
        graph.input = self.inputs.iter().map(|input| described(input, rows)).collect();
        let tensor = self.found.tensors.get(&self.asked);
        let kind = tensor.map(|t| TensorType { elem_type: Some(t.elem.number()), shape: None });
        graph.output = vec![ValueInfoProto { name: Some(self.asked.clone()), kind: Some(TypeProto { tensor: kind }) }];
        self.clip(&mut graph);
        let model = ModelProto { graph: Some(graph), ..self.model.clone() };
        model.encode_to_vec()
    }

    /// Puts a Clip before what would end a run by what a row says.
    fn clip(&self, graph: &mut GraphProto) {
        let mut clips: Vec<_> = self.found.clips.iter().enumerate().collect();
        // From the last on, so that places stay.
        clips.sort_by_key(|(_, (at, _))| std::cmp::Reverse(*at));
        // A name that no tensor begins with.
        let taken = |name: &str| self.found.tensors.keys().any(|known| known.starts_with(name));
        let prefix = (0..).map(|i| format!("clip{i}.")).find(|name| !taken(name)).unwrap_or_default();
        for (i, (at, clip)) in clips {
            let Some(name) = graph.node[*at].input.get(clip.input).cloned() else { continue };
            let elem = self.found.tensors.get(&name).map_or(Elem::I64, |t| t.elem);
            let named = |what: &str| format!("{prefix}{i}.{what}");
            for (what, value) in [("lo", clip.lo), ("hi", clip.hi)] {
                graph.initializer.push(scalar(named(what), elem, value));
            }
            graph.node[*at].input[clip.input] = named("out");
            let node = NodeProto {
                input: vec![name, named("lo"), named("hi")],
                output: vec![named("out")],
                op_type: Some("Clip".into()),
                ..NodeProto::default()
            };
            graph.node.insert(*at, node);
        }
    }
}

fn scalar(name: String, elem: Elem, value: i64) -> TensorProto {
    let raw = if elem == Elem::I32 { (value as i32).to_le_bytes().to_vec() } else { value.to_le_bytes().to_vec() };
    TensorProto { data_type: Some(elem.number()), name: Some(name), raw_data: Some(raw), ..TensorProto::default() }
}

fn described(input: &Input, rows: Option<u32>) -> ValueInfoProto {
    let first = match rows {
        Some(rows) => Dimension { value: Some(rows.into()), param: None },
        None => Dimension { value: None, param: Some("rows".into()) },
    };
    let rest = input.row.iter().map(|n| Dimension { value: Some(*n as i64), param: None });
    let shape = Shape { dim: std::iter::once(first).chain(rest).collect() };
    let tensor = TensorType { elem_type: Some(input.elem.number()), shape: Some(shape) };
    ValueInfoProto { name: Some(input.name.clone()), kind: Some(TypeProto { tensor: Some(tensor) }) }
}

/// Largest number of rows, of up to `most`, for which `fits` holds: it holds for fewer where it does for more.
pub(super) fn most_rows(most: u32, fits: impl Fn(u64) -> bool) -> u32 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle.into()) { low = middle } else { high = middle - 1 }
    }
    low
}
