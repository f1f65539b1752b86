//! Node as seen by its rule: facts about the inputs, and attributes by name.

use std::cell::Cell;

use super::{
    spot::Spot,
    tensor::{Dim, Elem, Flow, Int, Tensor, Work, count, show},
};
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto};

/// Node with the facts known about its inputs.
pub(super) struct Call<'a> {
    /// Number of the node in the graph.
    pub(super) at: usize,
    pub(super) node: &'a NodeProto,
    /// Inputs; `None` for an omitted optional input.
    pub(super) inputs: Vec<Option<&'a Tensor>>,
    /// First node to have mixed any data read by the rule.
    pub(super) mixed: Cell<Option<usize>>,
}

/// Result of a rule.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) outputs: Vec<Tensor>,
    /// Number of operations.
    pub(super) work: Work,
    /// Bytes needed by a kernel beside its outputs.
    pub(super) scratch: Work,
    /// Input to be clipped between two bounds first, as otherwise a value of some row would end the run of all.
    pub(super) clip: Option<Clip>,
}

/// Clipping of input `input` to `lo`..=`hi`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clip {
    pub(crate) input: usize,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

pub(super) type Rule = fn(&Call<'_>) -> Result<Done, String>;

impl Done {
    /// Returns a result with a single output, at `each` operations per value.
    pub(super) fn one(output: Tensor, each: u64) -> Result<Self, String> {
        let work = Work::of(count(&output.dims)?, each);
        Ok(Self { outputs: vec![output], work, ..Self::default() })
    }

    /// Marks the output as known except for the number of a row.
    pub(super) fn with_spots(mut self, spots: Option<Vec<Spot>>) -> Self {
        if let (Some(output), Some(spots)) = (self.outputs.first_mut(), spots) {
            output.spots = Some(spots);
        }
        self
    }

    /// Returns a result with a single output known before any row is read.
    pub(super) fn known(output: Tensor) -> Self {
        Self { outputs: vec![output], ..Self::default() }
    }
}

impl<'a> Call<'a> {
    /// Returns the facts about an input, whatever its use.
    pub(super) fn maybe(&self, i: usize) -> Option<&'a Tensor> {
        self.inputs.get(i).copied().flatten()
    }

    /// Returns an input to be read as data.
    pub(super) fn data(&self, i: usize) -> Result<&'a Tensor, String> {
        let tensor = self.maybe(i).ok_or_else(|| format!("input {i} is missing"))?;
        let counted = tensor.ints.as_ref().is_some_and(|ints| ints.iter().any(|int| int.known().is_none()));
        let from = match tensor.flow {
            Flow::Mixed(at) => Some(at),
            // The value is a number of rows.
            _ if counted => Some(self.at),
            _ => None,
        };
        if let Some(from) = from {
            self.mixed.set(Some(self.mixed.get().map_or(from, |first| first.min(from))));
        }
        Ok(tensor)
    }

    /// Returns an optional input to be read as data.
    ///
    /// If the input depends on any row, everything is mixed.
    pub(super) fn public(&self, i: usize) -> Result<Option<&'a Tensor>, String> {
        if self.maybe(i).is_none() {
            return Ok(None);
        }
        let tensor = self.data(i)?;
        if tensor.flow != Flow::Public {
            self.mixed.set(Some(self.mixed.get().unwrap_or(self.at)));
        }
        Ok(Some(tensor))
    }

    /// Acts as [`Call::public`] for a required input.
    pub(super) fn constant(&self, i: usize) -> Result<&'a Tensor, String> {
        self.public(i)?.ok_or_else(|| format!("input {i} is missing"))
    }

    /// Returns an input for determining shapes, which must be known before any row is read.
    pub(super) fn known(&self, i: usize) -> Result<Option<&'a [Int]>, String> {
        let Some(tensor) = self.maybe(i) else { return Ok(None) };
        match &tensor.ints {
            Some(ints) => Ok(Some(ints)),
            None => Err(format!("input {i} is computed: the shape of what comes out would depend on values")),
        }
    }

    /// Acts as [`Call::known`], but refuses numbers of rows.
    pub(super) fn numbers(&self, i: usize) -> Result<Option<Vec<i64>>, String> {
        let Some(ints) = self.known(i)? else { return Ok(None) };
        let plain = ints.iter().map(|int| int.known()).collect::<Option<Vec<_>>>();
        plain.map(Some).ok_or_else(|| format!("input {i} holds a number of rows, a fixed one is needed"))
    }

    /// Returns axes or sizes: an attribute in older versions of the operator, an input in newer ones.
    pub(super) fn list(&self, name: &str, input: usize) -> Result<Option<Vec<i64>>, String> {
        match self.ints(name)? {
            Some(list) => Ok(Some(list)),
            None => self.numbers(input),
        }
    }

    /// Returns the number of outputs requested, and refuses more than `most`.
    pub(super) fn outputs(&self, most: usize) -> Result<usize, String> {
        let asked = self.node.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        if asked > most || asked == 0 {
            return Err(format!("asks for {asked} outputs, {most} is what is understood"));
        }
        Ok(asked)
    }

    /// Returns the flow of values depending on several rows, or on their number.
    pub(super) fn mixes(&self) -> Flow {
        Flow::Mixed(self.at)
    }

    fn attribute(&self, name: &str, kind: i32) -> Result<Option<&'a AttributeProto>, String> {
        let Some(found) = self.node.attribute.iter().find(|a| a.name.as_deref() == Some(name)) else { return Ok(None) };
        if found.kind != Some(kind) {
            return Err(format!("attribute {name} is of another type"));
        }
        Ok(Some(found))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, String> {
        Ok(self.attribute(name, 1)?.map(|a| a.f.unwrap_or_default()))
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.attribute(name, 2)?.map(|a| a.i.unwrap_or_default()))
    }

    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(found) = self.attribute(name, 3)? else { return Ok(None) };
        let text = std::str::from_utf8(found.s.as_deref().unwrap_or_default());
        text.map(Some).map_err(|_| format!("attribute {name} is no text"))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>, String> {
        Ok(self.attribute(name, 4)?.and_then(|a| a.t.as_ref()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self.attribute(name, 6)?.map(|a| a.floats.as_slice()))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, String> {
        Ok(self.attribute(name, 7)?.map(|a| a.ints.clone()))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<&'a [Vec<u8>]>, String> {
        Ok(self.attribute(name, 8)?.map(|a| a.strings.as_slice()))
    }

    /// Returns a type given by its number in an attribute.
    pub(super) fn elem(&self, name: &str) -> Result<Option<Elem>, String> {
        let Some(number) = self.int(name)? else { return Ok(None) };
        i32::try_from(number)
            .ok()
            .and_then(Elem::of)
            .map(Some)
            .ok_or_else(|| format!("attribute {name}: type {number} is not taken"))
    }

    /// Returns shape and flow of tensors broadcast to a common shape (multidirectional broadcasting, ONNX Broadcasting.md).
    pub(super) fn broadcast(&self, tensors: &[&Tensor]) -> Result<(Vec<Dim>, Flow), String> {
        let rank = tensors.iter().map(|t| t.rank()).max().unwrap_or(0);
        let mut dims = vec![Dim::ONE; rank];
        for tensor in tensors {
            for (back, dim) in tensor.dims.iter().rev().enumerate() {
                let at = rank - 1 - back;
                if dims[at] == Dim::ONE {
                    dims[at] = *dim;
                } else if *dim != Dim::ONE && *dim != dims[at] {
                    let shapes: Vec<String> = tensors.iter().map(|t| show(&t.dims)).collect();
                    return Err(format!("shapes {} do not fit together", shapes.join(" and ")));
                }
            }
        }
        // Counted from the right, where shapes are aligned.
        let mut axes = tensors.iter().filter_map(|t| t.axis().map(|axis| rank - t.rank() + axis));
        let flow = match axes.next() {
            _ if tensors.iter().any(|t| matches!(t.flow, Flow::Mixed(_))) => self.mixes(),
            None => Flow::Public,
            Some(first) if axes.all(|axis| axis == first) => Flow::Rows(first),
            Some(_) => self.mixes(),
        };
        Ok((dims, flow))
    }
}

/// Resolves an axis, possibly counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start).ok().filter(|a| *a < rank).ok_or_else(|| format!("axis {axis} is not one of {rank}"))
}

/// Resolves axes, possibly counted from the end; none may occur twice.
pub(super) fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut axes = list.iter().map(|a| axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    let before = axes.len();
    axes.dedup();
    if axes.len() == before { Ok(axes) } else { Err("an axis is named twice".into()) }
}
