//! Reading of a model's file together with external data beside the file: the model as signed and sent names no file.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Component, Path},
};

use tidegate_protocol::Refusal;
use tidegate_sandbox::onnx;

use crate::{NodeError, file_error};

/// Reads the model at `path` and inlines its external data.
///
/// # Errors
/// [`NodeError::Io`] if the model cannot be read; [`NodeError::Refused`] naming a tensor that its folder does not have.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, NodeError> {
    let bytes = std::fs::read(path).map_err(|e| file_error(path, e))?;
    Ok(whole(path, &bytes)?.unwrap_or(bytes))
}

/// Inlines the external data of the model `bytes` from the file at `path`; `None` if the model has none.
///
/// # Errors
/// A [`Refusal`] naming a tensor that the model's folder does not have.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let mut files = HashMap::new();
    onnx::inline(bytes, |name, from, many| {
        let file = match files.entry(name.to_owned()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => closed.insert(beside(path, name)?),
        };
        part(file, from, many).map_err(|e| format!("{name}: {e}"))
    })
}

/// Opens a file in the folder of the model at `path`, or below.
fn beside(path: &Path, name: &str) -> Result<File, String> {
    let below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !below {
        return Err(format!("{name:?} is outside the model's folder"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| format!("{name}: {e}");
    let folder = folder.canonicalize().map_err(failed)?;
    let file = folder.join(name).canonicalize().map_err(failed)?;
    // A link may lead elsewhere.
    if !file.starts_with(&folder) || !file.is_file() {
        return Err(format!("{name:?} is not a file in the model's folder"));
    }
    File::open(file).map_err(failed)
}

fn part(file: &mut File, from: u64, many: u64) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if from.checked_add(many).is_none_or(|end| end > length) {
        return Err(std::io::Error::other(format!("has {length} bytes, and {many} bytes from {from} on are needed")));
    }
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(many).read_to_end(&mut bytes)?;
    Ok(bytes)
}
