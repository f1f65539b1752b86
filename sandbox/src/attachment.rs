//! Attachment of a job, as sent with it.

use std::sync::Arc;

use crate::wasm::Code;

/// Attachment of a job: its program and optional data.
#[derive(Debug, Clone)]
pub struct Attachment {
    program: Sent,
    data: Arc<Vec<u8>>,
}

/// Program as sent.
#[derive(Debug, Clone)]
pub enum Sent {
    /// Bytes named by hash in the job: a component, a model or public tables.
    Bytes(Arc<Vec<u8>>),
    /// Compiled code of the component named by hash in the job.
    Code(Code),
}

impl From<Vec<u8>> for Attachment {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Sent::Bytes(Arc::new(bytes)))
    }
}

impl From<Code> for Attachment {
    fn from(code: Code) -> Self {
        Self::from(Sent::Code(code))
    }
}

impl From<Sent> for Attachment {
    fn from(program: Sent) -> Self {
        Self { program, data: Arc::default() }
    }
}

impl Attachment {
    /// Adds data beside the program.
    #[must_use]
    pub fn with_data(self, data: Vec<u8>) -> Self {
        Self { data: Arc::new(data), ..self }
    }

    /// Returns the program.
    pub fn program(&self) -> &Sent {
        &self.program
    }

    /// Returns the data beside the program.
    pub fn data(&self) -> &Arc<Vec<u8>> {
        &self.data
    }

    /// Returns the bytes named by the job, or nothing if only compiled code was sent.
    pub fn bytes(&self) -> &[u8] {
        match &self.program {
            Sent::Bytes(bytes) => bytes,
            Sent::Code(_) => &[],
        }
    }
}
