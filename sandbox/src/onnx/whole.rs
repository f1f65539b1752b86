//! Model as sent, before an output is requested.

use tidegate_protocol::{Refusal, Shorten as _};

use super::{
    checks,
    graph::{Graph, refuse},
    lower,
    proto::{GraphProto, ModelProto},
    strict,
};

/// Model after reading, with nothing else known.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    model: ModelProto,
    graph: GraphProto,
}

impl Whole {
    /// Reads a model.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the bytes are not a model, or hold something that no output can need.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        checks::no_address(bytes)?;
        let mut model = strict::read(bytes).map_err(refuse)?;
        checks::model(&model)?;
        let graph = model.graph.take().ok_or_else(|| refuse("has no graph"))?;
        checks::whole(&graph)?;
        Ok(Self { model, graph })
    }

    /// Returns the names of its outputs.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.graph.output.iter().map(|o| o.name.as_deref().unwrap_or_default())
    }

    /// Returns the number of operators in the whole model.
    pub(super) fn nodes(&self) -> usize {
        self.graph.node.len()
    }

    /// Follows rows through the part needed for the named output.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the part, or the existing outputs if there is no such output.
    pub(super) fn ask(self, output: &str) -> Result<Graph, Refusal> {
        let Self { mut model, mut graph } = self;
        let names: Vec<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
        if !names.contains(&output) {
            let names: Vec<_> = names.into_iter().take(8).map(|name| name.shorten()).collect();
            return Err(refuse(format!("has no output {:?}", output.shorten()))
                .at("program.output")
                .fix(format!("It has: {}", names.join(", "))));
        }
        let asked = lower::ask(&graph, output).to_owned();
        let inputs = checks::inputs(&graph)?;
        lower::prune(&mut graph, &asked);
        let texts: Vec<String> = inputs.iter().filter(|(.., text)| *text).map(|(input, ..)| input.name.clone()).collect();
        let words = lower::lower(&mut model, &mut graph, &texts, &asked)?;
        checks::graph(&graph)?;
        let inputs = inputs.into_iter().map(|(mut input, rows, text)| {
            input.words = words.clone().filter(|_| text);
            (input, rows)
        });
        Graph::follow(model, graph, inputs.collect(), asked)
    }
}

impl Graph {
    /// Reads a model and follows rows through the part needed for the named output.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the part.
    pub(super) fn read(bytes: &[u8], output: &str) -> Result<Self, Refusal> {
        Whole::read(bytes)?.ask(output)
    }
}
