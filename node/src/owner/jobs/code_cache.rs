//! Cache of compiled components, by component and engine: each is compiled once.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tidegate_protocol::{Code as RefusalCode, ContentHash, Refusal, job::Program, policy::Policy};
use tidegate_sandbox::{Attachment, wasm::Code};

use crate::{home::Home, worker::Workers};

/// Maximum number of bytes kept. The least recently used code goes first.
const KEPT_BYTES: u64 = 1 << 30;

/// Folder of compiled code.
///
/// Each file is sealed with a key that lies beside it: a file that was changed, or not made here, is compiled again.
#[derive(Debug, Clone)]
pub struct Codes {
    folder: PathBuf,
    workers: Workers,
}

impl Codes {
    /// Returns the cache in `home`; `workers` compile missing code.
    pub fn at(home: &Home, workers: &Workers) -> Self {
        Self { folder: home.codes(), workers: workers.clone() }
    }

    /// Returns the code of `component` for instances of `memory` bytes: from the cache, or compiled now in a worker of its own.
    ///
    /// # Errors
    /// As [`Workers::compile`]. Code that cannot be kept is returned all the same.
    pub async fn of(&self, component: &[u8], memory: u64) -> Result<Code, Refusal> {
        let hash = ContentHash::of(component);
        let kind = tokio::task::spawn_blocking(move || Code::kind(memory as usize)).await;
        let kind = kind.map_err(|e| Refusal::new(RefusalCode::Unavailable, e.to_string()))??;
        let path = self.folder.join(format!("{hash}.{kind:016x}"));
        let key = match self.key() {
            Ok(key) => key,
            Err(e) => {
                tracing::warn!("{}: {e}; compiled code is not cached", self.folder.display());
                return self.workers.compile(component, memory).await;
            }
        };
        if let Some(code) = kept(&path, &key) {
            return Ok(code);
        }
        let code = self.workers.compile(component, memory).await?;
        if let Err(e) = self.keep(&path, &code.seal(&key)) {
            tracing::warn!("{}: {e}; compiled code is not cached", path.display());
        }
        Ok(code)
    }

    /// Converts a job's attachment to a worker's form: a component is compiled.
    ///
    /// # Errors
    /// A [`Refusal`] if the attachment is not the one that the job names; otherwise as [`Codes::of`].
    pub async fn attachment(&self, program: &Program, sent: &[u8], policy: &Policy) -> Result<Option<Attachment>, Refusal> {
        if program.attachment().is_none() {
            return Ok(None);
        }
        let (bytes, data) = program.parts(sent)?;
        let attachment = match program {
            Program::Wasm { .. } => Attachment::from(self.of(bytes, policy.limits.memory_bytes).await?),
            Program::Sql { .. } | Program::Onnx { .. } => Attachment::from(bytes.to_vec()),
        };
        Ok(Some(attachment.with_data(data.to_vec())))
    }

    fn key(&self) -> std::io::Result<[u8; 32]> {
        let path = self.folder.join("key");
        if let Ok(key) = fs::read(&path)
            && let Ok(key) = key.try_into()
        {
            return Ok(key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        tidegate_files::create_folder(&self.folder)?;
        write(&path, &key)?;
        Ok(key)
    }

    fn keep(&self, path: &Path, sealed: &[u8]) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let (path, about) = entry.and_then(|e| Ok((e.path(), e.metadata()?)))?;
            // Neither the key nor a file that another call is just writing.
            if path.extension().is_some_and(|e| e != "tmp") {
                files.push((about.modified()?, about.len(), path));
            }
        }
        files.sort();
        let mut bytes = files.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + sealed.len() as u64;
        for (_, length, path) in files {
            if bytes <= KEPT_BYTES {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        write(path, sealed)
    }
}

/// Reads the code kept at `path`, unless the file was changed.
fn kept(path: &Path, key: &[u8; 32]) -> Option<Code> {
    let code = Code::unseal(&fs::read(path).ok()?, key);
    if code.is_none() {
        tracing::warn!("{} is damaged: compiling again", path.display());
    }
    let used = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    used.unwrap_or_else(|e| tracing::warn!("{}: {e}", path.display()));
    code
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let unfinished = path.with_extension(format!("{}.tmp", hex::encode(random)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes).and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}
