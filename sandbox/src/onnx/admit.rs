//! What is checked on a model's bytes, without any runtime.

use prost::Message;
use tidegate_protocol::{
    Code, Refusal, Shorten,
    job::{Output, RowReduce},
};

use super::proto::{ModelProto, TensorProto, ValueInfoProto};
use crate::sql::Select;

/// A name by which ONNX Runtime before mid-2026 let a model point at raw memory.
const ADDRESS_MARKER: &[u8] = b"_ORT_MEM_ADDR_";
/// Domains whose operators the standard runtime defines.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];
/// Operators whose output's shape follows from the shapes of their inputs and from attributes, never from values: no row can make a model
/// hoard memory or time. Random operators and control flow are not among them.
const OPERATORS: [&str; 52] = [
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Flatten",
    "Floor",
    "Gelu",
    "Gemm",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "LinearClassifier",
    "LinearRegressor",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Normalizer",
    "Not",
    "Or",
    "Pow",
    "Reciprocal",
    "Relu",
    "Scaler",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];
/// TensorProto.DataType.FLOAT
const FLOAT: i32 = 1;

/// An admitted model with the rows it asks for.
pub struct Model {
    pub(super) select: Select,
    pub(super) reduce: RowReduce,
    pub(super) outputs: Vec<Output>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({} features)", self.select.names.len())
    }
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Program, message).at("program.model")
}

impl Model {
    /// Checks `bytes`: no data outside the file, no custom operator, no nested graph or function, one float input of shape
    /// [rows, features], the named output.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part.
    pub fn admit(bytes: &[u8], select: Select, output: &str, reduce: RowReduce, outputs: Vec<Output>) -> Result<Self, Refusal> {
        if let Some(wide) = outputs.iter().find(|o| o.numbers() != 1) {
            return Err(refuse(format!("output {} takes {} numbers, a model's score is one", wide.name, wide.numbers()))
                .at("program.outputs")
                .fix("Use sum, mean, histogram or quantiles"));
        }
        if bytes.windows(ADDRESS_MARKER.len()).any(|w| w == ADDRESS_MARKER) {
            return Err(refuse("names a memory address"));
        }
        let model = ModelProto::decode(bytes).map_err(|e| refuse(format!("not an ONNX model: {e}")))?;
        let graph = model.graph.ok_or_else(|| refuse("has no graph"))?;
        if !model.functions.is_empty() {
            return Err(refuse("defines functions of its own").fix("Inline them"));
        }
        let tensors = graph
            .initializer
            .iter()
            .chain(graph.node.iter().flat_map(|n| &n.attribute).flat_map(|a| a.t.iter().chain(&a.tensors)));
        for tensor in tensors {
            check_tensor(tensor)?;
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(refuse("has sparse initializers").fix("Store them densely"));
        }
        for node in &graph.node {
            let op = node.op_type.shorten();
            if !DOMAINS.contains(&node.domain.as_str()) {
                return Err(
                    refuse(format!("operator {op} is of domain {:?}", node.domain.shorten())).fix("Use standard operators")
                );
            }
            if !OPERATORS.contains(&node.op_type.as_str()) {
                return Err(refuse(format!("operator {op} is not on the list"))
                    .fix("Use arithmetic, Gemm, activations, normalisation or tree ensembles"));
            }
            let nested = |a: &super::proto::AttributeProto| {
                a.g.is_some() || !a.graphs.is_empty() || a.sparse_tensor.is_some() || !a.sparse_tensors.is_empty()
            };
            if node.attribute.iter().any(nested) {
                return Err(refuse(format!("operator {op} holds a nested graph")).fix("Export without control flow"));
            }
        }
        let inputs: Vec<_> = graph.input.iter().filter(|i| !graph.initializer.iter().any(|t| t.name == i.name)).collect();
        let [input] = inputs.as_slice() else {
            return Err(refuse(format!("has {} inputs, one is taken", inputs.len())).fix("Concatenate the features"));
        };
        check_input(input, select.names.len())?;
        if !graph.output.iter().any(|o| o.name == output) {
            let names: Vec<_> = graph.output.iter().take(8).map(|o| o.name.shorten()).collect();
            return Err(refuse(format!("has no output {:?}", output.shorten()))
                .at("program.output")
                .fix(format!("It has: {}", names.join(", "))));
        }
        Ok(Self { select, reduce, outputs })
    }

    /// How many features a row has.
    pub fn features(&self) -> u32 {
        self.select.names.len() as u32
    }
}

fn check_tensor(tensor: &TensorProto) -> Result<(), Refusal> {
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        return Err(refuse(format!("tensor {:?} lies outside the file", tensor.name.shorten()))
            .fix("Save the model with its weights inside"));
    }
    Ok(())
}

fn check_input(input: &ValueInfoProto, features: usize) -> Result<(), Refusal> {
    let tensor = input.kind.as_ref().and_then(|k| k.tensor.as_ref());
    let tensor = tensor.ok_or_else(|| refuse("the input is no tensor"))?;
    if tensor.elem_type != FLOAT {
        return Err(refuse("the input is not of type float32"));
    }
    let dims = tensor.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let [rows, width] = dims else {
        return Err(refuse(format!("the input has {} dimensions, expected [rows, features]", dims.len())));
    };
    if rows.value > 0 {
        return Err(refuse(format!("the input takes exactly {} rows", rows.value)).fix("Export with a symbolic first dimension"));
    }
    if width.value != features as i64 {
        return Err(
            refuse(format!("the input takes {} features, the query selects {features}", width.value)).at("program.select")
        );
    }
    Ok(())
}
