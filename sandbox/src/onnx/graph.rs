//! Model as read and understood: its inputs, its outputs, and the bytes for a runtime.

use std::sync::Arc;

use prost::Message as _;
use tidegate_protocol::{Refusal, limits};

use super::{
    lower::Words,
    proto::{Dimension, GraphProto, ModelProto, NodeProto, Shape, TensorProto, TensorType, TypeProto, ValueInfoProto},
    prove::{
        self, Found,
        tensor::{Dim, Elem, Flow, Work, count, show},
    },
};

pub(super) use super::refuse::refuse;

/// Input with rows of `row` values of a single type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) elem: Elem,
    /// Shape of a row.
    pub(super) row: Vec<u64>,
    /// Texts named by the model, if the input takes texts, which are represented by numbers.
    pub(super) words: Option<Arc<Words>>,
}

/// Values within a model as written for a runtime, and the shapes that the proof has of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intermediates {
    /// Bytes that, appended to the model's, make outputs of all values that are none.
    pub outputs: Vec<u8>,
    /// Name and shape of each value.
    pub shapes: Vec<(String, Vec<u64>)>,
}

/// Number of rows of an input, as written in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Any,
    One,
    /// The number of rows in the exporter's example.
    Exactly(u64),
}

impl Input {
    /// Returns the number of values in a row.
    pub(super) fn width(&self) -> u64 {
        self.row.iter().product()
    }
}

/// Description of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Out {
    /// Numbers per row, or for all rows together if there is no axis of rows.
    pub(super) numbers: u64,
    /// Shape of these numbers.
    pub(super) shape: Vec<u64>,
    /// Whether each row has numbers of its own.
    pub(super) by_row: bool,
    /// Operator that may mix rows.
    pub(super) mixed: Option<String>,
}

/// Model read and understood.
#[derive(Debug)]
pub(super) struct Graph {
    model: ModelProto,
    graph: GraphProto,
    pub(super) inputs: Vec<Input>,
    /// Whether the model, as written, takes a single row at a time.
    pub(super) one: bool,
    exactly: Rows,
    asked: String,
    found: Found,
}

/// Operations to look up a text; two more are added for each byte of the model's longest text.
const TEXT_WORK: u64 = 256;

impl Graph {
    /// Follows rows through a graph to the tensor `asked`.
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

    /// Returns the name of the tensor behind the output: the output's own, or the input of a ZipMap.
    pub(super) fn asked(&self) -> &str {
        &self.asked
    }

    /// Returns the operations of a run of `rows` rows.
    pub(super) fn work(&self, rows: u64) -> u128 {
        self.found.work.at(rows)
    }

    /// Returns the bytes of everything computed in a run of `rows` rows.
    pub(super) fn bytes(&self, rows: u64) -> u128 {
        self.found.bytes.at(rows)
    }

    /// Returns the bytes of the tensors stored in the model.
    pub(super) fn weights(&self) -> u64 {
        self.graph.initializer.iter().map(|t| t.encoded_len() as u64).sum()
    }

    /// Describes the output.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the output cannot be used.
    pub(super) fn output(&self) -> Result<Out, Refusal> {
        let out = self.of_rows()?;
        if let (Rows::Exactly(rows), true) = (self.exactly, out.mixed.is_some() || !out.by_row) {
            let refusal = refuse(format!("the input takes exactly {rows} rows, and this output is not computed for each row"));
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
                // The axes before it have length one, so dropping them keeps the order of values.
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
            let refusal =
                refuse(format!("rows are not the first dimension, and only the first, of output {}", show(&tensor.dims)));
            return Err(at(refusal.fix("Make them the first dimension, or reduce them to one")));
        }
        let numbers = numbers(dims)?;
        if numbers > limits::OUTPUTS as u64 {
            return Err(at(refuse(format!("output {} has more than {} numbers", show(&tensor.dims), limits::OUTPUTS))));
        }
        // Without the axis of rows, if there is one.
        let rows = by_row && (!self.one || dims.first().is_some_and(|d| d.times == 1));
        let shape = dims.iter().skip(usize::from(rows)).map(|d| d.times).collect();
        Ok(Out { numbers, shape, by_row, mixed })
    }

    /// Writes the model for a runtime anew from the understood parts, with `rows` rows in each run if their number is fixed.
    pub(super) fn write(&self, rows: Option<u32>) -> Vec<u8> {
        ModelProto { graph: Some(self.written(rows)), ..self.model.clone() }.encode_to_vec()
    }

    /// Returns the values computed within the model as [written](Self::write), and the proof's shape of each in a run of `rows`
    /// rows.
    pub(super) fn intermediates(&self, rows: u32) -> Intermediates {
        let mut all = Intermediates::default();
        let mut outputs = Vec::new();
        for node in &self.written(Some(rows)).node {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                // A Clip that was put in gives the type and shape that it takes. An output that no rule knows is nobody's input.
                let clipped = node.input.first().filter(|_| node.op_type.as_deref() == Some("Clip"));
                let known = self.found.tensors.get(name).or_else(|| self.found.tensors.get(clipped?));
                let Some(tensor) = known else { continue };
                if *name != self.asked {
                    let kind = TensorType { elem_type: Some(tensor.elem.number()), shape: None };
                    outputs.push(ValueInfoProto { name: Some(name.clone()), kind: Some(TypeProto { tensor: Some(kind) }) });
                }
                all.shapes.push((name.clone(), tensor.dims.iter().map(|dim| dim.at(rows)).collect()));
            }
        }
        let graph = GraphProto { output: outputs, ..GraphProto::default() };
        all.outputs = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        all
    }

    fn written(&self, rows: Option<u32>) -> GraphProto {
        let mut graph = self.graph.clone();
        // Node names are dropped: they are for people, and nodes made from the same node share one.
        graph.node.iter_mut().for_each(|node| node.name = None);
        graph.input = self.inputs.iter().map(|input| described(input, rows)).collect();
        let tensor = self.found.tensors.get(&self.asked);
        let kind = tensor.map(|t| TensorType { elem_type: Some(t.elem.number()), shape: None });
        graph.output = vec![ValueInfoProto { name: Some(self.asked.clone()), kind: Some(TypeProto { tensor: kind }) }];
        self.clip(&mut graph);
        self.settle(&mut graph, rows);
        graph
    }

    /// Replaces each node by its values, where these are whole numbers that the proof knows: shapes, axes and places in a run are
    /// then the proof's, whatever a runtime would have computed.
    fn settle(&self, graph: &mut GraphProto, rows: Option<u32>) {
        let known = |name: &String| {
            let tensor = self.found.tensors.get(name).filter(|tensor| tensor.elem.is_integer() || tensor.elem == Elem::Bool)?;
            let values = tensor.ints.as_ref()?.iter().map(|int| int.at(rows)).collect::<Option<Vec<_>>>()?;
            let dims = tensor.dims.iter().map(|dim| i64::try_from(dim.known()?).ok()).collect::<Option<Vec<_>>>()?;
            Some(whole(name.clone(), tensor.elem, dims, &values))
        };
        let mut settled = Vec::new();
        graph.node.retain(|node| {
            let made = node.output.iter().filter(|name| !name.is_empty());
            // The asked output stays an operator's.
            let values = made.map(|name| known(name).filter(|_| *name != self.asked)).collect::<Option<Vec<_>>>();
            let values = values.filter(|values| !values.is_empty());
            let stays = values.is_none();
            settled.extend(values.into_iter().flatten());
            stays
        });
        graph.initializer.extend(settled);
    }

    /// Inserts a Clip before each input whose value in some row could otherwise abort a run.
    fn clip(&self, graph: &mut GraphProto) {
        let mut clips: Vec<_> = self.found.clips.iter().enumerate().collect();
        // From last to first, so that positions stay valid.
        clips.sort_by_key(|(_, (at, _))| std::cmp::Reverse(*at));
        // A prefix that no tensor name has.
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
    whole(name, elem, vec![], &[value])
}

/// Builds a tensor of integers or truth values, each of which its type can hold.
fn whole(name: String, elem: Elem, dims: Vec<i64>, values: &[i64]) -> TensorProto {
    let bytes = elem.bytes() as usize;
    let raw = values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(bytes)).collect();
    TensorProto { dims, data_type: Some(elem.number()), name: Some(name), raw_data: Some(raw), ..TensorProto::default() }
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

/// Returns the largest number of rows, up to `most`, for which `fits` holds.
///
/// If it holds for a number, it must hold for every smaller one.
pub(super) fn most_rows(most: u32, fits: impl Fn(u64) -> bool) -> u32 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle.into()) { low = middle } else { high = middle - 1 }
    }
    low
}
