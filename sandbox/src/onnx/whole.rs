//! A model as it came, before it is known what is asked of it.

use tidegate_protocol::{Refusal, Shorten as _};

use super::{
    checks,
    graph::{Graph, refuse},
    lower,
    proto::{GraphProto, ModelProto},
    strict,
};

/// A model that was read, and nothing more.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    model: ModelProto,
    graph: GraphProto,
}

impl Whole {
    /// Reads a model.
    ///
    /// # Errors
    /// A [`Refusal`] where it is none, or holds what no output can need.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        checks::no_address(bytes)?;
        let mut model = strict::read(bytes).map_err(refuse)?;
        checks::model(&model)?;
        let graph = model.graph.take().ok_or_else(|| refuse("has no graph"))?;
        checks::whole(&graph)?;
        Ok(Self { model, graph })
    }

    /// Names of its outputs.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.graph.output.iter().map(|o| o.name.as_deref().unwrap_or_default())
    }

    /// Operators of all of it.
    pub(super) fn nodes(&self) -> usize {
        self.graph.node.len()
    }

    /// What the output of this name takes of it, followed.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part; where there is no such output, those that there are.
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
