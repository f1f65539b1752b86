//! Place in a job's query at which a refusal points.

use tidegate_protocol::{Refusal, shown};

use crate::buyer::job_file::JobFile;

/// Returns the line of the job's query named by `refusal`, with a caret under the place; `None` if the refusal names none.
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
