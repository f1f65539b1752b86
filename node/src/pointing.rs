//! Where in a job's query a refusal points.

use tidegate_protocol::{Refusal, shown};

use crate::jobfile::JobFile;

/// The line of the job's query that `refusal` names a place in, with a caret under it; `None` where it names none.
pub fn pointed(file: &JobFile, refusal: &Refusal) -> Option<String> {
    let place = refusal.field.as_deref()?.strip_prefix("program.query:")?;
    let (line, column) = place.split_once(':')?;
    let query = match (&file.sql, &file.wasm, &file.onnx) {
        (Some(sql), ..) => &sql.query,
        (_, Some(wasm), _) => &wasm.select,
        (.., Some(onnx)) => &onnx.select,
        _ => return None,
    };
    shown::pointed(query, line.parse().ok()?, column.parse().ok()?)
}
