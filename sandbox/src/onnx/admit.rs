//! What is checked on a model's bytes, without any runtime.

use prost::Message as _;
use tidegate_protocol::{
    Code, Refusal, Shorten,
    job::{Output, RowReduce},
};

use super::{
    proto::{AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto},
    strict,
};
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
    /// What the runtime is handed: written anew from what was understood of the model.
    bytes: Vec<u8>,
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
        let model = strict::read(bytes).map_err(refuse)?;
        let bytes = model.encode_to_vec();
        check_model(&model)?;
        let graph = model.graph.ok_or_else(|| refuse("has no graph"))?;
        graph.initializer.iter().try_for_each(check_tensor)?;
        graph.node.iter().try_for_each(check_node)?;
        if !graph.sparse_initializer.is_empty() {
            return Err(refuse("has sparse initializers").fix("Store them densely"));
        }
        let inputs: Vec<_> = graph.input.iter().filter(|i| !graph.initializer.iter().any(|t| t.name == i.name)).collect();
        let [input] = inputs.as_slice() else {
            return Err(refuse(format!("has {} inputs, one is taken", inputs.len())).fix("Concatenate the features"));
        };
        check_input(input, select.names.len())?;
        if !graph.output.iter().any(|o| o.name.as_deref() == Some(output)) {
            let names: Vec<_> = graph.output.iter().take(8).map(|o| o.name.as_deref().unwrap_or_default().shorten()).collect();
            return Err(refuse(format!("has no output {:?}", output.shorten()))
                .at("program.output")
                .fix(format!("It has: {}", names.join(", "))));
        }
        Ok(Self { bytes, select, reduce, outputs })
    }

    /// The model as a runtime may read it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many features a row has.
    pub fn features(&self) -> u32 {
        self.select.names.len() as u32
    }
}

fn check_model(model: &ModelProto) -> Result<(), Refusal> {
    if !model.functions.is_empty() {
        return Err(refuse("defines functions of its own").fix("Inline them"));
    }
    if !model.training_info.is_empty() {
        return Err(refuse("holds what it was trained by").fix("Export it for inference"));
    }
    if !model.configuration.is_empty() {
        return Err(refuse("says on which devices it runs").fix("Export it for one device"));
    }
    Ok(())
}

fn check_node(node: &NodeProto) -> Result<(), Refusal> {
    let (name, domain) = (node.op_type.as_deref().unwrap_or_default(), node.domain.as_deref().unwrap_or_default());
    let op = name.shorten();
    if !DOMAINS.contains(&domain) {
        return Err(refuse(format!("operator {op} is of domain {:?}", domain.shorten())).fix("Use standard operators"));
    }
    if !OPERATORS.contains(&name) {
        return Err(refuse(format!("operator {op} is not on the list"))
            .fix("Use arithmetic, Gemm, activations, normalisation or tree ensembles"));
    }
    if node.overload.as_ref().is_some_and(|overload| !overload.is_empty()) || !node.device_configurations.is_empty() {
        return Err(refuse(format!("operator {op} names an overload or a device")).fix("Export it for one device"));
    }
    node.attribute.iter().try_for_each(|attribute| check_attribute(attribute, &op))
}

fn check_attribute(attribute: &AttributeProto, op: &str) -> Result<(), Refusal> {
    let nested = attribute.g.is_some() || !attribute.graphs.is_empty();
    if nested || attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
        return Err(refuse(format!("operator {op} holds a nested graph")).fix("Export without control flow"));
    }
    let refers = attribute.ref_attr_name.as_ref().is_some_and(|name| !name.is_empty());
    if refers || attribute.tp.is_some() || !attribute.type_protos.is_empty() {
        return Err(refuse(format!("operator {op} has an attribute of a function or a type")));
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(check_tensor)
}

fn check_tensor(tensor: &TensorProto) -> Result<(), Refusal> {
    if tensor.data_location.unwrap_or_default() != 0 || !tensor.external_data.is_empty() || tensor.segment.is_some() {
        let name = tensor.name.as_deref().unwrap_or_default().shorten();
        return Err(refuse(format!("tensor {name:?} lies outside the file")).fix("Save the model with its weights inside"));
    }
    Ok(())
}

fn check_input(input: &ValueInfoProto, features: usize) -> Result<(), Refusal> {
    let tensor = input.kind.as_ref().and_then(|k| k.tensor.as_ref());
    let tensor = tensor.ok_or_else(|| refuse("the input is no tensor"))?;
    if tensor.elem_type != Some(FLOAT) {
        return Err(refuse("the input is not of type float32"));
    }
    let dims = tensor.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let [rows, width] = dims else {
        return Err(refuse(format!("the input has {} dimensions, expected [rows, features]", dims.len())));
    };
    if let Some(rows) = rows.value.filter(|rows| *rows > 0) {
        return Err(refuse(format!("the input takes exactly {rows} rows")).fix("Export with a symbolic first dimension"));
    }
    let width = width.value.unwrap_or_default();
    if width != features as i64 {
        return Err(refuse(format!("the input takes {width} features, the query selects {features}")).at("program.select"));
    }
    Ok(())
}
