/// A network of one hidden layer.
pub(crate) struct Network {
    weights: Vec<f64>,
    inputs: usize,
    hidden: usize,
}

impl Network {
    /// Of so many inputs; `None` where the weights are not those of one.
    pub(crate) fn new(weights: Vec<f64>, inputs: usize) -> Option<Self> {
        let hidden = weights.len().checked_sub(1)? / (inputs + 2);
        (hidden > 0 && weights.len() == hidden * (inputs + 2) + 1).then_some(Self { weights, inputs, hidden })
    }

    /// The score of one row.
    pub(crate) fn score(&self, inputs: &[f64]) -> f64 {
        let (layer, last) = self.weights.split_at(self.hidden * (self.inputs + 1));
        let mut sum = last[self.hidden];
        for (node, weight) in layer.chunks_exact(self.inputs + 1).zip(last) {
            let activation: f64 = node.iter().zip(inputs).map(|(w, x)| w * x).sum::<f64>() + node[self.inputs];
            sum += weight * activation.max(0.0);
        }
        1.0 / (1.0 + (-sum).exp())
    }
}
