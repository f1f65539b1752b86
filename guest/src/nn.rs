//! The job's model, run through WASI-NN, for components whose job sets `infer`.

use crate::models::wasi::nn::graph;
pub use crate::models::wasi::nn::tensor::{Tensor, TensorType};

/// Runs the model on some rows, and returns the dimensions and the numbers of the job's output.
///
/// `inputs` are all inputs of the model by their names, each with as many rows as its first dimension.
///
/// # Errors
/// Returns a description of what is wrong with the inputs, or of the missing model.
pub fn compute(inputs: Vec<(String, Tensor)>) -> Result<(Vec<u32>, Vec<f32>), String> {
    let graph = graph::load_by_name("model").map_err(|e| e.data())?;
    let context = graph.init_execution_context().map_err(|e| e.data())?;
    let mut outputs = context.compute(inputs).map_err(|e| e.data())?;
    let (_, tensor) = outputs.pop().ok_or("the model gave nothing")?;
    Ok((tensor.dimensions(), crate::f32s(&tensor.data())))
}
