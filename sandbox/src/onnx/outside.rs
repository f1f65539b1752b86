//! Embedding of tensors stored in files beside a model, on the sender's machine, before the model is signed.
//!
//! Exporters write large tensors (PyTorch: nearly all) to a separate file. Nothing that is sent may name a file, so an owner's
//! node refuses such a model.

use prost::Message;
use tidegate_protocol::{Refusal, Shorten as _, limits};

use super::{
    graph::refuse,
    proto::{GraphProto, TensorProto},
    prove::tensor::Elem,
    strict,
};

/// Entry of a tensor's `external_data`: a key and its value.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, optional, tag = "1")]
    key: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// Value of `TensorProto.DataLocation` for a tensor stored outside the model.
const OUTSIDE: i32 = 1;

/// Embeds all external tensors and returns the new model, or `None` if there are none or the bytes are not a model.
///
/// `read` returns bytes of a file, given its name, the offset and the length.
///
/// # Errors
/// Returns a [`Refusal`] naming the tensor and the error of `read`.
pub fn inline(bytes: &[u8], mut read: impl FnMut(&str, u64, u64) -> Result<Vec<u8>, String>) -> Result<Option<Vec<u8>>, Refusal> {
    // Admission reports bytes that are not a model.
    let Ok(mut model) = strict::read(bytes) else { return Ok(None) };
    let mut all = bytes.len() as u64;
    let mut changed = false;
    for tensor in model.graph.iter_mut().flat_map(tensors).filter(|tensor| tensor.data_location == Some(OUTSIDE)) {
        let name = tensor.name.as_deref().unwrap_or_default().shorten();
        let bad = |why: String| refuse(format!("tensor {name:?} lies in a file beside the model: {why}"));
        let (place, from, many) = place(tensor).map_err(bad)?;
        all = all.saturating_add(many);
        if all > limits::PROGRAM_BYTES as u64 {
            return Err(refuse(format!("is larger than {} bytes with the weights beside it", limits::PROGRAM_BYTES)));
        }
        let raw = read(&place, from, many).map_err(bad)?;
        tensor.external_data.clear();
        (tensor.data_location, tensor.raw_data) = (None, Some(raw));
        changed = true;
    }
    Ok(changed.then(|| model.encode_to_vec()))
}

fn tensors(graph: &mut GraphProto) -> impl Iterator<Item = &mut TensorProto> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    graph.initializer.iter_mut().chain(attributes.flat_map(|attribute| attribute.t.iter_mut().chain(&mut attribute.tensors)))
}

/// Returns a tensor's location: file name, offset and length in bytes.
fn place(tensor: &TensorProto) -> Result<(String, u64, u64), String> {
    let (mut location, mut from, mut many) = (None, 0, None);
    for entry in &tensor.external_data {
        let entry = Entry::decode(entry.as_slice()).map_err(|e| e.to_string())?;
        let value = entry.value.unwrap_or_default();
        let number = |value: &str| value.parse::<u64>().map_err(|_| format!("{:?} is no number", value.shorten()));
        match entry.key.as_deref().unwrap_or_default() {
            "location" => location = Some(value),
            "offset" => from = number(&value)?,
            "length" => many = Some(number(&value)?),
            // A hash of the file, for which no exporter documents the method.
            "checksum" => {}
            other => return Err(format!("{:?} is not known", other.shorten())),
        }
    }
    let location = location.ok_or("in which is not said")?;
    let elem = Elem::of(tensor.data_type.unwrap_or_default()).ok_or("its type is not taken")?;
    let values = tensor.dims.iter().try_fold(1u64, |all, dim| all.checked_mul(u64::try_from(*dim).ok()?));
    let bytes = values.and_then(|values| values.checked_mul(elem.bytes())).ok_or("its shape is none")?;
    if many.is_some_and(|many| many != bytes) {
        return Err(format!("{} bytes are said to be there, its shape has {bytes}", many.unwrap_or_default()));
    }
    Ok((location, from, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_fixtures::models::{elem, field, number};

    /// A product with a matrix that lies `beside`.
    fn model(entries: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(key, value): &(&str, &str)| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        let mut tensor: Vec<u8> = [number(1, 4), number(1, 2), number(2, 1), field(8, b"w"), number(14, 1)].concat();
        tensor.extend(entries.iter().flat_map(entry));
        let graph =
            tidegate_fixtures::models::Graph::new().input("x", elem::F32, "rows,4").node("MatMul", &["x", "w"], &["y"], &[]);
        [graph.output("y", elem::F32).bytes(), field(7, &field(5, &tensor))].concat()
    }

    #[test]
    fn a_tensor_is_put_inside_where_its_place_is_sound() {
        let read = |name: &str, from: u64, many: u64| {
            assert_eq!((name, from, many), ("w.data", 64, 32));
            Ok(vec![7; 32])
        };
        let inside = inline(&model(&[("location", "w.data"), ("offset", "64"), ("length", "32")]), read).unwrap().unwrap();
        let seen = super::super::inspect(&inside);
        assert_eq!((seen.verdict, seen.refused), (super::super::Verdict::RowIndependent, None));
        // What is inside needs no file.
        assert_eq!(inline(&inside, |_, _, _| panic!("no file is needed")).unwrap(), None);
        for (entries, why) in [
            (&[("offset", "64")][..], "in which is not said"),
            (&[("location", "w"), ("length", "31")], "its shape has 32"),
            (&[("location", "w"), ("offset", "-1")], "no number"),
            (&[("location", "w"), ("loader", "x")], "not known"),
            (&[("location", "w")], "no such file"),
        ] {
            let refused = inline(&model(entries), |_, _, _| Err("no such file".into())).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains("\"w\""), "{refused}");
        }
    }
}
