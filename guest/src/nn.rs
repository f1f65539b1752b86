//! The job's model, run through WASI-NN: for components whose job says `infer`.

use crate::models::wasi::nn::graph;
pub use crate::models::wasi::nn::tensor::{Tensor, TensorType};

/// What the model says of some rows: the dimensions of the output that the job names, and its numbers. `inputs` are all inputs of the model by their names,
/// each with as many rows as its first dimension says.
///
/// # Errors
/// What is wrong with the inputs, or that there is no model.
pub fn compute(inputs: Vec<(String, Tensor)>) -> Result<(Vec<u32>, Vec<f32>), String> {
    let graph = graph::load_by_name("model").map_err(|e| e.data())?;
    let context = graph.init_execution_context().map_err(|e| e.data())?;
    let mut outputs = context.compute(inputs).map_err(|e| e.data())?;
    let (_, tensor) = outputs.pop().ok_or("the model gave nothing")?;
    Ok((tensor.dimensions(), crate::f32s(&tensor.data())))
}
