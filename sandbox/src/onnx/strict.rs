//! Strict reading of a model to its last byte: unknown fields are refused, not skipped.
//!
//! The decoder skips unknown fields. A runtime of another version may know them, and see another model than the one that was
//! checked.

use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use tidegate_protocol::limits;

use super::proto::ModelProto;

/// Content of a field.
enum Field {
    /// Value, or a part refused or dropped as a whole.
    Leaf,
    /// Message of this kind.
    Of(&'static Kind),
}

/// Kind of message: its name for people, and its fields by number.
struct Kind {
    name: &'static str,
    fields: &'static [(u32, Field)],
}

use Field::{Leaf, Of};

// By number, as in the IR. A comment names each field that is not in `proto`; these mean nothing to a runtime and are dropped.
const MODEL: Kind = Kind {
    name: "the model",
    fields: &[
        (1, Leaf),
        (2, Leaf), // producer_name
        (3, Leaf), // producer_version
        (4, Leaf), // domain
        (5, Leaf), // model_version
        (6, Leaf), // doc_string
        (7, Of(&GRAPH)),
        (8, Of(&VERSION)),
        (14, Leaf), // metadata_props
        (20, Leaf),
        (25, Leaf),
        (26, Leaf),
    ],
};
const GRAPH: Kind = Kind {
    name: "the graph",
    fields: &[
        (1, Of(&NODE)),
        (2, Leaf),
        (5, Of(&TENSOR)),
        (10, Leaf), // doc_string
        (11, Of(&VALUE)),
        (12, Of(&VALUE)),
        (13, Of(&VALUE)),
        (14, Leaf), // quantization_annotation
        (15, Leaf),
        (16, Leaf), // metadata_props
    ],
};
const NODE: Kind = Kind {
    name: "an operator",
    fields: &[
        (1, Leaf),
        (2, Leaf),
        (3, Leaf),
        (4, Leaf),
        (5, Of(&ATTRIBUTE)),
        (6, Leaf), // doc_string
        (7, Leaf),
        (8, Leaf),
        (9, Leaf), // metadata_props
        (10, Leaf),
    ],
};
const ATTRIBUTE: Kind = Kind {
    name: "an attribute",
    fields: &[
        (1, Leaf),
        (2, Leaf),
        (3, Leaf),
        (4, Leaf),
        (5, Of(&TENSOR)),
        (6, Leaf),
        (7, Leaf),
        (8, Leaf),
        (9, Leaf),
        (10, Of(&TENSOR)),
        (11, Leaf),
        (13, Leaf), // doc_string
        (14, Leaf),
        (15, Leaf),
        (20, Leaf),
        (21, Leaf),
        (22, Leaf),
        (23, Leaf),
    ],
};
const TENSOR: Kind = Kind {
    name: "a tensor",
    fields: &[
        (1, Leaf),
        (2, Leaf),
        (3, Leaf),
        (4, Leaf),
        (5, Leaf),
        (6, Leaf),
        (7, Leaf),
        (8, Leaf),
        (9, Leaf),
        (10, Leaf),
        (11, Leaf),
        (12, Leaf), // doc_string
        (13, Leaf),
        (14, Leaf),
        (16, Leaf), // metadata_props
    ],
};
const VALUE: Kind = Kind {
    name: "an input or output",
    fields: &[
        (1, Leaf),
        (2, Of(&TYPE)),
        (3, Leaf), // doc_string
        (4, Leaf), // metadata_props
    ],
};
const TYPE: Kind = Kind {
    name: "a type",
    fields: &[
        (1, Of(&TENSOR_TYPE)),
        // Sequences, maps, opaque types, sparse tensors, optionals: no input or output may have such a type in the end.
        (4, Leaf),
        (5, Leaf),
        (6, Leaf), // denotation
        (7, Leaf),
        (8, Leaf),
        (9, Leaf),
    ],
};
const TENSOR_TYPE: Kind = Kind { name: "a tensor's type", fields: &[(1, Leaf), (2, Of(&SHAPE))] };
const SHAPE: Kind = Kind { name: "a shape", fields: &[(1, Of(&DIMENSION))] };
const DIMENSION: Kind = Kind {
    name: "a dimension",
    fields: &[
        (1, Leaf),
        (2, Leaf),
        (3, Leaf), // denotation
    ],
};
const VERSION: Kind = Kind { name: "a version of operators", fields: &[(1, Leaf), (2, Leaf)] };

/// Reads a model.
///
/// # Errors
/// Returns the reason if the bytes are not a model, or if a field is unknown, its number and the message holding it.
pub(super) fn read(bytes: &[u8]) -> Result<ModelProto, String> {
    Walk::default().message(bytes, &MODEL)?;
    ModelProto::decode(bytes).map_err(|e| format!("not an ONNX model: {e}"))
}

/// State of a walk through messages.
#[derive(Default)]
struct Walk {
    /// Number of messages so far.
    parts: usize,
}

impl Walk {
    fn message(&mut self, mut bytes: &[u8], kind: &Kind) -> Result<(), String> {
        let none = |e: prost::DecodeError| format!("not an ONNX model: {e}");
        self.parts += 1;
        if self.parts > limits::MODEL_PARTS {
            return Err(format!("has more than {} parts: nodes, attributes, tensors", limits::MODEL_PARTS));
        }
        while !bytes.is_empty() {
            let (number, wire) = decode_key(&mut bytes).map_err(none)?;
            match kind.fields.iter().find(|(known, _)| *known == number) {
                None => {
                    let name = kind.name;
                    return Err(format!(
                        "has a field that is not known here: number {number} of {name} (newer than this version?)"
                    ));
                }
                Some((_, Of(kind))) if wire == WireType::LengthDelimited => {
                    let length = decode_varint(&mut bytes).map_err(none)?;
                    let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
                    let (message, rest) = split.ok_or("not an ONNX model: it is truncated")?;
                    self.message(message, kind)?;
                    bytes = rest;
                }
                Some(_) => skip_field(wire, number, &mut bytes, DecodeContext::default()).map_err(none)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Vec<u8> {
        std::fs::read(tidegate_fixtures::path("models/heavy_user.onnx")).unwrap()
    }

    /// What is written from what was read is read as the same again.
    #[test]
    fn what_is_read_is_written() {
        let model = read(&sound()).unwrap();
        let written = model.encode_to_vec();
        assert_eq!(read(&written).unwrap(), model);
        assert!(!model.opset_import.is_empty() && model.ir_version.is_some());
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        // Field 99 of the model, a number.
        let more = [&sound()[..], &[0x98, 0x06, 1]].concat();
        assert!(read(&more).unwrap_err().contains(": number 99 of the model"));
        // Field 40 of a node of the graph.
        let node = [0x3a, 5, 0x0a, 3, 0xc0, 0x02, 1];
        assert!(read(&[&sound()[..], &node].concat()).unwrap_err().contains(": number 40 of an operator"));
        // Field 10 of the type of an input.
        let input = [0x3a, 6, 0x5a, 4, 0x12, 2, 0x52, 0];
        assert!(read(&[&sound()[..], &input].concat()).unwrap_err().contains(": number 10 of a type"));
        // A sequence is known: as an output it may be what nobody asks for.
        let output = [0x3a, 6, 0x62, 4, 0x12, 2, 0x22, 0];
        assert!(read(&[&sound()[..], &output].concat()).is_ok());
    }

    /// Each part takes much more memory once it is read than two bytes.
    #[test]
    fn parts_are_counted_before_they_are_read() {
        // A graph of empty nodes.
        let graph = |nodes: usize| {
            let mut bytes = vec![0x3a];
            prost::encoding::encode_varint(2 * nodes as u64, &mut bytes);
            bytes.extend([0x0a, 0].repeat(nodes));
            bytes
        };
        assert!(read(&graph(1000)).is_ok());
        assert!(read(&graph(limits::MODEL_PARTS)).unwrap_err().contains("parts"));
    }

    /// Every field that the decoder knows is known to the walk, and those below it too: a message of all of them passes.
    #[test]
    fn the_walk_knows_what_the_decoder_does() {
        use super::super::proto::*;
        let tensor = TensorProto { dims: vec![1], segment: Some(vec![]), name: Some("t".into()), ..Default::default() };
        let attribute =
            AttributeProto { t: Some(tensor.clone()), tensors: vec![tensor.clone()], floats: vec![1.0], ..Default::default() };
        let node = NodeProto { attribute: vec![attribute], overload: Some("o".into()), ..Default::default() };
        let shape = Shape { dim: vec![Dimension { value: Some(1), param: Some("n".into()) }] };
        let kind = TypeProto { tensor: Some(TensorType { elem_type: Some(1), shape: Some(shape) }) };
        let value = ValueInfoProto { name: Some("v".into()), kind: Some(kind) };
        let graph = GraphProto {
            node: vec![node],
            initializer: vec![tensor],
            input: vec![value.clone()],
            output: vec![value.clone()],
            value_info: vec![value],
            ..Default::default()
        };
        let model = ModelProto { graph: Some(graph), training_info: vec![vec![]], ..Default::default() };
        assert_eq!(read(&model.encode_to_vec()).unwrap(), model);
    }
}
